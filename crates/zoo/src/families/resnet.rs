//! Residual networks for 224x224 images, with torchvision's names (He et al., arXiv 1512.03385, table 1), the wide ones
//! (Zagoruyko and Komodakis, arXiv 1605.07146, section 3.4) and ResNeXt (Xie et al., arXiv 1611.05431).
//!
//! | stage | output for 224x224 | blocks of 18 / 34 | of 50 / 101 / 152 |
//! |---|---|---|---|
//! | `stem` | 56x56, `w` | 7x7 convolution of stride 2, 3x3 max-pool of stride 2 | the same |
//! | `stage1` | 56x56 | 2 / 3 of two 3x3 convolutions to `w` | 3 / 3 / 3 bottlenecks to `4w` |
//! | `stage2` | 28x28 | 2 / 4 to `2w` | 4 / 4 / 8 to `8w` |
//! | `stage3` | 14x14 | 2 / 6 to `4w` | 6 / 23 / 36 to `16w` |
//! | `stage4` | 7x7 | 2 / 3 to `8w` | 3 / 3 / 3 to `32w` |
//!
//! A wide network's bottlenecks are twice as wide inside; ResNeXt's `32x4d` have a 3x3 convolution in 32 groups of `4 w / 64`
//! channels in the first stage.

use mp_blocks::{Branch, ConvBlockConfig, Pool, ResidualConfig, SharedBlock};

use super::IMAGENET;
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

const fn family(name: &'static str, summary: &'static str) -> Family {
    Family { name, summary, native: IMAGENET, knob: Knob::width(64), make: Make::Chain(plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    family("resnet18", "residual network of 18 layers, ImageNet form (arXiv 1512.03385)"),
    family("resnet34", "residual network of 34 layers, ImageNet form (arXiv 1512.03385)"),
    family("resnet50", "residual network of 50 layers, ImageNet form (arXiv 1512.03385)"),
    family("resnet101", "residual network of 101 layers, ImageNet form (arXiv 1512.03385)"),
    family("resnet152", "residual network of 152 layers, ImageNet form (arXiv 1512.03385)"),
    family("wide_resnet50_2", "residual network of 50 layers, twice as wide inside (arXiv 1605.07146)"),
    family("wide_resnet101_2", "residual network of 101 layers, twice as wide inside (arXiv 1605.07146)"),
    family("resnext50_32x4d", "residual network of 50 layers in 32 groups (arXiv 1611.05431)"),
    family("resnext101_32x8d", "residual network of 101 layers in 32 groups, twice as wide (arXiv 1611.05431)"),
    family("resnext101_64x4d", "residual network of 101 layers in 64 groups (arXiv 1611.05431)"),
];

/// Blocks of one resolution.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    pub(super) width: i64,
    pub(super) blocks: i64,
}

/// Where a block stands.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Its stage, counted from 1.
    pub(super) stage: usize,
    /// Its place in the stage, from 0.
    pub(super) index: i64,
    /// The stage's width.
    pub(super) width: i64,
    /// By how much it shrinks the map.
    pub(super) stride: i64,
}

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    let pool = Pool::Max { kernel: 3, stride: 2, padding: 1 };
    plan.push("stem", ConvBlockConfig { pool, ..stem(size) })?.named("");
    let branch = branch_of(size)?;
    stages(&mut plan, &imagenet_stages(size)?, &[], |place| ResidualConfig::new(branch(place.width), place.stride))?;
    Ok(plan)
}

/// The 7x7 convolution without the pool.
pub(super) fn stem(size: &Size) -> ConvBlockConfig {
    ConvBlockConfig { kernel: 7, stride: 2, padding: 3, ..ConvBlockConfig::new(size.value) }
}

/// Three 3x3 convolutions in place of the 7x7 one (ResNet-D, He et al., arXiv 1812.01187), to `width`, `width` and twice the
/// width, then the pool; with timm's names.
pub(super) fn deep_stem(plan: &mut Plan, width: i64) -> Result<(), Error> {
    let conv = |out_channels, stride| ConvBlockConfig { stride, ..ConvBlockConfig::new(out_channels) };
    let pool = Pool::Max { kernel: 3, stride: 2, padding: 1 };
    let named = |plan: &mut Plan, block: ConvBlockConfig, conv: &str, norm: &str| {
        plan.push("stem", block)?.named("").renamed("conv1", conv).renamed("bn1", norm);
        Ok::<(), Error>(())
    };
    named(plan, conv(width, 2), "conv1.0", "conv1.1")?;
    named(plan, conv(width, 1), "conv1.3", "conv1.4")?;
    named(plan, ConvBlockConfig { pool, ..conv(2 * width, 1) }, "conv1.6", "bn1")
}

/// The four stages of the depth in the family's name.
pub(super) fn imagenet_stages(size: &Size) -> Result<[Stage; 4], Error> {
    let blocks = match size.depth()? {
        14 => [1, 1, 1, 1],
        18 | 26 => [2, 2, 2, 2],
        34 | 50 => [3, 4, 6, 3],
        101 => [3, 4, 23, 3],
        152 | 154 => [3, 8, 36, 3],
        200 => [3, 24, 36, 3],
        269 => [3, 30, 48, 8],
        depth => {
            let problem = format!("has no stages for a depth of {depth}");
            return Err(Error::Input { name: size.name.to_owned(), problem });
        }
    };
    Ok([0, 1, 2, 3].map(|at| Stage { width: size.value << at, blocks: blocks[at] }))
}

/// The branch of a width, for the depth in the family's name: networks of less than 50 layers have no bottlenecks.
pub(super) fn branch_of(size: &Size) -> Result<impl Fn(i64) -> Branch + use<>, Error> {
    let depth = size.depth()?;
    let (groups, base) = grouping(size.name);
    Ok(move |width| if depth < 50 { Branch::Basic { channels: width } } else { Branch::grouped(width, groups, base) })
}

/// The groups of a bottleneck and the channels of each at a width of 64, from the end of a name: `32x4d` is 32 groups of 4,
/// `2` one group twice as wide, anything else one group of 64.
pub(super) fn grouping(name: &str) -> (i64, i64) {
    let last = name.rsplit('_').next().unwrap_or_default();
    let grouped = last.strip_suffix('d').and_then(|d| d.split_once('x'));
    match grouped.map(|(groups, base)| (groups.parse(), base.parse())) {
        Some((Ok(groups), Ok(base))) => (groups, base),
        _ if last == "2" => (1, 128),
        _ => (1, 64),
    }
}

/// Appends stages that each halve the resolution, but the first; `block` makes one for its place. They have torchvision's
/// names, with `renames` of the layers in them. The last block is followed by a global mean.
pub(super) fn stages<B: Into<SharedBlock>>(
    plan: &mut Plan,
    stages: &[Stage],
    renames: &[(&str, &str)],
    block: impl Fn(Place) -> B,
) -> Result<(), Error> {
    for (number, stage) in (1..).zip(stages) {
        for index in 0..stage.blocks {
            let stride = if number > 1 && index == 0 { 2 } else { 1 };
            let place = Place { stage: number, index, width: stage.width, stride };
            let planned = plan.push(&format!("stage{number}"), block(place))?;
            planned.named(format!("layer{number}.{index}"));
            for (ours, public) in renames {
                planned.renamed(*ours, *public);
            }
        }
    }
    Ok(())
}
