//! VGG-13 (configuration B of Simonyan and Zisserman, arXiv 1409.1556) in the form used on CIFAR: batch-norm after every
//! convolution, the last pool a mean over what is left, and two dense layers as wide as the last convolution.

use mp_blocks::{BlockConfig, ConvBlockConfig, DenseBlockConfig, Pool};

use crate::InputSize;
use crate::plan::{Plan, PlanBuilder};

const CONVOLUTIONS_A_STAGE: usize = 2;

pub(super) fn plan(_name: &str, input: InputSize, width: i64) -> Plan {
    let mut plan = PlanBuilder::default();
    let mut in_channels = input.channels;
    for (stage, factor) in [("stage1", 1), ("stage2", 2), ("stage3", 4), ("stage4", 8), ("stage5", 8)] {
        let out_channels = factor * width;
        for convolution in 0..CONVOLUTIONS_A_STAGE {
            let pool = match (stage, convolution + 1 == CONVOLUTIONS_A_STAGE) {
                (_, false) => Pool::None,
                ("stage5", true) => Pool::GlobalAverage,
                (_, true) => Pool::Max { kernel: 2, stride: 2, padding: 0 },
            };
            let block = ConvBlockConfig { pool, ..ConvBlockConfig::new(in_channels, out_channels) };
            plan.push(stage, None, BlockConfig::Conv(block));
            in_channels = out_channels;
        }
    }
    for _ in 0..2 {
        let dense = DenseBlockConfig { in_features: in_channels, out_features: in_channels, dropout: 0.5 };
        plan.push("dense", None, BlockConfig::Dense(dense));
    }
    plan.finish()
}
