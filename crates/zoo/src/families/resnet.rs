//! Residual networks for 224x224 images (He et al., arXiv 1512.03385, table 1), with torchvision's names.

use mp_blocks::{ConvBlockConfig, Pool, ResidualConfig, SharedBlock};

use super::IMAGENET;
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

const fn family(name: &'static str, summary: &'static str) -> Family {
    Family { name, summary, native: IMAGENET, knob: Knob::width(64), make: Make::Chain(plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    family("resnet18", "residual network of 18 layers, ImageNet form (arXiv 1512.03385)"),
    family("resnet34", "residual network of 34 layers, ImageNet form (arXiv 1512.03385)"),
    family("resnet50", "residual network of 50 layers, ImageNet form (arXiv 1512.03385)"),
];

/// Blocks of one resolution.
pub(super) struct Stage {
    pub(super) width: i64,
    pub(super) blocks: i64,
}

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let stem = ConvBlockConfig {
        kernel: 7,
        stride: 2,
        padding: 3,
        pool: Pool::Max { kernel: 3, stride: 2, padding: 1 },
        ..ConvBlockConfig::new(size.value)
    };
    let depth = size.depth()?;
    let blocks = if depth == 18 { [2, 2, 2, 2] } else { [3, 4, 6, 3] };
    let stages = [0, 1, 2, 3].map(|at| Stage { width: size.value << at, blocks: blocks[at] });
    let block = if depth < 50 { ResidualConfig::basic } else { ResidualConfig::bottleneck };
    residual(interface, stem, &stages, block)
}

/// A stem, then stages that each halve the resolution, but the first; `block` makes one of a stage's width and a stride. The
/// last block is followed by a global mean.
pub(super) fn residual<B: Into<SharedBlock>>(
    interface: &Interface,
    stem: ConvBlockConfig,
    stages: &[Stage],
    block: impl Fn(i64, i64) -> B,
) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    plan.push("stem", stem)?.named("");
    for (number, stage) in (1..).zip(stages) {
        for index in 0..stage.blocks {
            let stride = if number > 1 && index == 0 { 2 } else { 1 };
            plan.push(&format!("stage{number}"), block(stage.width, stride))?.named(format!("layer{number}.{index}"));
        }
    }
    Ok(plan)
}
