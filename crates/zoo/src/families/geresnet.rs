//! Gather-Excite in residual networks (Hu et al., arXiv 1810.12348): each place of a branch is scaled after its last norm by
//! what lies around it.
//!
//! The name's end tells the form: `_thetaminus` gathers means and has no parameters, `_theta` gathers by depthwise
//! convolutions, `_thetaplus` has two 1x1 convolutions after them; all three gather the whole map, and `_theta8` gathers an
//! eighth of it along each axis. Gathering the whole map by a convolution has a kernel as large as the map, so that these
//! networks take images of the size they were built for only.
//!
//! The networks for ImageNet have the max-pool of the authors' Caffe files, without padding and rounded up. Those for CIFAR are
//! ours in the place of the scaling only: the paper has ResNet-110 and ResNet-164, but no public code of them.

use mp_blocks::{GatherExciteConfig, Recalibration, ResidualConfig};

use super::resnet::{branch_of, imagenet_stages, stages, stem};
use super::seresnet::caffe_pool;
use super::{CIFAR, IMAGENET, cifar_resnet};
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

const fn imagenet(name: &'static str) -> Family {
    let summary = "residual network with Gather-Excite, ImageNet form (arXiv 1810.12348)";
    Family { name, summary, native: IMAGENET, knob: Knob::width(64), make: Make::Chain(plan) }
}

const fn cifar(name: &'static str) -> Family {
    let summary = "residual network with Gather-Excite, CIFAR form (arXiv 1810.12348)";
    Family { name, summary, native: CIFAR, knob: Knob::width(16), make: Make::Chain(cifar_plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    imagenet("geresnet50_thetaminus"),
    imagenet("geresnet50_theta"),
    imagenet("geresnet50_theta8"),
    imagenet("geresnet50_thetaplus"),
    imagenet("geresnet101_thetaminus"),
    imagenet("geresnet101_theta"),
    imagenet("geresnet101_thetaplus"),
    cifar("geresnet20_thetaminus"),
    cifar("geresnet20_theta"),
    cifar("geresnet20_theta8"),
    cifar("geresnet20_thetaplus"),
    cifar("geresnet56_thetaminus"),
    cifar("geresnet56_theta"),
    cifar("geresnet56_theta8"),
    cifar("geresnet56_thetaplus"),
    cifar("geresnet110_thetaminus"),
    cifar("geresnet110_theta"),
    cifar("geresnet110_theta8"),
    cifar("geresnet110_thetaplus"),
    cifar("geresnet164_thetaminus"),
    cifar("geresnet164_theta"),
    cifar("geresnet164_theta8"),
    cifar("geresnet164_thetaplus"),
];

fn gather(size: &Size) -> Option<Recalibration> {
    let form = match size.name.rsplit('_').next() {
        Some("thetaminus") => GatherExciteConfig::minus(None),
        Some("theta8") => GatherExciteConfig::theta(Some(8)),
        Some("thetaplus") => GatherExciteConfig::plus(None),
        _ => GatherExciteConfig::theta(None),
    };
    Some(Recalibration::GatherExcite(form))
}

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    plan.push("stem", stem(size))?.named("");
    caffe_pool(&mut plan)?;
    let branch = branch_of(size)?;
    stages(&mut plan, &imagenet_stages(size)?, &[], |place| ResidualConfig {
        recalibration: gather(size),
        ..ResidualConfig::new(branch(place.width), place.stride)
    })?;
    Ok(plan)
}

fn cifar_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    cifar_resnet::residual(size, interface, |_, block| ResidualConfig { recalibration: gather(size), ..block })
}
