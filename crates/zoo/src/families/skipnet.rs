//! SkipNet (Wang et al., arXiv 1711.09485) with feed-forward gates: residual networks for 32x32 images, each block of which but
//! the first every image runs or skips, `z relu(S(X) + F(X)) + (1 - z) S(X)`.
//!
//! A gate of convolutions reads the block's input: two convolutions (gate I), but one (gate II) in the network of 110 layers.
//! Supervised training runs a block where its probability is above one half, with the gradient of the probability; the procedure
//! `score_function` then trades accuracy for time. `skipnet20` is ours, the others are published.
//!
//! Where we differ from the authors' code: there is no gate after the last block, which decides nothing, and a shortcut that
//! changes shape runs once a block, not twice, so that the statistics of its norm move once.

use mp_blocks::{SharedBlock, SkipForm, SkipGateConfig, SkippableConfig};
use mp_routing::SkipRule;

use super::CIFAR;
use super::cifar_resnet::residual;
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

const fn family(name: &'static str, summary: &'static str) -> Family {
    Family { name, summary, native: CIFAR, knob: Knob::width(16), make: Make::Chain(plan) }
}

pub(super) const FAMILIES: &[Family] = &[
    family("skipnet20", "SkipNet of 20 layers: each image skips blocks, gate I (arXiv 1711.09485)"),
    family("skipnet38", "SkipNet of 38 layers: each image skips blocks, gate I (arXiv 1711.09485)"),
    family("skipnet74", "SkipNet of 74 layers: each image skips blocks, gate I (arXiv 1711.09485)"),
    family("skipnet110", "SkipNet of 110 layers: each image skips blocks, gate II (arXiv 1711.09485)"),
];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let gate = if size.depth()? < 110 { SkipGateConfig::TwoConvolutions } else { SkipGateConfig::OneConvolution };
    residual(size, interface, |place, residual| -> SharedBlock {
        if (place.stage, place.index) == (1, 0) {
            return residual.into();
        }
        SkippableConfig { residual, gate, rule: SkipRule::Threshold, form: SkipForm::AfterRelu }.into()
    })
}
