//! A small plain network: 3x3 convolutions with batch-norm and ReLU.
//!
//! | block | layer | output for 28x28 |
//! |---|---|---|
//! | `stage1` | convolution to `w` (32), 2x2 max-pool | 14x14 |
//! | `stage2` | convolution to `2w`, 2x2 max-pool | 7x7 |
//! | `stage3` | convolution to `4w`, global mean | `4w` |
//! | `dense` | dense layer to `4w`, ReLU | `4w` |
//! | `fc` | dense layer to the classes | `N` |

use mp_blocks::{BlockConfig, ConvBlockConfig, DenseBlockConfig, Pool};

use crate::InputSize;
use crate::plan::{Plan, PlanBuilder};

pub(super) fn plan(_name: &str, input: InputSize, width: i64) -> Plan {
    let halve = Pool::Max { kernel: 2, stride: 2, padding: 0 };
    let mut plan = PlanBuilder::default();
    let convolutions = [
        ("stage1", input.channels, width, halve),
        ("stage2", width, 2 * width, halve),
        ("stage3", 2 * width, 4 * width, Pool::GlobalAverage),
    ];
    for (stage, in_channels, out_channels, pool) in convolutions {
        plan.push(
            stage,
            None,
            BlockConfig::Conv(ConvBlockConfig { pool, ..ConvBlockConfig::new(in_channels, out_channels) }),
        );
    }
    let dense = DenseBlockConfig { in_features: 4 * width, out_features: 4 * width, dropout: 0.0 };
    plan.push("dense", None, BlockConfig::Dense(dense));
    plan.finish()
}
