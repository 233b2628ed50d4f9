//! The families of single-path networks, one a file, and the table that registers them.

mod aig;
mod alexnet;
mod base_cnn;
mod cifar_resnet;
mod densenet;
mod ecaresnet;
mod geresnet;
mod googlenet;
mod highway;
mod hyper_wrn;
mod inception;
mod inception_resnet;
mod inception_v3;
mod inception_v4;
mod lenet;
mod maxout;
mod mcdnn;
mod mfr_densenet;
mod nin;
mod preresnet;
mod rectifier;
mod resnest;
mod resnet;
mod resnext29;
mod seresnet;
mod skipnet;
mod vgg;
mod wang_paths;

use crate::{Family, InputSize};

const CIFAR: InputSize = InputSize { channels: 3, size: 32, classes: 10 };
const FASHION_MNIST: InputSize = InputSize { channels: 1, size: 28, classes: 10 };
const IMAGENET: InputSize = InputSize { channels: 3, size: 224, classes: 1000 };

/// Every family of this crate, in the order in which they are listed.
pub(crate) static TABLE: &[&[Family]] = &[
    base_cnn::FAMILIES,
    cifar_resnet::FAMILIES,
    resnet::FAMILIES,
    alexnet::FAMILIES,
    vgg::FAMILIES,
    googlenet::FAMILIES,
    inception_v3::FAMILIES,
    inception_v4::FAMILIES,
    inception_resnet::FAMILIES,
    seresnet::FAMILIES,
    ecaresnet::FAMILIES,
    geresnet::FAMILIES,
    preresnet::FAMILIES,
    densenet::FAMILIES,
    resnext29::FAMILIES,
    resnest::FAMILIES,
    mfr_densenet::FAMILIES,
    hyper_wrn::FAMILIES,
    lenet::FAMILIES,
    nin::FAMILIES,
    maxout::FAMILIES,
    rectifier::FAMILIES,
    highway::FAMILIES,
    mcdnn::FAMILIES,
    wang_paths::FAMILIES,
    aig::FAMILIES,
    skipnet::FAMILIES,
];
