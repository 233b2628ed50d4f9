//! Dense networks of rectifiers (Glorot, Bordes and Bengio, Deep Sparse Rectifier Neural Networks, AISTATS 2011): three
//! hidden layers of 1000 units, which learn without unsupervised training before.
//!
//! | name | activation |
//! |---|---|
//! | `rectifier_mlp` | `max(x, 0)` |
//! | `balanced_rectifier_mlp` | the same, of half of the units with the sign changed |
//! | `softplus_mlp` | `ln(1 + exp x)` |
//! | `tanh_mlp` | `tanh x` |
//!
//! Widths and starts are as the paper is remembered, not copied from it. Its penalty on activations and its training of
//! layers as denoising auto-encoders are ways to train, not part of the network.

use mp_blocks::{PlainDenseConfig, Pooling, PoolingBlockConfig};
use mp_nn::{Activation, BiasInit, WeightInit};

use super::CIFAR;
use crate::{Error, Family, HeadPlan, Interface, Knob, Make, Plan, Size};

const fn family(
    name: &'static str,
    summary: &'static str,
    make: fn(&Size, &Interface) -> Result<Plan, Error>,
) -> Family {
    let knob = Knob { what: "units of a layer", ..Knob::width(1000) };
    Family { name, summary, native: CIFAR, knob, make: Make::Chain(make) }
}

pub(super) const FAMILIES: &[Family] = &[
    family("rectifier_mlp", "three hidden layers of rectifiers (Glorot et al., AISTATS 2011)", |size, interface| {
        plan(size, interface, Activation::Relu)
    }),
    family("balanced_rectifier_mlp", "rectifier_mlp with half of the signs changed", |size, interface| {
        plan(size, interface, Activation::BalancedRelu)
    }),
    family("softplus_mlp", "rectifier_mlp with smooth rectifiers", |size, interface| {
        plan(size, interface, Activation::Softplus)
    }),
    family("tanh_mlp", "rectifier_mlp with tanh units", |size, interface| plan(size, interface, Activation::Tanh)),
];

fn plan(size: &Size, interface: &Interface, activation: Activation) -> Result<Plan, Error> {
    let (init, bias_init) = (WeightInit::GlorotUniform, BiasInit::Constant(0.0));
    let mut plan = Plan::new(interface);
    plan.push("flatten", PoolingBlockConfig(vec![Pooling::Flatten]))?;
    for number in 1..=3 {
        let dense = PlainDenseConfig { activation, init, bias_init, ..PlainDenseConfig::new(size.value) };
        plan.push(&format!("stage{number}"), dense)?.named("").renamed("dense1", format!("fc{number}"));
    }
    plan.head(HeadPlan { init, bias_init, ..HeadPlan::named("fc4") });
    Ok(plan)
}
