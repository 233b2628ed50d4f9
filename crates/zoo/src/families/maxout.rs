//! Maxout networks: the convolutional one for CIFAR (Goodfellow et al., arXiv 1302.4389), and FitNets, its thin and deep
//! students (Romero et al., arXiv 1412.6550).
//!
//! | name | convolutions, each the largest of two pieces |
//! |---|---|
//! | `maxout` | 8x8 to 96, pool; 8x8 to 192, pool; 5x5 to 192, pool |
//! | `fitnet1` | 3x3 to 16 16 16, pool; 32 32 32, pool; 48 48 64, pool |
//! | `fitnet2` | 3x3 to 16 32 32, pool; 48 64 80, pool; 96 96 128, pool |
//! | `fitnet3` | 3x3 to 32 48 64 64, pool; 80 80 80 80, pool; 128 128 128, pool |
//! | `fitnet4` | 3x3 to 32 32 32 48 48, pool; six of 80, pool; six of 128, pool |
//!
//! A dense maxout layer of 500 units of five pieces and a dense classifier follow. `maxout` pools overlapping windows (4x4
//! and 4x4 with a step of 2, 2x2), rounded up, and drops a fifth of the input and half of what every other layer reads;
//! FitNets pool by 2x2, 2x2 and, at last, the whole map. Their hints are a way to train, not part of the network.
//!
//! A unit's pieces are neighbouring channels; pylearn2 has them apart, which matters for files of weights only.

use mp_blocks::{PlainConvConfig, PlainDenseConfig, Pooling};
use mp_nn::{BiasInit, WeightInit};

use super::CIFAR;
use crate::{Error, Family, HeadPlan, Interface, Knob, Make, Plan, Size};

const fn fitnet(name: &'static str, summary: &'static str, width: i64) -> Family {
    Family { name, summary, native: CIFAR, knob: Knob::width(width), make: Make::Chain(student) }
}

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "maxout",
        summary: "three maxout convolutions, for 32x32 images (arXiv 1302.4389)",
        native: CIFAR,
        knob: Knob::width(96),
        make: Make::Chain(maxout),
    },
    fitnet("fitnet1", "FitNet of 11 layers (arXiv 1412.6550)", 16),
    fitnet("fitnet2", "FitNet of 11 layers, wider (arXiv 1412.6550)", 16),
    fitnet("fitnet3", "FitNet of 13 layers (arXiv 1412.6550)", 32),
    fitnet("fitnet4", "FitNet of 19 layers (arXiv 1412.6550)", 32),
];

const START: WeightInit = WeightInit::Uniform { bound: 0.005 };
const ZERO: BiasInit = BiasInit::Constant(0.0);

fn conv(width: i64, kernel: i64) -> PlainConvConfig {
    PlainConvConfig {
        activation: mp_nn::Activation::Identity,
        pieces: 2,
        init: START,
        bias_init: ZERO,
        ..PlainConvConfig::new(width, kernel)
    }
}

/// The dense layers.
fn dense(plan: &mut Plan, size: &Size, dropout: f64) -> Result<(), Error> {
    let dense = PlainDenseConfig {
        activation: mp_nn::Activation::Identity,
        pieces: 5,
        init: START,
        bias_init: ZERO,
        dropout_before: dropout,
        ..PlainDenseConfig::new(size.scaled(500, 4))
    };
    plan.push("dense", dense)?.named("").renamed("dense1", "fc1");
    plan.head(HeadPlan { dropout, init: START, bias_init: ZERO, ..HeadPlan::named("fc2") });
    Ok(())
}

fn maxout(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let layers = [
        (96, 8, 4, 0.2, vec![Pooling::max_ceil(4, 2)]),
        (192, 8, 3, 0.5, vec![Pooling::max_ceil(4, 2)]),
        (192, 5, 3, 0.5, vec![Pooling::max_ceil(2, 2), Pooling::Flatten]),
    ];
    let mut plan = Plan::new(interface);
    for (number, (width, kernel, padding, dropout_before, pools)) in (1..).zip(layers) {
        let padding = padding.into();
        let conv = PlainConvConfig { padding, dropout_before, pools, ..conv(size.scaled(width, 4), kernel) };
        plan.push(&format!("stage{number}"), conv)?.named("").renamed("conv1", format!("conv{number}"));
    }
    dense(&mut plan, size, 0.5)?;
    Ok(plan)
}

fn student(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let stages: [&[i64]; 3] = match size.depth()? {
        1 => [&[16, 16, 16], &[32, 32, 32], &[48, 48, 64]],
        2 => [&[16, 32, 32], &[48, 64, 80], &[96, 96, 128]],
        3 => [&[32, 48, 64, 64], &[80; 4], &[128; 3]],
        _ => [&[32, 32, 32, 48, 48], &[80; 6], &[128; 6]],
    };
    let mut plan = Plan::new(interface);
    let mut layer = 0;
    for (number, widths) in (1..).zip(stages) {
        for (at, width) in (1..).zip(widths) {
            let (height, width_of_map) = plan.shape().extent();
            let side = height.min(width_of_map);
            let pools = match (at == widths.len(), number) {
                (false, _) => Vec::new(),
                (true, 3) => vec![Pooling::max(side, side), Pooling::Flatten],
                (true, _) => vec![Pooling::max(2, 2)],
            };
            layer += 1;
            let conv = PlainConvConfig { pools, ..conv(size.scaled(*width, 4), 3) };
            plan.push(&format!("stage{number}"), conv)?.named("").renamed("conv1", format!("conv{layer}"));
        }
    }
    dense(&mut plan, size, 0.0)?;
    Ok(plan)
}
