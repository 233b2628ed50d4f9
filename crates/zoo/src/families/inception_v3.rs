//! Inception-v3 (Szegedy et al., arXiv 1512.00567), torchvision's: 5x5 kernels are two 3x3 ones, and in the middle of the
//! network 7x7 kernels are a 1x7 and a 7x1 one.
//!
//! | place | what | output for 299x299 |
//! |---|---|---|
//! | `Conv2d_1a` to `4a` | 3x3 with a step of 2 to 32, 3x3 to 32, 3x3 to 64, pool, 1x1 to 80, 3x3 to 192, pool | 192 of 35x35 |
//! | `Mixed_5b` to `5d` | modules A with 32, 64 and 64 channels after the pool | 256, 288, 288 of 35x35 |
//! | `Mixed_6a` | reduction B | 768 of 17x17 |
//! | `Mixed_6b` to `6e` | modules C with 128, 160, 160 and 192 channels inside | 768 of 17x17 |
//! | `Mixed_7a` | reduction D | 1280 of 8x8 |
//! | `Mixed_7b`, `7c` | modules E | 2048 of 8x8 |
//!
//! | name | what it is |
//! |---|---|
//! | `inception_v3` | with an auxiliary classifier on `Mixed_6e` in training, whose loss counts 0.4 |
//! | `inception_v3_plain` | without it, as in timm |
//! | `inception_v3_transform` | `inception_v3` for images standardised by ImageNet's statistics, with torchvision's weights, which were trained on images standardised by 0.5 |
//! | `inception_v3_cifar` | for 32x32 images: the stem keeps their size, no auxiliary classifier |
//!
//! The means beside the modules count the zeros beyond the edge, as torchvision's do.

use mp_blocks::{ConcatConfig, PlainConvConfig, Pooling, PoolingBlockConfig, RescaleConfig, SharedBlock};
use mp_nn::{AvgPool2d, WeightInit};

use super::inception::{Convs, at, chain, max_halving, mean_same, push, push_stem};
use super::{CIFAR, IMAGENET};
use crate::{Error, Family, HeadPlan, InputSize, Interface, Knob, Make, Plan, Size};

const fn family(
    name: &'static str,
    summary: &'static str,
    native: InputSize,
    make: fn(&Size, &Interface) -> Result<Plan, Error>,
) -> Family {
    Family { name, summary, native, knob: Knob::width(32), make: Make::Chain(make) }
}

const LARGE: InputSize = InputSize { size: 299, ..IMAGENET };

pub(super) const FAMILIES: &[Family] = &[
    family("inception_v3", "Inception-v3, torchvision's (arXiv 1512.00567)", LARGE, |size, interface| {
        plan(size, interface, Form { auxiliary: true, ..PLAIN })
    }),
    family("inception_v3_plain", "inception_v3 without auxiliary classifier", LARGE, |size, interface| {
        plan(size, interface, PLAIN)
    }),
    family("inception_v3_transform", "inception_v3 for images standardised as ImageNet's", LARGE, |size, interface| {
        plan(size, interface, Form { transform: true, auxiliary: true, ..PLAIN })
    }),
    family("inception_v3_cifar", "Inception-v3 for 32x32 images", CIFAR, |size, interface| {
        plan(size, interface, Form { small: true, ..PLAIN })
    }),
];

/// In what the forms differ.
struct Form {
    transform: bool,
    auxiliary: bool,
    /// Whether the stem keeps the size of the images.
    small: bool,
}

const PLAIN: Form = Form { transform: false, auxiliary: false, small: false };

