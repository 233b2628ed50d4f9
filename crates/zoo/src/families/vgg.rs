//! VGG (Simonyan and Zisserman, arXiv 1409.1556): 3x3 convolutions in five stages, each ended by a 2x2 max-pool.
//!
//! | stage | width | 11 (A) | 13 (B) | 16 (D) | 19 (E) |
//! |---|---|---|---|---|---|
//! | `stage1` | 64 | 1 | 2 | 2 | 2 |
//! | `stage2` | 128 | 1 | 2 | 2 | 2 |
//! | `stage3` | 256 | 2 | 2 | 3 | 4 |
//! | `stage4` | 512 | 2 | 2 | 3 | 4 |
//! | `stage5` | 512 | 2 | 2 | 3 | 4 |
//!
//! | name | batch-norm | after `stage5` |
//! |---|---|---|
//! | `vgg16` | none | torchvision's: mean to 7x7, dense 4096 and 4096 with dropout |
//! | `vgg16_bn` | after every convolution, which keeps its bias | the same |
//! | `vgg16_bn_cifar` | the same | nothing but the classifier |
//! | `vgg16_bn512_cifar` | the same | dense 512 and 512 with dropout |
//! | `vgg13_unbiased_cifar` | after every convolution, which has no bias | the same, and a mean in place of the last pool |
//!
//! The CIFAR forms are common ones: with one dense layer in Kuang Liu's collection, with three in Chen Yaofo's, whose names
//! of the weights are taken. `vgg13_unbiased_cifar` was called `vgg13` here before torchvision's was added.

use mp_blocks::{ConvBlockConfig, DenseBlockConfig, PlainConvConfig, PlainDenseConfig, Pool, Pooling};
use mp_nn::{BiasInit, WeightInit};

use super::{CIFAR, IMAGENET};
use crate::{Error, Family, HeadPlan, InputSize, Interface, Knob, Make, Plan, Size};

const fn family(
    name: &'static str,
    summary: &'static str,
    native: InputSize,
    make: fn(&Size, &Interface) -> Result<Plan, Error>,
) -> Family {
    Family { name, summary, native, knob: Knob::width(64), make: Make::Chain(make) }
}

pub(super) const FAMILIES: &[Family] = &[
    family("vgg11", "8 convolutions and three dense layers, torchvision's (arXiv 1409.1556)", IMAGENET, plain),
    family("vgg13", "10 convolutions and three dense layers, torchvision's (arXiv 1409.1556)", IMAGENET, plain),
    family("vgg16", "13 convolutions and three dense layers, torchvision's (arXiv 1409.1556)", IMAGENET, plain),
    family("vgg19", "16 convolutions and three dense layers, torchvision's (arXiv 1409.1556)", IMAGENET, plain),
    family("vgg11_bn", "vgg11 with batch-norm, torchvision's (arXiv 1409.1556)", IMAGENET, normed),
    family("vgg13_bn", "vgg13 with batch-norm, torchvision's (arXiv 1409.1556)", IMAGENET, normed),
    family("vgg16_bn", "vgg16 with batch-norm, torchvision's (arXiv 1409.1556)", IMAGENET, normed),
    family("vgg19_bn", "vgg19 with batch-norm, torchvision's (arXiv 1409.1556)", IMAGENET, normed),
    family("vgg11_bn_cifar", "8 convolutions with batch-norm and one dense layer, for 32x32 images", CIFAR, short),
    family("vgg13_bn_cifar", "10 convolutions with batch-norm and one dense layer, for 32x32 images", CIFAR, short),
    family("vgg16_bn_cifar", "13 convolutions with batch-norm and one dense layer, for 32x32 images", CIFAR, short),
    family("vgg19_bn_cifar", "16 convolutions with batch-norm and one dense layer, for 32x32 images", CIFAR, short),
    family("vgg11_bn512_cifar", "8 convolutions with batch-norm and three dense layers, for 32x32 images", CIFAR, long),
    family(
        "vgg13_bn512_cifar",
        "10 convolutions with batch-norm and three dense layers, for 32x32 images",
        CIFAR,
        long,
    ),
    family(
        "vgg16_bn512_cifar",
        "13 convolutions with batch-norm and three dense layers, for 32x32 images",
        CIFAR,
        long,
    ),
    family(
        "vgg19_bn512_cifar",
        "16 convolutions with batch-norm and three dense layers, for 32x32 images",
        CIFAR,
        long,
    ),
    family(
        "vgg13_unbiased_cifar",
        "ten convolutions without biases and three dense layers, for 32x32 images",
        CIFAR,
        unbiased,
    ),
];

