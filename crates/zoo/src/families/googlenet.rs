//! GoogLeNet (Szegedy et al., arXiv 1409.4842, table 1): a stem and nine modules of four branches.
//!
//! | module | 1x1 | 3x3: reduce, out | 5x5: reduce, out | pool: out |
//! |---|---|---|---|---|
//! | 3a | 64 | 96, 128 | 16, 32 | 32 |
//! | 3b | 128 | 128, 192 | 32, 96 | 64 |
//! | 4a | 192 | 96, 208 | 16, 48 | 64 |
//! | 4b | 160 | 112, 224 | 24, 64 | 64 |
//! | 4c | 128 | 128, 256 | 24, 64 | 64 |
//! | 4d | 112 | 144, 288 | 32, 64 | 64 |
//! | 4e | 256 | 160, 320 | 32, 128 | 128 |
//! | 5a | 256 | 160, 320 | 32, 128 | 128 |
//! | 5b | 384 | 192, 384 | 48, 128 | 128 |
//!
//! | name | what it is |
//! |---|---|
//! | `googlenet` | torchvision's: batch-norm, a 3x3 kernel in the 5x5 branch, two auxiliary classifiers in training |
//! | `googlenet_plain` | the same without auxiliary classifiers |
//! | `googlenet_transform` | `googlenet_plain` for images standardised by ImageNet's statistics, with torchvision's weights, which were trained on images standardised by 0.5 |
//! | `googlenet_lrn` | the paper's: biases and response normalisation (LRN), 5x5 kernels |
//! | `googlenet_cifar` | for 32x32 images: a stem of one 3x3 convolution to 192, pools with a padding of 1, no auxiliary classifiers |
//! | `googlenet_cifar_5x5` | the same with 5x5 kernels |
//!
//! The auxiliary classifiers stand after 4a and 4d; their losses count 0.3.

use mp_blocks::{
    PlainConvConfig, PlainDenseConfig, Pooling, PoolingBlockConfig, RescaleConfig, ResponseConfig, SharedBlock,
};
use mp_nn::{AvgPool2d, BiasInit, LocalResponseNormConfig, MaxPool2d, WeightInit};

use super::inception::{Convs, at, branches, chain, max_same, numbered, push};
use super::{CIFAR, IMAGENET};
use crate::{Error, Family, HeadPlan, InputSize, Interface, Knob, Make, Plan, Size};

const fn family(
    name: &'static str,
    summary: &'static str,
    (native, width): (InputSize, i64),
    make: fn(&Size, &Interface) -> Result<Plan, Error>,
) -> Family {
    Family { name, summary, native, knob: Knob::width(width), make: Make::Chain(make) }
}

const LARGE: (InputSize, i64) = (IMAGENET, 64);
const SMALL: (InputSize, i64) = (CIFAR, 192);

pub(super) const FAMILIES: &[Family] = &[
    family("googlenet", "nine Inception modules, torchvision's (arXiv 1409.4842)", LARGE, |size, interface| {
        large(size, interface, Form { auxiliaries: true, ..NORMED })
    }),
    family("googlenet_plain", "googlenet without auxiliary classifiers", LARGE, |size, interface| {
        large(size, interface, NORMED)
    }),
    family("googlenet_transform", "googlenet_plain for images standardised as ImageNet's", LARGE, |size, interface| {
        large(size, interface, Form { transform: true, ..NORMED })
    }),
    family("googlenet_lrn", "GoogLeNet of 2014, without batch-norm (arXiv 1409.4842)", LARGE, |size, interface| {
        large(size, interface, Form { normed: false, wide: 5, transform: false, auxiliaries: true })
    }),
    family("googlenet_cifar", "GoogLeNet for 32x32 images", SMALL, |size, interface| small(size, interface, NORMED)),
    family("googlenet_cifar_5x5", "GoogLeNet for 32x32 images, with 5x5 convolutions", SMALL, |size, interface| {
        small(size, interface, Form { wide: 5, ..NORMED })
    }),
];

/// In what the forms differ.
#[derive(Clone, Copy)]
struct Form {
    /// Whether batch-norms stand in the place of biases and response normalisation.
    normed: bool,
    /// The kernel of the 5x5 branch.
    wide: i64,
    /// Whether the images are standardised anew.
    transform: bool,
    /// Whether there are auxiliary classifiers.
    auxiliaries: bool,
}

const NORMED: Form = Form { normed: true, wide: 3, transform: false, auxiliaries: false };

