//! Residual networks for 32x32 images (He et al., arXiv 1512.03385, section 4.2): a 3x3 stem, three stages of `n` basic
//! blocks, `6 n + 2` layers; `resnet164` has bottlenecks, `9 n + 2` layers.
//!
//! Shortcuts that change shape are 1x1 convolutions, as in torchvision (option B). The networks of the paper have none
//! (option A): they are those with an `a`, `resnet20a`, whose shortcuts take every second row and column between channels of
//! zeros, half of them before and half after, as in the public weights for CIFAR.

use mp_blocks::{Branch, ConvBlockConfig, ResidualConfig, SharedBlock, ShortcutConfig};

use super::CIFAR;
use super::resnet::{Place, Stage, stages};
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

const fn family(name: &'static str, summary: &'static str) -> Family {
    Family { name, summary, native: CIFAR, knob: Knob::width(16), make: Make::Chain(plan) }
}

const fn padded(name: &'static str, summary: &'static str) -> Family {
    Family { make: Make::Chain(padded_plan), ..family(name, summary) }
}

pub(super) const FAMILIES: &[Family] = &[
    family("resnet8", "residual network of 8 layers, CIFAR form, for quick trials (arXiv 1512.03385)"),
    family("resnet14", "residual network of 14 layers, CIFAR form, for quick trials (arXiv 1512.03385)"),
    family("resnet20", "residual network of 20 layers, CIFAR form (arXiv 1512.03385)"),
    family("resnet32", "residual network of 32 layers, CIFAR form (arXiv 1512.03385)"),
    family("resnet44", "residual network of 44 layers, CIFAR form (arXiv 1512.03385)"),
    family("resnet56", "residual network of 56 layers, CIFAR form (arXiv 1512.03385)"),
    family("resnet110", "residual network of 110 layers, CIFAR form (arXiv 1512.03385)"),
    family("resnet164", "residual network of 164 layers with bottlenecks, CIFAR form (arXiv 1512.03385)"),
    family("resnet1202", "residual network of 1202 layers, CIFAR form (arXiv 1512.03385)"),
    padded("resnet20a", "residual network of 20 layers without convolutions in shortcuts (arXiv 1512.03385)"),
    padded("resnet32a", "residual network of 32 layers without convolutions in shortcuts (arXiv 1512.03385)"),
    padded("resnet44a", "residual network of 44 layers without convolutions in shortcuts (arXiv 1512.03385)"),
    padded("resnet56a", "residual network of 56 layers without convolutions in shortcuts (arXiv 1512.03385)"),
    padded("resnet110a", "residual network of 110 layers without convolutions in shortcuts (arXiv 1512.03385)"),
    padded("resnet1202a", "residual network of 1202 layers without convolutions in shortcuts (arXiv 1512.03385)"),
];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    residual(size, interface, |_, block| block)
}

fn padded_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    residual(size, interface, |_, block| ResidualConfig { shortcut: ShortcutConfig::Padded, ..block })
}

/// The network of the depth in the family's name, its blocks changed by `set`.
pub(super) fn residual<B: Into<SharedBlock>>(
    size: &Size,
    interface: &Interface,
    set: impl Fn(Place, ResidualConfig) -> B,
) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    plan.push("stem", ConvBlockConfig::new(size.value))?.named("");
    let branch = depth_branch(size)?;
    stages(&mut plan, &depth_stages(size)?, &[], |place| {
        set(place, ResidualConfig::new(branch(place.width), place.stride))
    })?;
    Ok(plan)
}

/// The three stages of the depth in the family's name.
pub(super) fn depth_stages(size: &Size) -> Result<[Stage; 3], Error> {
    let depth = size.depth()?;
    Ok(cifar_stages(size, (depth - 2) / if has_bottlenecks(depth) { 9 } else { 6 }))
}

/// The branch of a width, for the depth in the family's name.
pub(super) fn depth_branch(size: &Size) -> Result<impl Fn(i64) -> Branch + use<>, Error> {
    let depth = size.depth()?;
    Ok(move |width| if has_bottlenecks(depth) { Branch::bottleneck(width) } else { Branch::Basic { channels: width } })
}

fn has_bottlenecks(depth: i64) -> bool {
    matches!(depth, 164 | 1001)
}

/// Three stages, each twice as wide as the one before.
pub(super) fn cifar_stages(size: &Size, blocks: i64) -> [Stage; 3] {
    [1, 2, 4].map(|factor| Stage { width: factor * size.value, blocks })
}
