//! AlexNet (Krizhevsky, Sutskever and Hinton, NIPS 2012): five convolutions and three dense layers.
//!
//! | layer | `alexnet` | `alexnet_towers` | `alexnet_cifar`, `alexnet_towers_cifar` | `alexnet_stem11_cifar` |
//! |---|---|---|---|---|
//! | 1 | 11x11, step 4, 64, pool 3/2 | 11x11, step 4, 96, LRN, pool 3/2 | 3x3, 64, (LRN,) pool 2/2 | 11x11, step 4, 64, pool 2/2 |
//! | 2 | 5x5, 192, pool 3/2 | 5x5 in two groups, 256, LRN, pool 3/2 | 3x3, 192, (LRN,) pool 2/2 | 5x5, 192, pool 2/2 |
//! | 3 | 3x3, 384 | 3x3, 384 | 3x3, 384 | 3x3, 384 |
//! | 4 | 3x3, 256 | 3x3 in two groups, 384 | 3x3, 256 | 3x3, 256 |
//! | 5 | 3x3, 256, pool 3/2, to 6x6 | 3x3 in two groups, 256, pool 3/2 | 3x3, 256, pool 2/2 | 3x3, 256, pool 2/2 |
//! | 6, 7 | dense 4096, 4096 | dense 4096, 4096 | dense 1024, 512 | none |
//!
//! `alexnet` is torchvision's, after Krizhevsky's "one weird trick" (arXiv 1404.5997): one tower without response
//! normalisation (LRN), and dropout before the dense layers. `alexnet_towers` is the network of 2012: two GPUs held half of
//! the channels each and met at layer 3 and at the dense layers, which two groups in layers 2, 4 and 5 reproduce; its images
//! are 227 wide, where the paper prints 224. Its starts are the paper's, but for the biases of 1, for which Caffe's 0.1 is
//! taken: with 1, others could not make it train. The CIFAR forms are ours but for `alexnet_stem11_cifar`, which is common in
//! collections of CIFAR networks (Yang's pytorch-classification); that of the towers has groups in layers 2, 4 and 5.

use mp_blocks::{PlainConvConfig, PlainDenseConfig, Pooling};
use mp_nn::{BiasInit, LocalResponseNormConfig, WeightInit};

use super::{CIFAR, IMAGENET};
use crate::{Error, Family, HeadPlan, InputSize, Interface, Knob, Make, Plan, Size};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "alexnet",
        summary: "five convolutions and three dense layers, torchvision's (arXiv 1404.5997)",
        native: IMAGENET,
        knob: Knob::width(64),
        make: Make::Chain(alexnet),
    },
    Family {
        name: "alexnet_towers",
        summary: "AlexNet of 2012: two towers, response normalisation (Krizhevsky et al., NIPS 2012)",
        native: InputSize { size: 227, ..IMAGENET },
        knob: Knob::width(96),
        make: Make::Chain(towers),
    },
    Family {
        name: "alexnet_cifar",
        summary: "AlexNet with 3x3 convolutions and narrower dense layers, for 32x32 images",
        native: CIFAR,
        knob: Knob::width(64),
        make: Make::Chain(|size, interface| cifar(size, interface, false)),
    },
    Family {
        name: "alexnet_towers_cifar",
        summary: "AlexNet for 32x32 images, in two towers and with response normalisation",
        native: CIFAR,
        knob: Knob::width(64),
        make: Make::Chain(|size, interface| cifar(size, interface, true)),
    },
    Family {
        name: "alexnet_stem11_cifar",
        summary: "AlexNet for 32x32 images with the 11x11 convolution and one dense layer",
        native: CIFAR,
        knob: Knob::width(64),
        make: Make::Chain(stem11),
    },
];

/// The convolutions in order, one a stage, each with torchvision's place below `features`.
fn features(plan: &mut Plan, convolutions: Vec<PlainConvConfig>, places: [&str; 5]) -> Result<(), Error> {
    for ((number, conv), place) in (1..).zip(convolutions).zip(places) {
        plan.push(&format!("stage{number}"), conv)?.named("features").renamed("conv1", place);
    }
    Ok(())
}

