//! Narrow forms of the networks that are chains of plain layers and of Inception modules: each does what every network must.

mod common;

use common::check_network;
use mp_zoo::InputSize;

/// One test a network: the narrow form, the size of its images.
macro_rules! networks {
    ($($test:ident: $name:literal $size:literal)*) => {
        $(#[test] fn $test() { check_network($name, InputSize { channels: 3, size: $size, classes: 10 }); })*
    };
}

networks! {
    base_cnn: "base_cnn_w4" 16
    resnet8: "resnet8_w2" 16
    resnet14: "resnet14_w2" 16
    resnet20: "resnet20_w2" 16
    resnet32: "resnet32_w2" 16
    resnet44: "resnet44_w2" 16
    resnet56: "resnet56_w2" 16
    resnet110: "resnet110_w1" 8
    resnet18: "resnet18_w4" 32
    resnet34: "resnet34_w4" 32
    resnet50: "resnet50_w2" 32

    alexnet: "alexnet_w4" 63
    alexnet_towers: "alexnet_towers_w8" 67
    alexnet_cifar: "alexnet_cifar_w4" 8
    alexnet_towers_cifar: "alexnet_towers_cifar_w8" 8
    alexnet_stem11_cifar: "alexnet_stem11_cifar_w8" 32

    vgg11: "vgg11_w4" 32
    vgg13: "vgg13_w4" 32
    vgg16: "vgg16_w4" 32
    vgg19: "vgg19_w4" 32
    vgg11_bn: "vgg11_bn_w4" 32
    vgg13_bn: "vgg13_bn_w4" 32
    vgg16_bn: "vgg16_bn_w4" 32
    vgg19_bn: "vgg19_bn_w4" 32
    vgg11_bn_cifar: "vgg11_bn_cifar_w4" 32
    vgg13_bn_cifar: "vgg13_bn_cifar_w4" 32
    vgg16_bn_cifar: "vgg16_bn_cifar_w4" 32
    vgg19_bn_cifar: "vgg19_bn_cifar_w4" 32
    vgg11_bn512_cifar: "vgg11_bn512_cifar_w4" 32
    vgg13_bn512_cifar: "vgg13_bn512_cifar_w4" 32
    vgg16_bn512_cifar: "vgg16_bn512_cifar_w4" 32
    vgg19_bn512_cifar: "vgg19_bn512_cifar_w4" 32
    vgg13_unbiased_cifar: "vgg13_unbiased_cifar_w4" 32

    googlenet: "googlenet_w4" 33
    googlenet_plain: "googlenet_plain_w4" 33
    googlenet_transform: "googlenet_transform_w4" 33
    googlenet_lrn: "googlenet_lrn_w4" 79
    googlenet_cifar: "googlenet_cifar_w8" 9
    googlenet_cifar_5x5: "googlenet_cifar_5x5_w8" 9
    inception_v3: "inception_v3_w1" 299
    inception_v3_plain: "inception_v3_plain_w1" 75
    inception_v3_transform: "inception_v3_transform_w1" 299
    inception_v3_cifar: "inception_v3_cifar_w1" 9
    inception_v4: "inception_v4_w1" 75
    inception_v4_cifar: "inception_v4_cifar_w1" 9
    inception_resnet_v2: "inception_resnet_v2_w1" 75
    inception_resnet_v2_cifar: "inception_resnet_v2_cifar_w1" 9

    lenet5: "lenet5" 16
    lenet5_1998: "lenet5_1998_w3" 28
    nin: "nin_w12" 8
    maxout: "maxout_w8" 8
    fitnet1: "fitnet1_w4" 8
    fitnet2: "fitnet2_w4" 8
    fitnet3: "fitnet3_w4" 8
    fitnet4: "fitnet4_w4" 8
    rectifier_mlp: "rectifier_mlp_w8" 8
    balanced_rectifier_mlp: "balanced_rectifier_mlp_w8" 8
    softplus_mlp: "softplus_mlp_w8" 8
    tanh_mlp: "tanh_mlp_w8" 8
    highway19: "highway19_w4" 8
    mcdnn: "mcdnn_w8" 32
    mcdnn_mnist: "mcdnn_mnist_w4" 29
    mcdnn_gtsrb: "mcdnn_gtsrb_w8" 48
    wang_paths: "wang_paths_w4" 8
    wang_paths3: "wang_paths3_w4" 8
    wang_paths_same: "wang_paths_same_w4" 8
    wang_path: "wang_path_w4" 8
}
