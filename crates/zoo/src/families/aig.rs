//! ConvNet-AIG (Veit and Belongie, arXiv 1711.11503): residual networks for 32x32 images, each block of which every image runs
//! or skips, `relu(S(X) + z F(X))`.
//!
//! A gate of two dense layers reads the means of the block's input. Training draws `z` with Gumbel noise, and the target-rate
//! loss holds each block to a share of the images; `aig110` is the published network, and `aig20` and `aig38` are ours. The
//! shortcuts that change shape always run.
//!
//! Where we differ from the authors' code: evaluation runs a block where that is more probable than not, where theirs draws
//! again; the temperature is one, as in theirs, but is used; convolutions start as in our `resnet110`.

use mp_blocks::{SkipForm, SkipGateConfig, SkippableConfig};
use mp_routing::SkipRule;

use super::CIFAR;
use super::cifar_resnet::residual;
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

const fn family(name: &'static str, summary: &'static str) -> Family {
    Family { name, summary, native: CIFAR, knob: Knob::width(16), make: Make::Chain(plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    family("aig20", "ConvNet-AIG of 20 layers: each image skips blocks (arXiv 1711.11503)"),
    family("aig38", "ConvNet-AIG of 38 layers: each image skips blocks (arXiv 1711.11503)"),
    family("aig110", "ConvNet-AIG of 110 layers: each image skips blocks (arXiv 1711.11503)"),
];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    residual(size, interface, |_, residual| SkippableConfig {
        residual,
        gate: SkipGateConfig::Relevance { hidden: 16 },
        rule: SkipRule::Gumbel { temperature: 1.0 },
        form: SkipForm::InsideRelu,
    })
}
