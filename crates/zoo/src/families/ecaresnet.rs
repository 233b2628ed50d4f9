//! Efficient channel attention in residual networks (Wang et al., arXiv 1910.03151): the channels of a branch are scaled after
//! its last norm, by a convolution along their means.
//!
//! | names | as in | kernels |
//! |---|---|---|
//! | `ecaresnet18` to `152` | the authors' weights: torchvision's ResNet | given for each stage, otherwise than the paper's function of the channels |
//! | `ecaresnet50d`, `ecaresnet101d` | timm: ResNet-D, with a stem of three convolutions and means in shortcuts (arXiv 1812.01187) | the paper's function |
//! | `ecaresnet20` to `164` | forms for CIFAR; the paper has none | the paper's function |

use mp_blocks::{ChannelAttentionConfig, ConvBlockConfig, Pool, Recalibration, ResidualConfig, ShortcutConfig};

use super::resnet::{branch_of, deep_stem, imagenet_stages, stages, stem};
use super::{CIFAR, IMAGENET, cifar_resnet};
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

type MakePlan = fn(&Size, &Interface) -> Result<Plan, Error>;

const fn imagenet(name: &'static str, make: MakePlan) -> Family {
    let summary = "residual network with efficient channel attention, ImageNet form (arXiv 1910.03151)";
    Family { name, summary, native: IMAGENET, knob: Knob::width(64), make: Make::Chain(make) }
}

const fn cifar(name: &'static str) -> Family {
    let summary = "residual network with efficient channel attention, CIFAR form (arXiv 1910.03151)";
    Family { name, summary, native: CIFAR, knob: Knob::width(16), make: Make::Chain(cifar_plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    imagenet("ecaresnet18", plan),
    imagenet("ecaresnet34", plan),
    imagenet("ecaresnet50", plan),
    imagenet("ecaresnet101", plan),
    imagenet("ecaresnet152", plan),
    imagenet("ecaresnet50d", deep_plan),
    imagenet("ecaresnet101d", deep_plan),
    cifar("ecaresnet20"),
    cifar("ecaresnet56"),
    cifar("ecaresnet110"),
    cifar("ecaresnet164"),
];

fn attention(kernel: Option<i64>) -> Option<Recalibration> {
    Some(Recalibration::ChannelAttention(ChannelAttentionConfig { kernel }))
}

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    let pool = Pool::Max { kernel: 3, stride: 2, padding: 1 };
    plan.push("stem", ConvBlockConfig { pool, ..stem(size) })?.named("");
    let kernels = match size.depth()? {
        18 => [3, 5, 7, 7],
        50 => [3, 5, 5, 7],
        _ => [3, 3, 5, 7],
    };
    let branch = branch_of(size)?;
    stages(&mut plan, &imagenet_stages(size)?, &[], |place| ResidualConfig {
        recalibration: attention(Some(kernels[place.stage - 1])),
        ..ResidualConfig::new(branch(place.width), place.stride)
    })?;
    Ok(plan)
}

fn deep_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    deep_stem(&mut plan, size.scaled(32, 1))?;
    let branch = branch_of(size)?;
    stages(&mut plan, &imagenet_stages(size)?, &[("eca", "se")], |place| ResidualConfig {
        shortcut: ShortcutConfig::Averaged,
        recalibration: attention(None),
        ..ResidualConfig::new(branch(place.width), place.stride)
    })?;
    Ok(plan)
}

fn cifar_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    cifar_resnet::residual(size, interface, |_, block| ResidualConfig { recalibration: attention(None), ..block })
}
