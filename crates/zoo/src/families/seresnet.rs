//! Squeeze-and-excitation in residual networks (Hu et al., arXiv 1709.01507): the channels of a branch are scaled after its
//! last norm, by a hidden layer of a 16th of them.
//!
//! | names | as in | differs from the ResNet of the depth |
//! |---|---|---|
//! | `seresnet18` to `152`, `seresnext50_32x4d` | timm | hidden layers are multiples of 8 |
//! | `legacy_seresnet18` to `152`, `legacy_seresnext50_32x4d` | the authors' Caffe networks, timm | max-pool without padding, rounded up; bottlenecks have their stride in the first convolution, but ResNeXt's; with 18 and 34 layers a ReLU before the scaling |
//! | `legacy_senet154` | the same | a stem of three convolutions, 64 groups (the knob scales them too), 3x3 convolutions in shortcuts, dropout 0.2 |
//! | `seresnet8` to `164` | the paper's forms for CIFAR | hidden layers down to one unit |

use mp_blocks::{
    Branch, ConvBlockConfig, Pool, Pooling, PoolingBlockConfig, Recalibration, ResidualConfig, ShortcutConfig,
    SqueezeExciteConfig, Strided,
};

use super::resnet::{branch_of, imagenet_stages, stages, stem};
use super::{CIFAR, IMAGENET, cifar_resnet};
use crate::{Error, Family, HeadPlan, Interface, Knob, Make, Plan, Size};

type MakePlan = fn(&Size, &Interface) -> Result<Plan, Error>;

const REDUCTION: i64 = 16;

const fn imagenet(name: &'static str, make: MakePlan) -> Family {
    let summary = "residual network with squeeze-and-excitation, ImageNet form (arXiv 1709.01507)";
    Family { name, summary, native: IMAGENET, knob: Knob::width(64), make: Make::Chain(make) }
}

const fn cifar(name: &'static str) -> Family {
    let summary = "residual network with squeeze-and-excitation, CIFAR form (arXiv 1709.01507)";
    Family { name, summary, native: CIFAR, knob: Knob::width(16), make: Make::Chain(cifar_plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    imagenet("seresnet18", plan),
    imagenet("seresnet34", plan),
    imagenet("seresnet50", plan),
    imagenet("seresnet101", plan),
    imagenet("seresnet152", plan),
    imagenet("seresnext50_32x4d", plan),
    imagenet("legacy_seresnet18", legacy_plan),
    imagenet("legacy_seresnet34", legacy_plan),
    imagenet("legacy_seresnet50", legacy_plan),
    imagenet("legacy_seresnet101", legacy_plan),
    imagenet("legacy_seresnet152", legacy_plan),
    imagenet("legacy_seresnext50_32x4d", legacy_plan),
    imagenet("legacy_senet154", senet_plan),
    cifar("seresnet8"),
    cifar("seresnet14"),
    cifar("seresnet20"),
    cifar("seresnet32"),
    cifar("seresnet44"),
    cifar("seresnet56"),
    cifar("seresnet110"),
    cifar("seresnet164"),
];

/// The scaling that the legacy networks and those for CIFAR have.
pub(super) fn squeeze() -> Option<Recalibration> {
    Some(Recalibration::SqueezeExcite(SqueezeExciteConfig::new(REDUCTION)))
}

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    let pool = Pool::Max { kernel: 3, stride: 2, padding: 1 };
    plan.push("stem", ConvBlockConfig { pool, ..stem(size) })?.named("");
    let branch = branch_of(size)?;
    let squeeze = SqueezeExciteConfig { multiple: 8, ..SqueezeExciteConfig::new(REDUCTION) };
    stages(&mut plan, &imagenet_stages(size)?, &[], |place| ResidualConfig {
        recalibration: Some(Recalibration::SqueezeExcite(squeeze.clone())),
        ..ResidualConfig::new(branch(place.width), place.stride)
    })?;
    Ok(plan)
}

fn legacy_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    plan.push("stem", stem(size))?.named("layer0");
    caffe_pool(&mut plan)?;
    let branch = branch_of(size)?;
    let depth = size.depth()?;
    let strided = if size.name.contains("seresnext") { Strided::Spatial } else { Strided::First };
    stages(&mut plan, &imagenet_stages(size)?, &[("se", "se_module")], |place| ResidualConfig {
        strided,
        recalibration: squeeze(),
        rectified: depth < 50,
        ..ResidualConfig::new(branch(place.width), place.stride)
    })?;
    plan.head(HeadPlan::named("last_linear"));
    Ok(plan)
}

fn senet_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    for (number, width, stride) in [(1, size.value, 2), (2, size.value, 1), (3, 2 * size.value, 1)] {
        let conv = ConvBlockConfig { stride, ..ConvBlockConfig::new(width) };
        let stem = plan.push("stem", conv)?;
        stem.named("layer0").renamed("conv1", format!("conv{number}")).renamed("bn1", format!("bn{number}"));
    }
    caffe_pool(&mut plan)?;
    stages(&mut plan, &imagenet_stages(size)?, &[("se", "se_module")], |place| {
        let channels = place.width * Branch::EXPANSION;
        let branch = Branch::Bottleneck { reduced: channels / 2, width: channels, channels, groups: size.value };
        ResidualConfig {
            shortcut: ShortcutConfig::Projection { kernel: if place.stage == 1 { 1 } else { 3 } },
            recalibration: squeeze(),
            ..ResidualConfig::new(branch, place.stride)
        }
    })?;
    plan.head(HeadPlan { dropout: 0.2, ..HeadPlan::named("last_linear") });
    Ok(plan)
}

/// The max-pool of Caffe's networks: without padding and rounded up.
pub(super) fn caffe_pool(plan: &mut Plan) -> Result<(), Error> {
    plan.push("stem", PoolingBlockConfig(vec![Pooling::max_ceil(3, 2)]))?;
    Ok(())
}

fn cifar_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    cifar_resnet::residual(size, interface, |_, block| ResidualConfig { recalibration: squeeze(), ..block })
}
