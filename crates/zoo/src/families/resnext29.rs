//! ResNeXt for 32x32 images (Xie et al., arXiv 1611.05431, section 5.2): a 3x3 stem to 64, three stages of three bottlenecks to
//! 256, 512 and 1024, whose 3x3 convolution has 8 groups of 64 channels in the first stage in `resnext29_8x64d`, twice as
//! many channels in each further one.
//!
//! As in the authors' later code, norms and ReLUs stand after the convolutions. The knob scales stem and stages to multiples
//! of 16, 16, 32 and 64; a group's channels follow, rounded down.

use mp_blocks::{Branch, ConvBlockConfig, ResidualConfig};

use super::CIFAR;
use super::resnet::{Place, Stage, grouping, stages};
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

const fn family(name: &'static str) -> Family {
    let summary = "residual network of 29 layers in groups, CIFAR form (arXiv 1611.05431)";
    Family { name, summary, native: CIFAR, knob: Knob::width(64), make: Make::Chain(plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    family("resnext29_8x64d"),
    family("resnext29_16x64d"),
    family("resnext29_32x4d"),
    family("resnext29_16x4d"),
    family("resnext29_8x4d"),
    family("resnext29_1x64d"),
    family("resnext29_2x64d"),
    family("resnext29_4x64d"),
];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    plan.push("stem", ConvBlockConfig::new(size.scaled(64, 16)))?.named("");
    let widths = [(64, 16), (128, 32), (256, 64)];
    let of_width = widths.map(|(width, multiple)| Stage { width: size.scaled(width, multiple), blocks: 3 });
    let (groups, base) = grouping(size.name);
    let block = |place: Place| ResidualConfig::new(Branch::grouped(place.width, groups, base), place.stride);
    stages(&mut plan, &of_width, &[], block)?;
    Ok(plan)
}
