//! Pre-activation residual networks: norm and ReLU before every convolution, and once more at the end.
//!
//! | names | what | source |
//! |---|---|---|
//! | `preresnet20` to `1001` | for 32x32: a bare 3x3 stem to `w` (16), three stages; 164 and 1001 layers are of bottlenecks | He et al., arXiv 1603.05027 |
//! | `sepreresnet110`, `sepreresnet164` | the same with squeeze-and-excitation at the end of each branch | Hu et al., arXiv 1709.01507 |
//! | `wrn16_8`, `wrn28_10`, ... | for 32x32: `wrnDEPTH_FACTOR`, stages that many times as wide as 16, 32 and 64, the stem 16 | Zagoruyko and Komodakis, arXiv 1605.07146 |
//! | `sewrn16_8` | the same with squeeze-and-excitation | Hu et al. |
//! | `resnetv2_18` to `101` | for 224x224, with timm's names: a bare 7x7 stem and max-pool, four stages | arXiv 1603.05027 |
//!
//! Where the shape changes, the first norm and ReLU are shared by branch and shortcut, which is a bare 1x1 convolution. A
//! bottleneck's stride is in its 3x3 convolution, as in fb.resnet.torch and timm; the authors' own code has it in the first.
//! The wide networks count their three shortcuts as layers; their dropout, between the
//! convolutions of a block, is off unless it is asked for.

use mp_blocks::{
    Branch, NormReluConfig, PlainConvConfig, Pooling, PoolingBlockConfig, PreActivationConfig, SharedBlock,
};
use mp_nn::{MaxPool2d, WeightInit};

use super::cifar_resnet::{depth_branch, depth_stages};
use super::resnet::{Place, Stage, branch_of, imagenet_stages};
use super::seresnet::squeeze;
use super::{CIFAR, IMAGENET};
use crate::{Error, Family, HeadPlan, Interface, Knob, Make, Plan, Size};

type MakePlan = fn(&Size, &Interface) -> Result<Plan, Error>;

const fn cifar(name: &'static str, make: MakePlan) -> Family {
    let summary = "pre-activation residual network, CIFAR form (arXiv 1603.05027)";
    Family { name, summary, native: CIFAR, knob: Knob::width(16), make: Make::Chain(make) }
}

const fn wide(name: &'static str, factor: i64, make: MakePlan) -> Family {
    let summary = "wide pre-activation residual network, CIFAR form (arXiv 1605.07146)";
    Family { name, summary, native: CIFAR, knob: Knob::factor(factor), make: Make::Chain(make) }
}

const fn imagenet(name: &'static str) -> Family {
    let summary = "pre-activation residual network, ImageNet form (arXiv 1603.05027)";
    Family { name, summary, native: IMAGENET, knob: Knob::width(64), make: Make::Chain(imagenet_plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    cifar("preresnet20", cifar_plan),
    cifar("preresnet56", cifar_plan),
    cifar("preresnet110", cifar_plan),
    cifar("preresnet164", cifar_plan),
    cifar("preresnet1001", cifar_plan),
    cifar("sepreresnet110", se_cifar_plan),
    cifar("sepreresnet164", se_cifar_plan),
    wide("wrn16", 8, wide_plan),
    wide("wrn22", 8, wide_plan),
    wide("wrn28", 10, wide_plan),
    wide("wrn40", 4, wide_plan),
    wide("sewrn16", 8, se_wide_plan),
    imagenet("resnetv2_18"),
    imagenet("resnetv2_34"),
    imagenet("resnetv2_50"),
    imagenet("resnetv2_101"),
];

/// Appends stages of blocks as `block` makes them, and the norm and ReLU at the end, with timm's names.
fn stages<B: Into<SharedBlock>>(plan: &mut Plan, stages: &[Stage], block: impl Fn(Place) -> B) -> Result<(), Error> {
    for (number, stage) in (1..).zip(stages) {
        let name = format!("stage{number}");
        for index in 0..stage.blocks {
            let stride = if number > 1 && index == 0 { 2 } else { 1 };
            let planned = plan.push(&name, block(Place { stage: number, index, width: stage.width, stride }))?;
            planned.named(format!("stages.{}.blocks.{index}", number - 1));
        }
        if number == stages.len() {
            plan.push(&name, NormReluConfig)?.named("");
        }
    }
    Ok(())
}

fn cifar_network(
    size: &Size,
    interface: &Interface,
    set: impl Fn(PreActivationConfig) -> PreActivationConfig,
) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    plan.push("stem", PlainConvConfig::bare(size.value, 3))?.named("stem");
    let branch = depth_branch(size)?;
    stages(&mut plan, &depth_stages(size)?, |place| set(PreActivationConfig::new(branch(place.width), place.stride)))?;
    Ok(plan)
}

fn cifar_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    cifar_network(size, interface, |block| block)
}

fn se_cifar_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    cifar_network(size, interface, |block| PreActivationConfig { recalibration: squeeze(), ..block })
}

fn wide_network(
    size: &Size,
    interface: &Interface,
    set: impl Fn(PreActivationConfig) -> PreActivationConfig,
) -> Result<Plan, Error> {
    let init = WeightInit::KaimingNormalFanIn;
    let mut plan = Plan::new(interface);
    plan.push("stem", PlainConvConfig { init, ..PlainConvConfig::bare(WRN_STEM, 3) })?.named("stem");
    stages(&mut plan, &wide_stages(size)?, |place| {
        let branch = Branch::Basic { channels: place.width };
        set(PreActivationConfig { init, ..PreActivationConfig::new(branch, place.stride) })
    })?;
    plan.dropout_inside();
    Ok(plan)
}

pub(super) const WRN_STEM: i64 = 16;

/// The three stages of a wide network of the depth in the family's name, as many times as wide as the knob says.
pub(super) fn wide_stages(size: &Size) -> Result<[Stage; 3], Error> {
    let blocks = (size.depth()? - 4) / 6;
    Ok([1, 2, 4].map(|factor| Stage { width: WRN_STEM * factor * size.value, blocks }))
}

fn wide_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    wide_network(size, interface, |block| block)
}

fn se_wide_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    wide_network(size, interface, |block| PreActivationConfig { recalibration: squeeze(), ..block })
}

fn imagenet_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let depth = size.name.rsplit('_').next().unwrap_or_default();
    let named = Size { name: depth, ..*size };
    let mut plan = Plan::new(interface);
    plan.push("stem", PlainConvConfig { stride: 2, ..PlainConvConfig::bare(size.value, 7) })?.named("stem");
    plan.push("stem", PoolingBlockConfig(vec![Pooling::Max(MaxPool2d { padding: 1, ..MaxPool2d::new(3, 2) })]))?;
    let branch = branch_of(&named)?;
    stages(&mut plan, &imagenet_stages(&named)?, |place| PreActivationConfig::new(branch(place.width), place.stride))?;
    plan.head(HeadPlan { as_convolution: true, ..HeadPlan::named("head.fc") });
    Ok(plan)
}
