//! ResNeSt (Zhang et al., arXiv 2004.08955): residual networks whose 3x3 convolutions compute alternatives of each group and
//! weigh them by an attention, with a stem of three 3x3 convolutions and means in shortcuts.
//!
//! | names | stem | blocks | image |
//! |---|---|---|---|
//! | `resnest14d`, `26d`, `50d` | 32, 32, 64 | 1 1 1 1, 2 2 2 2, 3 4 6 3 | 224 |
//! | `resnest50d_1s4x24d`, `_4s2x40d` | 32, 32, 64 | 3 4 6 3, the mean that shrinks a map before its 3x3 convolution | 224 |
//! | `resnest101e`, `200e`, `269e` | 64, 64, 128 | 3 4 23 3, 3 24 36 3, 3 30 48 8 | 256, 320, 416 |
//! | `resnest20_cifar`, `74_cifar`, `146_cifar` | 16 | `n` in each of three stages, `9 n + 2` layers | 32 |
//!
//! `4s2x40d` has a radix of 4 (alternatives), 2 groups, and 40 channels in a group of the first stage; the others have a radix
//! of 2 and one group of 64. The names and numbers are timm's.
//!
//! The networks for 32x32 are a reconstruction: the paper has none. Ours take the 3x3 stem and the stages of widths 16, 32 and
//! 64 of the CIFAR ResNets, and the blocks of `resnest50d`; the hidden layer of an attention keeps the paper's least width of
//! 32.

use mp_blocks::{ConvBlockConfig, ResNeStConfig};

use super::cifar_resnet::cifar_stages;
use super::resnet::{Place, deep_stem, imagenet_stages, stages};
use super::{CIFAR, IMAGENET};
use crate::{Error, Family, InputSize, Interface, Knob, Make, Plan, Size};

const fn imagenet(name: &'static str, size: i64) -> Family {
    let summary = "residual network with split attention, ImageNet form (arXiv 2004.08955)";
    let native = InputSize { size, ..IMAGENET };
    Family { name, summary, native, knob: Knob::width(64), make: Make::Chain(plan) }
}

const fn cifar(name: &'static str) -> Family {
    let summary = "residual network with split attention, a form for CIFAR (arXiv 2004.08955)";
    Family { name, summary, native: CIFAR, knob: Knob::width(16), make: Make::Chain(cifar_plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    imagenet("resnest14d", 224),
    imagenet("resnest26d", 224),
    imagenet("resnest50d", 224),
    imagenet("resnest50d_1s4x24d", 224),
    imagenet("resnest50d_4s2x40d", 224),
    imagenet("resnest101e", 256),
    imagenet("resnest200e", 320),
    imagenet("resnest269e", 416),
    cifar("resnest20_cifar"),
    cifar("resnest74_cifar"),
    cifar("resnest146_cifar"),
];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    let stem = if size.depth()? > 50 { 64 } else { 32 };
    deep_stem(&mut plan, size.scaled(stem, 1))?;
    let (radix, cardinality, base, average_first) = match size.name.rsplit('_').next() {
        Some("1s4x24d") => (1, 4, 24, true),
        Some("4s2x40d") => (4, 2, 40, true),
        _ => (2, 1, 64, false),
    };
    let block = |place: Place| ResNeStConfig {
        base,
        cardinality,
        radix,
        average_first,
        ..ResNeStConfig::new(place.width, place.stride)
    };
    stages(&mut plan, &imagenet_stages(size)?, &[], block)?;
    Ok(plan)
}

fn cifar_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    plan.push("stem", ConvBlockConfig::new(size.value))?.named("");
    let of_depth = cifar_stages(size, (size.depth()? - 2) / 9);
    stages(&mut plan, &of_depth, &[], |place| ResNeStConfig::new(place.width, place.stride))?;
    Ok(plan)
}
