//! A small plain network: 3x3 convolutions with batch-norm and ReLU.
//!
//! | block | layer | output for 28x28 |
//! |---|---|---|
//! | `stage1` | convolution to `w` (32), 2x2 max-pool | 14x14 |
//! | `stage2` | convolution to `2w`, 2x2 max-pool | 7x7 |
//! | `stage3` | convolution to `4w`, global mean | `4w` |
//! | `dense` | dense layer to `4w`, ReLU | `4w` |
//! | `fc` | dense layer to the classes | `N` |

use mp_blocks::{ConvBlockConfig, DenseBlockConfig, Pool};

use super::FASHION_MNIST;
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

pub(super) const FAMILIES: &[Family] = &[Family {
    name: "base_cnn",
    summary: "three convolutions and a dense layer, for 28x28 and 32x32 images",
    native: FASHION_MNIST,
    knob: Knob::width(32),
    make: Make::Chain(plan),
}];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let width = size.value;
    let halve = Pool::Max { kernel: 2, stride: 2, padding: 0 };
    let mut plan = Plan::new(interface);
    for (stage, out_channels, pool) in
        [("stage1", width, halve), ("stage2", 2 * width, halve), ("stage3", 4 * width, Pool::GlobalAverage)]
    {
        plan.push(stage, ConvBlockConfig { pool, ..ConvBlockConfig::new(out_channels) })?;
    }
    plan.push("dense", DenseBlockConfig { out_features: 4 * width, dropout: 0.0 })?;
    Ok(plan)
}
