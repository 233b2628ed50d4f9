//! Densely connected networks (Huang et al., arXiv 1608.06993): each layer appends `k` maps to all that come before it.
//!
//! | names | what |
//! |---|---|
//! | `densenet121` to `201` | for 224x224, with torchvision's names: a 7x7 stem to `2k` and max-pool, four dense blocks with bottlenecks, halved channels between them |
//! | `densenet40_k12`, `densenet100_k12` | for 32x32: a bare 3x3 stem to 16, three dense blocks of single convolutions, all channels kept between them |
//! | `densenetbc100_k12`, ... | the same with a stem to `2k`, bottlenecks to `4k` and halved channels |
//! | `cfr_densenetbc100_k12` | the same, the new maps of each layer scaled by squeeze-and-excitation: the channel-wise form of Multiple Feature Reweight DenseNet (K. Zhang et al., IEEE Access 7, 2019) |
//!
//! A transition between two dense blocks is the first block of the stage after it. The authors' code has a stem to `2k` in
//! the plain networks too; the paper, and we, have 16.

use mp_blocks::{
    ConvBlockConfig, DenseLayerConfig, DenseSteps, NormReluConfig, PlainConvConfig, Pool, Recalibration, SharedBlock,
    SqueezeExciteConfig, TransitionConfig,
};
use mp_nn::WeightInit;

use super::{CIFAR, IMAGENET};
use crate::{Error, Family, HeadPlan, Interface, Knob, Make, Plan, Size};

type MakePlan = fn(&Size, &Interface) -> Result<Plan, Error>;

const BOTTLENECK: DenseSteps = DenseSteps::Bottleneck(4);

const fn imagenet(name: &'static str, growth: i64) -> Family {
    let summary = "densely connected network, ImageNet form (arXiv 1608.06993)";
    Family { name, summary, native: IMAGENET, knob: Knob::growth(growth), make: Make::Chain(imagenet_plan) }
}

const fn cifar(name: &'static str, growth: i64, make: MakePlan) -> Family {
    let summary = "densely connected network, CIFAR form (arXiv 1608.06993)";
    Family { name, summary, native: CIFAR, knob: Knob::growth(growth), make: Make::Chain(make) }
}

pub(super) const FAMILIES: &[Family] = &[
    imagenet("densenet121", 32),
    imagenet("densenet161", 48),
    imagenet("densenet169", 32),
    imagenet("densenet201", 32),
    cifar("densenet40", 12, plain_plan),
    cifar("densenet100", 12, plain_plan),
    cifar("densenetbc40", 12, compressed_plan),
    cifar("densenetbc100", 12, compressed_plan),
    cifar("densenetbc190", 40, compressed_plan),
    cifar("densenetbc250", 24, compressed_plan),
    cifar("cfr_densenetbc100", 12, reweighted_plan),
];

fn imagenet_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let layers = match size.depth()? {
        121 => [6, 12, 24, 16],
        161 => [6, 12, 36, 24],
        169 => [6, 12, 32, 32],
        _ => [6, 12, 48, 32],
    };
    let init = WeightInit::KaimingNormalFanIn;
    let layer = DenseLayerConfig { init, ..DenseLayerConfig::new(size.value, BOTTLENECK) };
    let mut plan = Plan::new(interface);
    let pool = Pool::Max { kernel: 3, stride: 2, padding: 1 };
    let stem = ConvBlockConfig { kernel: 7, stride: 2, padding: 3, pool, ..ConvBlockConfig::new(2 * size.value) };
    plan.push("stem", stem)?.named("features").renamed("conv1", "conv0").renamed("bn1", "norm0");
    for (number, layers) in (1..).zip(layers) {
        let stage = format!("stage{number}");
        if number > 1 {
            let transition = TransitionConfig { out_channels: plan.shape().channels() / 2, init };
            plan.push(&stage, transition)?.named(format!("features.transition{}", number - 1));
        }
        for index in 1..=layers {
            plan.push(&stage, layer.clone())?.named(format!("features.denseblock{number}.denselayer{index}"));
        }
    }
    plan.push("stage4", NormReluConfig)?.named("features").renamed("norm", "norm5");
    plan.head(HeadPlan::named("classifier"));
    plan.dropout_inside();
    Ok(plan)
}

fn plain_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let layer = DenseLayerConfig::new(size.value, DenseSteps::Single);
    let layers = (size.depth()? - 4) / 3;
    dense_stages(interface, 16, |channels| channels, &vec![layer.into(); layers as usize])
}

fn compressed_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    compressed(size, interface, DenseLayerConfig::new(size.value, BOTTLENECK))
}

fn reweighted_plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let recalibration = Some(Recalibration::SqueezeExcite(SqueezeExciteConfig::new(4)));
    compressed(size, interface, DenseLayerConfig { recalibration, ..DenseLayerConfig::new(size.value, BOTTLENECK) })
}

fn compressed(size: &Size, interface: &Interface, layer: DenseLayerConfig) -> Result<Plan, Error> {
    let layers = (size.depth()? - 4) / 6;
    dense_stages(interface, 2 * size.value, |channels| channels / 2, &vec![layer.into(); layers as usize])
}

/// A bare stem, three stages of the given blocks with transitions between them, a norm and a ReLU.
/// `compress` gives a transition's channels for those that come to it.
pub(super) fn dense_stages(
    interface: &Interface,
    stem: i64,
    compress: impl Fn(i64) -> i64,
    blocks: &[SharedBlock],
) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    plan.push("stem", PlainConvConfig::bare(stem, 3))?;
    for number in 1..=3 {
        let stage = format!("stage{number}");
        if number > 1 {
            let out_channels = compress(plan.shape().channels()).max(1);
            plan.push(&stage, TransitionConfig { out_channels, init: WeightInit::KaimingNormalFanOut })?;
        }
        for block in blocks {
            plan.push(&stage, block.clone())?;
        }
    }
    plan.push("stage3", NormReluConfig)?;
    plan.dropout_inside();
    Ok(plan)
}