/// Widths of a module in the order of the table, with its name.
type Module = (&'static str, [i64; 6]);

const STAGE3: [Module; 2] = [("3a", [64, 96, 128, 16, 32, 32]), ("3b", [128, 128, 192, 32, 96, 64])];
const STAGE4: [Module; 5] = [
    ("4a", [192, 96, 208, 16, 48, 64]),
    ("4b", [160, 112, 224, 24, 64, 64]),
    ("4c", [128, 128, 256, 24, 64, 64]),
    ("4d", [112, 144, 288, 32, 64, 64]),
    ("4e", [256, 160, 320, 32, 128, 128]),
];
const STAGE5: [Module; 2] = [("5a", [256, 160, 320, 32, 128, 128]), ("5b", [384, 192, 384, 48, 128, 128])];

impl Form {
    fn convs<'a>(&self, size: &'a Size) -> Convs<'a> {
        let init = if self.normed { WeightInit::Normal { std: 0.01 } } else { WeightInit::XavierUniform };
        Convs { size, init }
    }

    fn conv(&self, convs: &Convs<'_>, width: i64, kernel: i64) -> PlainConvConfig {
        let conv = convs.same(width, kernel);
        if self.normed {
            return conv;
        }
        PlainConvConfig { norm: None, bias: true, bias_init: BiasInit::Constant(0.2), ..conv }
    }

    fn module(&self, convs: &Convs<'_>, widths: [i64; 6], pool: Option<Pooling>) -> SharedBlock {
        let [one, reduce3, three, reduce5, five, projected] = widths;
        let conv = |width, kernel| self.conv(convs, width, kernel);
        let module = branches(
            1,
            vec![
                conv(one, 1).into(),
                numbered([conv(reduce3, 1), conv(three, 3)]),
                numbered([conv(reduce5, 1), conv(five, self.wide)]),
                numbered([max_same(), conv(projected, 1).into()]),
            ],
        );
        match pool {
            None => module.into(),
            Some(pool) => chain(vec![at("", module), at("", PoolingBlockConfig(vec![pool]))]),
        }
    }

    /// An auxiliary classifier on the last module.
    fn auxiliary(&self, plan: &mut Plan, name: &str, convs: &Convs<'_>) -> Result<(), Error> {
        let before = if self.normed { Pooling::Adaptive(4) } else { Pooling::Average(AvgPool2d::new(5, 3)) };
        let conv = PlainConvConfig { pools: vec![Pooling::Flatten], ..self.conv(convs, 128, 1) };
        let dense = PlainDenseConfig { dropout: 0.7, init: convs.init, ..PlainDenseConfig::new(convs.width(1024)) };
        plan.auxiliary(name, 0.3, |plan| {
            plan.push("pool", PoolingBlockConfig(vec![before]))?.named("pool");
            plan.push("conv", conv)?.named("conv");
            plan.push("fc1", dense)?.named("").renamed("dense1", "fc1");
            plan.head(HeadPlan { init: convs.init, ..HeadPlan::named("fc2") });
            Ok(())
        })
    }
}

fn large(size: &Size, interface: &Interface, form: Form) -> Result<Plan, Error> {
    let convs = form.convs(size);
    let conv = |width, kernel| form.conv(&convs, width, kernel);
    let third = Pooling::max_ceil(3, 2);
    let response = (!form.normed).then(LocalResponseNormConfig::caffe);
    let mut plan = Plan::new(interface);
    if form.transform {
        let imagenet: (&[f64], &[f64]) = (&[0.485, 0.456, 0.406], &[0.229, 0.224, 0.225]);
        push(&mut plan, "transform", "transform", RescaleConfig::between(imagenet, (&[0.5; 3], &[0.5; 3])))?;
    }
    push(&mut plan, "stem", "conv1", PlainConvConfig { stride: 2, pools: vec![third], ..conv(64, 7) })?;
    if let Some(response) = response {
        // Before the next convolution: the pool comes first here, and in AlexNet last.
        push(&mut plan, "stem", "norm1", ResponseConfig(response))?;
    }
    push(&mut plan, "stem", "conv2", conv(64, 1))?;
    push(&mut plan, "stem", "conv3", PlainConvConfig { response, pools: vec![third], ..conv(192, 3) })?;
    modules(&mut plan, &convs, form, third, if form.normed { Pooling::max_ceil(2, 2) } else { third })?;
    let dropout = if form.normed { 0.2 } else { 0.4 };
    plan.head(HeadPlan { dropout, init: convs.init, ..HeadPlan::default() });
    Ok(plan)
}

fn small(size: &Size, interface: &Interface, form: Form) -> Result<Plan, Error> {
    let convs = form.convs(size);
    let half = Pooling::Max(MaxPool2d { padding: 1, ..MaxPool2d::new(3, 2) });
    let mut plan = Plan::new(interface);
    push(&mut plan, "stem", "conv1", form.conv(&convs, 192, 3))?;
    modules(&mut plan, &convs, form, half, half)?;
    plan.head(HeadPlan { dropout: 0.2, init: convs.init, ..HeadPlan::default() });
    Ok(plan)
}

/// The nine modules, with the pools after 3b and after 4e.
fn modules(plan: &mut Plan, convs: &Convs<'_>, form: Form, after3: Pooling, after4: Pooling) -> Result<(), Error> {
    for (stage, modules, pool) in
        [("stage3", &STAGE3[..], Some(after3)), ("stage4", &STAGE4[..], Some(after4)), ("stage5", &STAGE5[..], None)]
    {
        for (number, (name, widths)) in (1..).zip(modules) {
            let pool = pool.filter(|_| number == modules.len());
            push(plan, stage, format!("inception{name}"), form.module(convs, *widths, pool))?;
            if form.auxiliaries && *name == "4a" {
                form.auxiliary(plan, "aux1", convs)?;
            } else if form.auxiliaries && *name == "4d" {
                form.auxiliary(plan, "aux2", convs)?;
            }
        }
    }
    Ok(())
}