/// How the convolutions start, and the dense layers.
const STARTS: (WeightInit, WeightInit) = (WeightInit::KaimingNormalFanOut, WeightInit::Normal { std: 0.01 });
const ZERO: BiasInit = BiasInit::Constant(0.0);

/// Stages with the widths of the published network, and how many convolutions each has.
fn stages(depth: i64) -> [(i64, i64); 5] {
    let [few, many] = match depth {
        11 => [1, 2],
        13 => [2, 2],
        16 => [2, 3],
        _ => [2, 4],
    };
    [(64, few), (128, few), (256, many), (512, many), (512, many)]
}

/// The convolutions, named as torchvision's list `features`, in which activations and pools count; `end` follows the last
/// pool.
fn features(size: &Size, interface: &Interface, norm: Option<f64>, end: &[Pooling]) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    let mut place = 0;
    for (number, (width, convolutions)) in (1..).zip(stages(size.depth()?)) {
        for convolution in 1..=convolutions {
            let last = convolution == convolutions;
            let mut pools = if last { vec![Pooling::max(2, 2)] } else { Vec::new() };
            if last && number == 5 {
                pools.extend(end);
            }
            let block = PlainConvConfig {
                norm,
                init: STARTS.0,
                bias_init: ZERO,
                pools,
                ..PlainConvConfig::new(size.scaled(width, 4), 3)
            };
            let block = plan.push(&format!("stage{number}"), block)?.named("features");
            block.renamed("conv1", place.to_string()).renamed("bn1", (place + 1).to_string());
            place += if norm.is_some() { 3 } else { 2 } + i64::from(last);
        }
    }
    Ok(plan)
}

/// Two dense layers with dropout and the classifier, named as torchvision's list `classifier`.
fn dense(plan: &mut Plan, width: i64) -> Result<(), Error> {
    for place in ["0", "3"] {
        let dense = PlainDenseConfig { dropout: 0.5, init: STARTS.1, bias_init: ZERO, ..PlainDenseConfig::new(width) };
        plan.push("dense", dense)?.named("classifier").renamed("dense1", place);
    }
    head(plan, "classifier.6");
    Ok(())
}

fn head(plan: &mut Plan, name: &str) {
    plan.head(HeadPlan { init: STARTS.1, bias_init: ZERO, ..HeadPlan::named(name) });
}

fn full(size: &Size, interface: &Interface, norm: Option<f64>) -> Result<Plan, Error> {
    let mut plan = features(size, interface, norm, &[Pooling::Adaptive(7), Pooling::Flatten])?;
    dense(&mut plan, size.scaled(4096, 4))?;
    Ok(plan)
}

fn plain(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    full(size, interface, None)
}

fn normed(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    full(size, interface, Some(1e-5))
}

fn short(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = features(size, interface, Some(1e-5), &[Pooling::Flatten])?;
    head(&mut plan, "classifier");
    Ok(plan)
}

fn long(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = features(size, interface, Some(1e-5), &[Pooling::Flatten])?;
    dense(&mut plan, size.scaled(512, 4))?;
    Ok(plan)
}

fn unbiased(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let mut plan = Plan::new(interface);
    for (number, factor) in (1..).zip([1, 2, 4, 8, 8]) {
        for last in [false, true] {
            let pool = match (number, last) {
                (_, false) => Pool::None,
                (5, true) => Pool::GlobalAverage,
                (_, true) => Pool::Max { kernel: 2, stride: 2, padding: 0 },
            };
            let conv = ConvBlockConfig { pool, ..ConvBlockConfig::new(factor * size.value) };
            plan.push(&format!("stage{number}"), conv)?;
        }
    }
    for _ in 0..2 {
        plan.push("dense", DenseBlockConfig { out_features: 8 * size.value, dropout: 0.5 })?;
    }
    Ok(plan)
}
