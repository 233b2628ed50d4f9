//! The families of single-path networks, one a file, and the table that registers them.

mod base_cnn;
mod cifar_resnet;
mod densenet;
mod ecaresnet;
mod geresnet;
mod hyper_wrn;
mod mfr_densenet;
mod preresnet;
mod resnest;
mod resnet;
mod resnext29;
mod seresnet;
mod vgg;

use crate::{Family, InputSize};

const CIFAR: InputSize = InputSize { channels: 3, size: 32, classes: 10 };
const FASHION_MNIST: InputSize = InputSize { channels: 1, size: 28, classes: 10 };
const IMAGENET: InputSize = InputSize { channels: 3, size: 224, classes: 1000 };

/// Every family of this crate, in the order in which they are listed.
pub(crate) static TABLE: &[&[Family]] = &[
    base_cnn::FAMILIES,
    vgg::FAMILIES,
    cifar_resnet::FAMILIES,
    resnet::FAMILIES,
    seresnet::FAMILIES,
    ecaresnet::FAMILIES,
    geresnet::FAMILIES,
    preresnet::FAMILIES,
    densenet::FAMILIES,
    resnext29::FAMILIES,
    resnest::FAMILIES,
    mfr_densenet::FAMILIES,
    hyper_wrn::FAMILIES,
];
