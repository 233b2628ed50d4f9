//! Inception-v4 (Szegedy et al., arXiv 1602.07261, section 3.2), with timm's names.
//!
//! | place | what | output for 299x299 |
//! |---|---|---|
//! | `features.0` to `2` | 3x3 with a step of 2 to 32, 3x3 to 32, 3x3 to 64 | 64 of 147x147 |
//! | `features.3` to `5` | three times two branches, two of which halve the map by a pool and a convolution | 384 of 35x35 |
//! | `features.6` to `9` | modules A | 384 of 35x35 |
//! | `features.10` | reduction A | 1024 of 17x17 |
//! | `features.11` to `17` | modules B | 1024 of 17x17 |
//! | `features.18` | reduction B | 1536 of 8x8 |
//! | `features.19` to `21` | modules C | 1536 of 8x8 |
//!
//! In `inception_v4_cifar`, for 32x32 images, the stem keeps their size. The means beside the modules leave out what lies
//! beyond the edge. Starts are Inception-v3's in torchvision.

use mp_blocks::{ConcatConfig, PlainConvConfig, SharedBlock};
use mp_nn::WeightInit;

use super::inception::{Convs, at, branches, chain, max_halving, max_same, mean_same, numbered, push, push_stem};
use super::{CIFAR, IMAGENET};
use crate::{Error, Family, HeadPlan, InputSize, Interface, Knob, Make, Plan, Size};

pub(super) const FAMILIES: &[Family] = &[
    Family {
        name: "inception_v4",
        summary: "Inception-v4, timm's (arXiv 1602.07261)",
        native: InputSize { size: 299, ..IMAGENET },
        knob: Knob::width(32),
        make: Make::Chain(|size, interface| plan(size, interface, false)),
    },
    Family {
        name: "inception_v4_cifar",
        summary: "Inception-v4 for 32x32 images",
        native: CIFAR,
        knob: Knob::width(32),
        make: Make::Chain(|size, interface| plan(size, interface, true)),
    },
];

fn plan(size: &Size, interface: &Interface, small: bool) -> Result<Plan, Error> {
    let convs = Convs { size, init: WeightInit::Normal { std: 0.1 } };
    let mut plan = Plan::new(interface);
    let first =
        vec![("features.0", convs.halving(32)), ("features.1", convs.valid(32, 3)), ("features.2", convs.same(64, 3))];
    push_stem(&mut plan, first, small)?;
    for (number, block) in (3..).zip(stem(&convs, small)) {
        push(&mut plan, "stem", format!("features.{number}"), block)?;
    }
    let mut place = 6;
    for (stage, reduction, module, count) in [
        ("stage1", None, module_a(&convs), 4),
        ("stage2", Some(reduction_a(&convs)), module_b(&convs), 7),
        ("stage3", Some(reduction_b(&convs)), module_c(&convs), 3),
    ] {
        for block in reduction.into_iter().chain(std::iter::repeat_n(module, count)) {
            push(&mut plan, stage, format!("features.{place}"), block)?;
            place += 1;
        }
    }
    plan.head(HeadPlan { dropout: 0.2, init: convs.init, ..HeadPlan::named("last_linear") });
    Ok(plan)
}

/// The branched part of the stem; where it keeps the size of the map, padding and a step of 1 in the place of others.
fn stem(convs: &Convs<'_>, small: bool) -> [ConcatConfig; 3] {
    let halving = |width| if small { convs.same(width, 3) } else { convs.halving(width) };
    let ending = |width| if small { convs.same(width, 3) } else { convs.valid(width, 3) };
    let pool = || if small { max_same() } else { max_halving() };
    let deep = numbered([convs.same(64, 1), convs.same(64, (1, 7)), convs.same(64, (7, 1)), ending(96)]);
    [
        ConcatConfig(vec![at("", pool()), at("conv", halving(96))]),
        branches(0, vec![numbered([convs.same(64, 1), ending(96)]), deep]),
        ConcatConfig(vec![at("conv", halving(192)), at("", pool())]),
    ]
}

/// A mean, then a 1x1 convolution.
fn pooled(convs: &Convs<'_>, width: i64) -> SharedBlock {
    numbered([mean_same(false), convs.same(width, 1).into()])
}

fn module_a(convs: &Convs<'_>) -> ConcatConfig {
    let same = |width| convs.same(width, 3);
    branches(
        0,
        vec![
            convs.same(96, 1).into(),
            numbered([convs.same(64, 1), same(96)]),
            numbered([convs.same(64, 1), same(96), same(96)]),
            pooled(convs, 96),
        ],
    )
}

fn reduction_a(convs: &Convs<'_>) -> ConcatConfig {
    let deep = numbered([convs.same(192, 1), convs.same(224, 3), convs.halving(256)]);
    branches(0, vec![convs.halving(384).into(), deep, max_halving()])
}

fn module_b(convs: &Convs<'_>) -> ConcatConfig {
    let flat = |width| convs.same(width, (1, 7));
    let tall = |width| convs.same(width, (7, 1));
    branches(
        0,
        vec![
            convs.same(384, 1).into(),
            numbered([convs.same(192, 1), flat(224), tall(256)]),
            numbered([convs.same(192, 1), tall(192), flat(224), tall(224), flat(256)]),
            pooled(convs, 128),
        ],
    )
}

fn reduction_b(convs: &Convs<'_>) -> ConcatConfig {
    let wide: [PlainConvConfig; 4] =
        [convs.same(256, 1), convs.same(256, (1, 7)), convs.same(320, (7, 1)), convs.halving(320)];
    branches(0, vec![numbered([convs.same(192, 1), convs.halving(192)]), numbered(wide), max_halving()])
}

fn module_c(convs: &Convs<'_>) -> ConcatConfig {
    let fork = |branch: &str| {
        ConcatConfig(vec![
            at(format!("{branch}a"), convs.same(256, (1, 3))),
            at(format!("{branch}b"), convs.same(256, (3, 1))),
        ])
    };
    ConcatConfig(vec![
        at("branch0", convs.same(256, 1)),
        at("", chain(vec![at("branch1_0", convs.same(384, 1)), at("", fork("branch1_1"))])),
        at(
            "",
            chain(vec![
                at("branch2_0", convs.same(384, 1)),
                at("branch2_1", convs.same(448, (3, 1))),
                at("branch2_2", convs.same(512, (1, 3))),
                at("", fork("branch2_3")),
            ]),
        ),
        at("branch3", pooled(convs, 256)),
    ])
}
