//! VGG-13 (configuration B of Simonyan and Zisserman, arXiv 1409.1556) in the form used on CIFAR: batch-norm after every
//! convolution, the last pool a mean over what is left, and two dense layers as wide as the last convolution.

use mp_blocks::{ConvBlockConfig, DenseBlockConfig, Pool};

use super::CIFAR;
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

const CONVOLUTIONS_A_STAGE: usize = 2;

pub(super) const FAMILIES: &[Family] = &[Family {
    name: "vgg13",
    summary: "ten convolutions and two dense layers, CIFAR form (arXiv 1409.1556)",
    native: CIFAR,
    knob: Knob::width(64),
    make: Make::Chain(plan),
}];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    for (stage, factor) in [("stage1", 1), ("stage2", 2), ("stage3", 4), ("stage4", 8), ("stage5", 8)] {
        for convolution in 0..CONVOLUTIONS_A_STAGE {
            let pool = match (stage, convolution + 1 == CONVOLUTIONS_A_STAGE) {
                (_, false) => Pool::None,
                ("stage5", true) => Pool::GlobalAverage,
                (_, true) => Pool::Max { kernel: 2, stride: 2, padding: 0 },
            };
            plan.push(stage, ConvBlockConfig { pool, ..ConvBlockConfig::new(factor * size.value) })?;
        }
    }
    for _ in 0..2 {
        plan.push("dense", DenseBlockConfig { out_features: 8 * size.value, dropout: 0.5 })?;
    }
    Ok(plan)
}
