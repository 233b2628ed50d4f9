//! Columns of the multi-column deep neural networks (Ciresan, Meier and Schmidhuber, arXiv 1202.2745): `mcdnn` is one, and
//! its ensembles (`mcdnn_e8`) are the columns whose probabilities are averaged.
//!
//! | name | images | layers (`C` convolution, `P` max-pool, `N` dense) |
//! |---|---|---|
//! | `mcdnn` | 32x32 colour | 300C3 P2 300C2 P2 300C3 P2 300C2 P2 300N 100N |
//! | `mcdnn_mnist` | 29x29 grey | 20C4 P2 40C5 P3 150N |
//! | `mcdnn_gtsrb` | 48x48 colour | 100C7 P2 150C4 P2 250C4 P2 300N |
//!
//! Convolutions have no padding, pools keep windows that the map does not fill, activations are `1.7159 tanh(2 x / 3)`. The
//! columns for CIFAR and traffic signs, and all starts, are as the paper is remembered, not copied from it. Every column of
//! the paper sees images prepared in its own way, which is for the data to do.

use mp_blocks::{PlainConvConfig, PlainDenseConfig, Pooling};
use mp_nn::{Activation, BiasInit, WeightInit};

use super::CIFAR;
use crate::{Error, Family, HeadPlan, InputSize, Interface, Knob, Make, Plan, Size};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "mcdnn",
        summary: "a column of a multi-column network, for 32x32 images (arXiv 1202.2745)",
        native: CIFAR,
        knob: Knob::width(300),
        make: Make::Chain(|size, interface| {
            let second = size.scaled(100, 1).max(10);
            plan(size, interface, &[(300, 3, 2), (300, 2, 2), (300, 3, 2), (300, 2, 2)], &[size.scaled(300, 1), second])
        }),
    },
    Family {
        name: "mcdnn_mnist",
        summary: "a column of a multi-column network, for MNIST (arXiv 1202.2745)",
        native: InputSize { channels: 1, size: 29, classes: 10 },
        knob: Knob::width(20),
        make: Make::Chain(|size, interface| plan(size, interface, &[(20, 4, 2), (40, 5, 3)], &[size.scaled(150, 1)])),
    },
    Family {
        name: "mcdnn_gtsrb",
        summary: "a column of a multi-column network, for traffic signs (arXiv 1202.2745)",
        native: InputSize { channels: 3, size: 48, classes: 43 },
        knob: Knob::width(100),
        make: Make::Chain(|size, interface| {
            plan(size, interface, &[(100, 7, 2), (150, 4, 2), (250, 4, 2)], &[size.scaled(300, 1)])
        }),
    },
];

/// Convolutions `(width, kernel, pool)`, then dense layers.
fn plan(size: &Size, interface: &Interface, convs: &[(i64, i64, i64)], dense: &[i64]) -> Result<Plan, Error> {
    let activation = Activation::ScaledTanh;
    let (init, bias_init) = (WeightInit::Uniform { bound: 0.05 }, BiasInit::Uniform { bound: 0.05 });
    let mut plan = Plan::new(interface);
    for (number, (width, kernel, pool)) in (1..).zip(convs) {
        let mut pools = vec![Pooling::max_ceil(*pool, *pool)];
        if number == convs.len() {
            pools.push(Pooling::Flatten);
        }
        let width = size.scaled(*width, 1);
        let conv =
            PlainConvConfig { activation, init, bias_init, pools, ..PlainConvConfig::new(width, *kernel).valid() };
        plan.push(&format!("stage{number}"), conv)?.named("").renamed("conv1", format!("conv{number}"));
    }
    for (number, width) in (1..).zip(dense) {
        let dense = PlainDenseConfig { activation, init, bias_init, ..PlainDenseConfig::new(*width) };
        plan.push("dense", dense)?.named("").renamed("dense1", format!("fc{number}"));
    }
    plan.head(HeadPlan { init, bias_init, ..HeadPlan::named(format!("fc{}", dense.len() + 1)) });
    Ok(plan)
}
