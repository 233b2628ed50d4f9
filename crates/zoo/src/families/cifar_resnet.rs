//! Residual networks for 32x32 images (He et al., arXiv 1512.03385, section 4.2): a 3x3 stem, three stages of `n` basic
//! blocks, `6 n + 2` layers. Shortcuts that change shape are 1x1 convolutions, as in torchvision.

use mp_blocks::{ConvBlockConfig, ResidualConfig};

use super::CIFAR;
use super::resnet::{Stage, residual};
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

const fn family(name: &'static str, summary: &'static str) -> Family {
    Family { name, summary, native: CIFAR, knob: Knob::width(16), make: Make::Chain(plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    family("resnet20", "residual network of 20 layers, CIFAR form (arXiv 1512.03385)"),
    family("resnet32", "residual network of 32 layers, CIFAR form (arXiv 1512.03385)"),
    family("resnet44", "residual network of 44 layers, CIFAR form (arXiv 1512.03385)"),
    family("resnet56", "residual network of 56 layers, CIFAR form (arXiv 1512.03385)"),
    family("resnet110", "residual network of 110 layers, CIFAR form (arXiv 1512.03385)"),
];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let blocks = (size.depth()? - 2) / 6;
    let stages = [1, 2, 4].map(|factor| Stage { width: factor * size.value, blocks });
    residual(interface, ConvBlockConfig::new(size.value), &stages, ResidualConfig::basic)
}
