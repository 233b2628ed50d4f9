//! The families of single-path networks, one a file, and the slice that registers them.

mod base_cnn;
mod cifar_resnet;
mod resnet;
mod vgg;

use crate::InputSize;
use crate::plan::Plan;

/// A single-path network of which multi-path ones are made.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The base of the models' names.
    pub name: &'static str,
    /// What it is, with its source.
    pub summary: &'static str,
    /// The input that it was made for; others are taken where they are large enough.
    pub native: InputSize,
    /// Channels of the first stage unless the name says otherwise (`_wWIDTH`).
    pub width: i64,
    pub(crate) plan: fn(name: &str, input: InputSize, width: i64) -> Plan,
}

const CIFAR: InputSize = InputSize { channels: 3, size: 32, classes: 10 };
const FASHION_MNIST: InputSize = InputSize { channels: 1, size: 28, classes: 10 };
const IMAGENET: InputSize = InputSize { channels: 3, size: 224, classes: 1000 };

const fn cifar_resnet(name: &'static str, summary: &'static str) -> Family {
    Family { name, summary, native: CIFAR, width: 16, plan: cifar_resnet::plan }
}

const fn resnet(name: &'static str, summary: &'static str) -> Family {
    Family { name, summary, native: IMAGENET, width: 64, plan: resnet::plan }
}

/// Every family, in the order in which they are listed.
pub static FAMILIES: &[Family] = &[
    Family {
        name: "base_cnn",
        summary: "three convolutions and a dense layer, for 28x28 and 32x32 images",
        native: FASHION_MNIST,
        width: 32,
        plan: base_cnn::plan,
    },
    Family {
        name: "vgg13",
        summary: "ten convolutions and two dense layers, CIFAR form (arXiv 1409.1556)",
        native: CIFAR,
        width: 64,
        plan: vgg::plan,
    },
    cifar_resnet("resnet20", "residual network of 20 layers, CIFAR form (arXiv 1512.03385)"),
    cifar_resnet("resnet32", "residual network of 32 layers, CIFAR form (arXiv 1512.03385)"),
    cifar_resnet("resnet44", "residual network of 44 layers, CIFAR form (arXiv 1512.03385)"),
    cifar_resnet("resnet56", "residual network of 56 layers, CIFAR form (arXiv 1512.03385)"),
    cifar_resnet("resnet110", "residual network of 110 layers, CIFAR form (arXiv 1512.03385)"),
    resnet("resnet18", "residual network of 18 layers, ImageNet form (arXiv 1512.03385)"),
    resnet("resnet34", "residual network of 34 layers, ImageNet form (arXiv 1512.03385)"),
    resnet("resnet50", "residual network of 50 layers, ImageNet form (arXiv 1512.03385)"),
];