fn plan(size: &Size, interface: &Interface, form: Form) -> Result<Plan, Error> {
    let convs = Convs { size, init: WeightInit::Normal { std: 0.1 } };
    let mut plan = Plan::new(interface);
    if form.transform {
        let imagenet: (&[f64], &[f64]) = (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);
        push(&mut plan, "transform", "transform", RescaleConfig::between(imagenet, (&[0.5; 3], &[0.5; 3])))?;
    }
    let pools = || vec![Pooling::max(3, 2)];
    let stem = vec![
        ("Conv2d_1a_3x3", convs.halving(32)),
        ("Conv2d_2a_3x3", convs.valid(32, 3)),
        ("Conv2d_2b_3x3", PlainConvConfig { pools: pools(), ..convs.same(64, 3) }),
        ("Conv2d_3b_1x1", convs.valid(80, 1)),
        ("Conv2d_4a_3x3", PlainConvConfig { pools: pools(), ..convs.valid(192, 3) }),
    ];
    push_stem(&mut plan, stem, form.small)?;
    for (place, pooled) in [("5b", 32), ("5c", 64), ("5d", 64)] {
        push(&mut plan, "stage5", format!("Mixed_{place}"), module_a(&convs, pooled))?;
    }
    push(&mut plan, "stage6", "Mixed_6a", reduction_b(&convs))?;
    for (place, inside) in [("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)] {
        push(&mut plan, "stage6", format!("Mixed_{place}"), module_c(&convs, inside))?;
    }
    if form.auxiliary {
        auxiliary(&mut plan, &convs)?;
    }
    push(&mut plan, "stage7", "Mixed_7a", reduction_d(&convs))?;
    for place in ["7b", "7c"] {
        push(&mut plan, "stage7", format!("Mixed_{place}"), module_e(&convs))?;
    }
    plan.head(HeadPlan { dropout: 0.5, init: convs.init, ..HeadPlan::default() });
    Ok(plan)
}

/// Branches of convolutions with places of their own in the module, each branch `(place, convolution)` in order.
fn module(branches: Vec<Vec<(&str, PlainConvConfig)>>, last: SharedBlock) -> ConcatConfig {
    let branch =
        |convs: Vec<(&str, PlainConvConfig)>| chain(convs.into_iter().map(|(place, c)| at(place, c)).collect());
    ConcatConfig(branches.into_iter().map(branch).chain([last]).map(|block| at("", block)).collect())
}

/// A mean, then a 1x1 convolution.
fn pooled(convs: &Convs<'_>, width: i64) -> SharedBlock {
    chain(vec![at("", mean_same(true)), at("branch_pool", convs.same(width, 1))])
}

fn module_a(convs: &Convs<'_>, width: i64) -> ConcatConfig {
    module(
        vec![
            vec![("branch1x1", convs.same(64, 1))],
            vec![("branch5x5_1", convs.same(48, 1)), ("branch5x5_2", convs.same(64, 5))],
            vec![
                ("branch3x3dbl_1", convs.same(64, 1)),
                ("branch3x3dbl_2", convs.same(96, 3)),
                ("branch3x3dbl_3", convs.same(96, 3)),
            ],
        ],
        pooled(convs, width),
    )
}

fn reduction_b(convs: &Convs<'_>) -> ConcatConfig {
    module(
        vec![
            vec![("branch3x3", convs.halving(384))],
            vec![
                ("branch3x3dbl_1", convs.same(64, 1)),
                ("branch3x3dbl_2", convs.same(96, 3)),
                ("branch3x3dbl_3", convs.halving(96)),
            ],
        ],
        max_halving(),
    )
}

fn module_c(convs: &Convs<'_>, inside: i64) -> ConcatConfig {
    let (flat, tall) = ((1, 7), (7, 1));
    module(
        vec![
            vec![("branch1x1", convs.same(192, 1))],
            vec![
                ("branch7x7_1", convs.same(inside, 1)),
                ("branch7x7_2", convs.same(inside, flat)),
                ("branch7x7_3", convs.same(192, tall)),
            ],
            vec![
                ("branch7x7dbl_1", convs.same(inside, 1)),
                ("branch7x7dbl_2", convs.same(inside, tall)),
                ("branch7x7dbl_3", convs.same(inside, flat)),
                ("branch7x7dbl_4", convs.same(inside, tall)),
                ("branch7x7dbl_5", convs.same(192, flat)),
            ],
        ],
        pooled(convs, 192),
    )
}

fn reduction_d(convs: &Convs<'_>) -> ConcatConfig {
    module(
        vec![
            vec![("branch3x3_1", convs.same(192, 1)), ("branch3x3_2", convs.halving(320))],
            vec![
                ("branch7x7x3_1", convs.same(192, 1)),
                ("branch7x7x3_2", convs.same(192, (1, 7))),
                ("branch7x7x3_3", convs.same(192, (7, 1))),
                ("branch7x7x3_4", convs.halving(192)),
            ],
        ],
        max_halving(),
    )
}

fn module_e(convs: &Convs<'_>) -> ConcatConfig {
    // The last 3x3 kernel is a 1x3 and a 3x1 one side by side.
    let fork = |first: &str, second: &str| {
        ConcatConfig(vec![at(first, convs.same(384, (1, 3))), at(second, convs.same(384, (3, 1)))])
    };
    ConcatConfig(vec![
        at("branch1x1", convs.same(320, 1)),
        at("", chain(vec![at("branch3x3_1", convs.same(384, 1)), at("", fork("branch3x3_2a", "branch3x3_2b"))])),
        at(
            "",
            chain(vec![
                at("branch3x3dbl_1", convs.same(448, 1)),
                at("branch3x3dbl_2", convs.same(384, 3)),
                at("", fork("branch3x3dbl_3a", "branch3x3dbl_3b")),
            ]),
        ),
        at("", pooled(convs, 192)),
    ])
}

fn auxiliary(plan: &mut Plan, convs: &Convs<'_>) -> Result<(), Error> {
    plan.auxiliary("AuxLogits", 0.4, |plan| {
        plan.push("pool", PoolingBlockConfig(vec![Pooling::Average(AvgPool2d::new(5, 3))]))?.named("pool");
        plan.push("conv0", convs.same(128, 1))?.named("conv0");
        let last = PlainConvConfig { init: WeightInit::Normal { std: 0.01 }, ..convs.valid(768, 5) };
        plan.push("conv1", last)?.named("conv1");
        plan.head(HeadPlan { init: WeightInit::Normal { std: 0.001 }, ..HeadPlan::default() });
        Ok(())
    })
}
