//! Residual networks for 224x224 images (He et al., arXiv 1512.03385, table 1), with torchvision's names.

use mp_blocks::{BasicBlockConfig, BlockConfig, BottleneckConfig, ConvBlockConfig, Pool};

use crate::InputSize;
use crate::plan::{Plan, PlanBuilder};

/// Blocks of one resolution.
pub(super) struct Stage {
    pub(super) width: i64,
    pub(super) blocks: usize,
}

pub(super) fn plan(name: &str, input: InputSize, width: i64) -> Plan {
    let stem = ConvBlockConfig {
        kernel: 7,
        stride: 2,
        padding: 3,
        pool: Pool::Max { kernel: 3, stride: 2, padding: 1 },
        ..ConvBlockConfig::new(input.channels, width)
    };
    let depth = depth(name);
    let blocks = if depth == 18 { [2, 2, 2, 2] } else { [3, 4, 6, 3] };
    let stages = [0, 1, 2, 3].map(|at| Stage { width: width << at, blocks: blocks[at] });
    residual(BlockConfig::Conv(stem), &stages, |in_channels, width, stride| {
        if depth < 50 {
            BlockConfig::Basic(BasicBlockConfig { in_channels, out_channels: width, stride })
        } else {
            BlockConfig::Bottleneck(BottleneckConfig { in_channels, width, stride })
        }
    })
}

/// A stem, then stages that each halve the resolution, but the first. The last block is followed by a global mean.
pub(super) fn residual(stem: BlockConfig, stages: &[Stage], block: impl Fn(i64, i64, i64) -> BlockConfig) -> Plan {
    let mut plan = PlanBuilder::default();
    plan.push("stem", Some(String::new()), stem);
    for (number, stage) in (1..).zip(stages) {
        for index in 0..stage.blocks {
            let stride = if number > 1 && index == 0 { 2 } else { 1 };
            let single = Some(format!("layer{number}.{index}"));
            plan.push(&format!("stage{number}"), single, block(plan.channels(), stage.width, stride));
        }
    }
    plan.finish()
}

/// The number that a name such as `resnet20` ends with; the registry's own names all do.
pub(super) fn depth(name: &str) -> usize {
    name.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap_or(0)
}