fn alexnet(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let w = |width| size.scaled(width, 4);
    let third = || vec![Pooling::max(3, 2)];
    let mut plan = Plan::new(interface);
    let convolutions = vec![
        PlainConvConfig { stride: 4, padding: 2.into(), pools: third(), ..PlainConvConfig::new(w(64), 11) },
        PlainConvConfig { pools: third(), ..PlainConvConfig::new(w(192), 5) },
        PlainConvConfig::new(w(384), 3),
        PlainConvConfig::new(w(256), 3),
        PlainConvConfig {
            pools: vec![Pooling::max(3, 2), Pooling::Adaptive(6), Pooling::Flatten],
            ..PlainConvConfig::new(w(256), 3)
        },
    ];
    features(&mut plan, convolutions, ["0", "3", "6", "8", "10"])?;
    for place in ["1", "4"] {
        let dense = PlainDenseConfig { dropout_before: 0.5, ..PlainDenseConfig::new(w(4096)) };
        plan.push("dense", dense)?.named("classifier").renamed("dense1", place);
    }
    plan.head(HeadPlan::named("classifier.6"));
    Ok(plan)
}

fn towers(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let w = |width| size.scaled(width, 4);
    let third = || vec![Pooling::max(3, 2)];
    let init = WeightInit::Normal { std: 0.01 };
    let (zero, positive) = (BiasInit::Constant(0.0), BiasInit::Constant(0.1));
    let conv = |width, kernel: i64| PlainConvConfig { init, bias_init: zero, ..PlainConvConfig::new(w(width), kernel) };
    let split = |width, kernel| PlainConvConfig { groups: 2, bias_init: positive, ..conv(width, kernel) };
    let response = Some(LocalResponseNormConfig::paper());
    let mut plan = Plan::new(interface);
    let convolutions = vec![
        PlainConvConfig { stride: 4, response, pools: third(), ..conv(96, 11).valid() },
        PlainConvConfig { response, pools: third(), ..split(256, 5) },
        conv(384, 3),
        split(384, 3),
        PlainConvConfig { pools: vec![Pooling::max(3, 2), Pooling::Flatten], ..split(256, 3) },
    ];
    features(&mut plan, convolutions, ["0", "4", "8", "10", "12"])?;
    for place in ["0", "3"] {
        let dense = PlainDenseConfig {
            init: WeightInit::Normal { std: 0.005 },
            bias_init: positive,
            dropout: 0.5,
            ..PlainDenseConfig::new(w(4096))
        };
        plan.push("dense", dense)?.named("classifier").renamed("dense1", place);
    }
    plan.head(HeadPlan { init, bias_init: zero, ..HeadPlan::named("classifier.6") });
    Ok(plan)
}

fn cifar(size: &Size, interface: &Interface, towers: bool) -> Result<Plan, Error> {
    let w = |width| size.scaled(width, 4);
    let half = || vec![Pooling::max(2, 2)];
    let groups = if towers { 2 } else { 1 };
    let response = towers.then(LocalResponseNormConfig::paper);
    let conv = |width| PlainConvConfig::new(w(width), 3);
    let mut plan = Plan::new(interface);
    let convolutions = vec![
        PlainConvConfig { response, pools: half(), ..conv(64) },
        PlainConvConfig { groups, response, pools: half(), ..conv(192) },
        conv(384),
        PlainConvConfig { groups, ..conv(256) },
        PlainConvConfig { groups, pools: vec![Pooling::max(2, 2), Pooling::Flatten], ..conv(256) },
    ];
    features(&mut plan, convolutions, ["0", "3", "6", "8", "10"])?;
    for (place, width) in [("1", 1024), ("4", 512)] {
        let dense = PlainDenseConfig { dropout_before: 0.5, ..PlainDenseConfig::new(w(width)) };
        plan.push("dense", dense)?.named("classifier").renamed("dense1", place);
    }
    plan.head(HeadPlan::named("classifier.6"));
    Ok(plan)
}

fn stem11(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let w = |width| size.scaled(width, 4);
    let half = || vec![Pooling::max(2, 2)];
    let mut plan = Plan::new(interface);
    let convolutions = vec![
        PlainConvConfig { stride: 4, pools: half(), ..PlainConvConfig::new(w(64), 11) },
        PlainConvConfig { pools: half(), ..PlainConvConfig::new(w(192), 5) },
        PlainConvConfig::new(w(384), 3),
        PlainConvConfig::new(w(256), 3),
        PlainConvConfig { pools: vec![Pooling::max(2, 2), Pooling::Flatten], ..PlainConvConfig::new(w(256), 3) },
    ];
    features(&mut plan, convolutions, ["0", "3", "6", "8", "10"])?;
    plan.head(HeadPlan::named("classifier"));
    Ok(plan)
}
