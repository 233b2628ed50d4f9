//! LeNet-5 (LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86, 1998, section II.B), for 32x32 images. Smaller
//! ones get two rows of zeros on each side, as the paper does with MNIST's 28x28.
//!
//! | layer | `lenet5` | `lenet5_1998` | output for 32x32 |
//! |---|---|---|---|
//! | C1 | 5x5 convolution, ReLU | 5x5 convolution, squashed | 6 of 28x28 |
//! | S2 | 2x2 max-pool | trained subsampling, squashed | 6 of 14x14 |
//! | C3 | 5x5 convolution, ReLU | 5x5 convolution of some of the maps, squashed | 16 of 10x10 |
//! | S4 | 2x2 max-pool | trained subsampling, squashed | 16 of 5x5 |
//! | C5 | dense, ReLU | 5x5 convolution, squashed | 120 |
//! | F6 | dense, ReLU | dense, squashed | 84 |
//! | output | dense | distances from fixed codes | `N` |
//!
//! `lenet5` is today's form, as in Kuang Liu's collection. `lenet5_1998` is the paper's as far as it is known to us, with 60,000
//! parameters: its activation is `1.7159 tanh(2 x / 3)`, C3 is wired by the paper's table I, and the logits are distances with
//! the sign changed, with which cross-entropy is the paper's equation 9 but for a constant. Ours are the codes (a fixed
//! pattern in place of drawn characters), the start of S2 and S4 (the mean of their window) and of C3 (the bound for its mean
//! number of inputs), and what another width than 6 means: maps are wired as those at the same share of the way.

use mp_blocks::{CodesConfig, PlainConvConfig, PlainDenseConfig, Pooling, SubsamplingConfig, WiredConvConfig};
use mp_nn::{Activation, BiasInit, WeightInit};

use super::{CIFAR, FASHION_MNIST};
use crate::{Error, Family, HeadPlan, Interface, Knob, Make, Plan, Size};

const KNOB: Knob = Knob::width(6);

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "lenet5",
        summary: "LeNet-5 with ReLU and max-pooling",
        native: CIFAR,
        knob: KNOB,
        make: Make::Chain(modern),
    },
    Family {
        name: "lenet5_1998",
        summary: "LeNet-5 as it was (LeCun et al., Proceedings of the IEEE 86, 1998)",
        native: FASHION_MNIST,
        knob: KNOB,
        make: Make::Chain(original),
    },
];

fn first_padding(interface: &Interface) -> i64 {
    let (height, width) = interface.input.extent();
    if height.min(width) < 32 { 2 } else { 0 }
}

fn modern(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let w = |width| size.scaled(width, 1);
    let conv = |width| PlainConvConfig { pools: vec![Pooling::max(2, 2)], ..PlainConvConfig::new(width, 5).valid() };
    let mut plan = Plan::new(interface);
    let padding = first_padding(interface).into();
    plan.push("stage1", PlainConvConfig { padding, ..conv(w(6)) })?.named("");
    let second = PlainConvConfig { pools: vec![Pooling::max(2, 2), Pooling::Flatten], ..conv(w(16)) };
    plan.push("stage2", second)?.named("").renamed("conv1", "conv2");
    for (name, width) in [("fc1", 120), ("fc2", 84)] {
        plan.push("dense", PlainDenseConfig::new(w(width)))?.named("").renamed("dense1", name);
    }
    plan.head(HeadPlan::named("fc3"));
    Ok(plan)
}

fn original(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let w = |width| size.scaled(width, 1);
    let activation = Activation::ScaledTanh;
    let bound = |fan_in: i64| 2.4 / fan_in as f64;
    let conv = |width, fan_in| PlainConvConfig {
        activation,
        init: WeightInit::Uniform { bound: bound(fan_in) },
        bias_init: BiasInit::Uniform { bound: bound(fan_in) },
        ..PlainConvConfig::new(width, 5).valid()
    };
    let subsampling = SubsamplingConfig { activation, start: 0.25 };
    let wiring = wiring(w(6), w(16));
    let wires: usize = wiring.iter().map(Vec::len).sum();
    let wired = WiredConvConfig { bound: bound(25 * wires as i64 / w(16)), wiring, kernel: 5, activation };
    let first =
        PlainConvConfig { padding: first_padding(interface).into(), ..conv(w(6), 25 * interface.input.channels()) };

    let mut plan = Plan::new(interface);
    plan.push("stage1", first)?.named("").renamed("conv1", "c1");
    plan.push("stage1", subsampling)?.named("s2");
    plan.push("stage2", wired)?.named("c3");
    plan.push("stage2", subsampling)?.named("s4");
    let last = PlainConvConfig { pools: vec![Pooling::Flatten], ..conv(w(120), 25 * w(16)) };
    plan.push("stage3", last)?.named("").renamed("conv1", "c5");
    let start = bound(plan.shape().channels());
    let dense = PlainDenseConfig {
        activation,
        init: WeightInit::Uniform { bound: start },
        bias_init: BiasInit::Uniform { bound: start },
        ..PlainDenseConfig::new(w(84))
    };
    plan.push("dense", dense)?.named("").renamed("dense1", "f6");
    plan.push("output", CodesConfig { classes: interface.first_classes() })?.named("output");
    plan.without_head();
    Ok(plan)
}

/// C3's wiring for so many maps on both sides.
fn wiring(inputs: i64, outputs: i64) -> Vec<Vec<i64>> {
    let published = WiredConvConfig::lenet5_wiring();
    let reads = |output: i64| &published[(output * 16 / outputs) as usize];
    (0..outputs)
        .map(|output| (0..inputs).filter(|input| reads(output).contains(&(input * 6 / inputs))).collect())
        .collect()
}
