//! Inception-ResNet-v2 (Szegedy et al., arXiv 1602.07261, section 3.2), with timm's names: modules whose branches are joined
//! by a 1x1 convolution, scaled down and added to their input.
//!
//! | place | what | output for 299x299 |
//! |---|---|---|
//! | `conv2d_1a` to `4a` | Inception-v3's stem | 192 of 35x35 |
//! | `mixed_5b` | four branches | 320 of 35x35 |
//! | `repeat` | ten blocks, scaled by 0.17 | 320 of 35x35 |
//! | `mixed_6a` | reduction | 1088 of 17x17 |
//! | `repeat_1` | twenty blocks, scaled by 0.1 | 1088 of 17x17 |
//! | `mixed_7a` | reduction | 2080 of 8x8 |
//! | `repeat_2`, `block8` | nine blocks, scaled by 0.2; one unscaled, without a ReLU | 2080 of 8x8 |
//! | `conv2d_7b` | 1x1 convolution | 1536 of 8x8 |
//!
//! In `inception_resnet_v2_cifar`, for 32x32 images, the stem keeps their size. The mean in `mixed_5b` leaves out what lies
//! beyond the edge. Starts are Inception-v3's in torchvision; the convolutions before the sums, which have a bias and no
//! norm, keep PyTorch's.

use mp_blocks::{ConcatConfig, PlainConvConfig, Pooling, ScaledSumConfig, SharedBlock};
use mp_nn::{Activation, WeightInit};

use super::inception::{Convs, at, branches, chain, max_halving, mean_same, numbered, push, push_stem};
use super::{CIFAR, IMAGENET};
use crate::{Error, Family, HeadPlan, InputSize, Interface, Knob, Make, Plan, Size};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "inception_resnet_v2",
        summary: "Inception-ResNet-v2, timm's (arXiv 1602.07261)",
        native: InputSize { size: 299, ..IMAGENET },
        knob: Knob::width(32),
        make: Make::Chain(|size, interface| plan(size, interface, false)),
    },
    Family {
        name: "inception_resnet_v2_cifar",
        summary: "Inception-ResNet-v2 for 32x32 images",
        native: CIFAR,
        knob: Knob::width(32),
        make: Make::Chain(|size, interface| plan(size, interface, true)),
    },
];

fn plan(size: &Size, interface: &Interface, small: bool) -> Result<Plan, Error> {
    let convs = Convs { size, init: WeightInit::Normal { std: 0.1 } };
    let pools = || vec![Pooling::max(3, 2)];
    let stem = vec![
        ("conv2d_1a", convs.halving(32)),
        ("conv2d_2a", convs.valid(32, 3)),
        ("conv2d_2b", PlainConvConfig { pools: pools(), ..convs.same(64, 3) }),
        ("conv2d_3b", convs.valid(80, 1)),
        ("conv2d_4a", PlainConvConfig { pools: pools(), ..convs.valid(192, 3) }),
    ];
    let mut plan = Plan::new(interface);
    push_stem(&mut plan, stem, small)?;
    push(&mut plan, "stage1", "mixed_5b", mixed_5b(&convs))?;
    repeat(&mut plan, "stage1", "repeat", 10, 0.17, block35(&convs))?;
    push(&mut plan, "stage2", "mixed_6a", mixed_6a(&convs))?;
    repeat(&mut plan, "stage2", "repeat_1", 20, 0.1, block17(&convs))?;
    push(&mut plan, "stage3", "mixed_7a", mixed_7a(&convs))?;
    repeat(&mut plan, "stage3", "repeat_2", 9, 0.2, block8(&convs))?;
    let last = sum(&plan, block8(&convs), 1.0, false);
    push(&mut plan, "stage3", "block8", last)?;
    push(&mut plan, "stage3", "conv2d_7b", convs.same(1536, 1))?;
    plan.head(HeadPlan { dropout: 0.2, init: convs.init, ..HeadPlan::named("classif") });
    Ok(plan)
}

/// The branches, joined by a 1x1 convolution as wide as the map before it, scaled and added to that map.
fn sum(plan: &Plan, branches: ConcatConfig, scale: f64, relu: bool) -> ScaledSumConfig {
    let join = PlainConvConfig {
        activation: Activation::Identity,
        names: ["conv2d", "bn"],
        ..PlainConvConfig::new(plan.shape().channels(), 1)
    };
    ScaledSumConfig { branch: chain(vec![at("", branches), at("", join)]), scale, relu }
}

fn repeat(
    plan: &mut Plan,
    stage: &str,
    place: &str,
    times: usize,
    scale: f64,
    branches: ConcatConfig,
) -> Result<(), Error> {
    let block: SharedBlock = sum(plan, branches, scale, true).into();
    (0..times).try_for_each(|number| push(plan, stage, format!("{place}.{number}"), block.clone()))
}

fn mixed_5b(convs: &Convs<'_>) -> ConcatConfig {
    branches(
        0,
        vec![
            convs.same(96, 1).into(),
            numbered([convs.same(48, 1), convs.same(64, 5)]),
            numbered([convs.same(64, 1), convs.same(96, 3), convs.same(96, 3)]),
            numbered([mean_same(false), convs.same(64, 1).into()]),
        ],
    )
}

fn block35(convs: &Convs<'_>) -> ConcatConfig {
    branches(
        0,
        vec![
            convs.same(32, 1).into(),
            numbered([convs.same(32, 1), convs.same(32, 3)]),
            numbered([convs.same(32, 1), convs.same(48, 3), convs.same(64, 3)]),
        ],
    )
}

fn mixed_6a(convs: &Convs<'_>) -> ConcatConfig {
    let deep = numbered([convs.same(256, 1), convs.same(256, 3), convs.halving(384)]);
    branches(0, vec![convs.halving(384).into(), deep, max_halving()])
}

fn block17(convs: &Convs<'_>) -> ConcatConfig {
    let deep = numbered([convs.same(128, 1), convs.same(160, (1, 7)), convs.same(192, (7, 1))]);
    branches(0, vec![convs.same(192, 1).into(), deep])
}

fn mixed_7a(convs: &Convs<'_>) -> ConcatConfig {
    branches(
        0,
        vec![
            numbered([convs.same(256, 1), convs.halving(384)]),
            numbered([convs.same(256, 1), convs.halving(288)]),
            numbered([convs.same(256, 1), convs.same(288, 3), convs.halving(320)]),
            max_halving(),
        ],
    )
}

fn block8(convs: &Convs<'_>) -> ConcatConfig {
    let deep = numbered([convs.same(192, 1), convs.same(224, (1, 3)), convs.same(256, (3, 1))]);
    branches(0, vec![convs.same(192, 1).into(), deep])
}
