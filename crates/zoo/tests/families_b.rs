//! Narrow forms of the residual and densely connected networks: each does what every network must.

mod common;

use common::{check_network, check_network_but};
use mp_zoo::InputSize;

/// One test a network: the narrow form, the size of its images.
macro_rules! networks {
    ($($test:ident: $name:literal $size:literal)*) => {
        $(#[test] fn $test() { check_network($name, InputSize { channels: 3, size: $size, classes: 10 }); })*
    };
}

networks! {
    resnet101: "resnet101_w1" 32
    resnet152: "resnet152_w1" 32
    wide_resnet50_2: "wide_resnet50_2_w2" 32
    wide_resnet101_2: "wide_resnet101_2_w1" 32
    resnext50_32x4d: "resnext50_32x4d_w4" 32
    resnext101_32x8d: "resnext101_32x8d_w4" 32
    resnext101_64x4d: "resnext101_64x4d_w4" 32

    resnet164: "resnet164_w2" 8
    resnet1202: "resnet1202_w1" 4
    resnet20a: "resnet20a_w2" 16
    resnet32a: "resnet32a_w2" 16
    resnet44a: "resnet44a_w2" 16
    resnet56a: "resnet56a_w3" 16
    resnet110a: "resnet110a_w1" 8
    resnet1202a: "resnet1202a_w1" 4

    seresnet18: "seresnet18_w4" 32
    seresnet34: "seresnet34_w4" 32
    seresnet50: "seresnet50_w4" 32
    seresnet101: "seresnet101_w4" 32
    seresnet152: "seresnet152_w4" 32
    seresnext50_32x4d: "seresnext50_32x4d_w4" 32
    legacy_seresnet50: "legacy_seresnet50_w8" 33
    legacy_seresnet101: "legacy_seresnet101_w8" 33
    legacy_seresnet152: "legacy_seresnet152_w8" 33
    legacy_seresnext50_32x4d: "legacy_seresnext50_32x4d_w8" 33
    legacy_senet154: "legacy_senet154_w4" 32
    seresnet8: "seresnet8_w32" 8
    seresnet14: "seresnet14_w32" 8
    seresnet20: "seresnet20_w32" 8
    seresnet32: "seresnet32_w32" 8
    seresnet44: "seresnet44_w32" 8
    seresnet56: "seresnet56_w32" 8
    seresnet110: "seresnet110_w16" 8
    seresnet164: "seresnet164_w8" 8

    ecaresnet18: "ecaresnet18_w4" 32
    ecaresnet34: "ecaresnet34_w4" 32
    ecaresnet50: "ecaresnet50_w2" 32
    ecaresnet101: "ecaresnet101_w2" 32
    ecaresnet152: "ecaresnet152_w2" 32
    ecaresnet50d: "ecaresnet50d_w4" 33
    ecaresnet101d: "ecaresnet101d_w4" 33
    ecaresnet20: "ecaresnet20_w4" 16
    ecaresnet56: "ecaresnet56_w4" 8
    ecaresnet110: "ecaresnet110_w4" 8
    ecaresnet164: "ecaresnet164_w2" 8

    geresnet50_thetaminus: "geresnet50_thetaminus_w4" 32
    geresnet50_theta: "geresnet50_theta_w4" 32
    geresnet50_theta8: "geresnet50_theta8_w4" 32
    geresnet50_thetaplus: "geresnet50_thetaplus_w8" 32
    geresnet101_thetaminus: "geresnet101_thetaminus_w4" 32
    geresnet101_theta: "geresnet101_theta_w4" 32
    geresnet101_thetaplus: "geresnet101_thetaplus_w8" 32
    geresnet20_thetaminus: "geresnet20_thetaminus_w4" 16
    geresnet20_theta: "geresnet20_theta_w4" 16
    geresnet20_theta8: "geresnet20_theta8_w4" 16
    geresnet20_thetaplus: "geresnet20_thetaplus_w16" 16
    geresnet56_thetaminus: "geresnet56_thetaminus_w4" 8
    geresnet56_theta: "geresnet56_theta_w4" 8
    geresnet56_theta8: "geresnet56_theta8_w4" 8
    geresnet110_thetaminus: "geresnet110_thetaminus_w4" 8
    geresnet110_theta: "geresnet110_theta_w4" 8
    geresnet110_theta8: "geresnet110_theta8_w4" 8
    geresnet164_thetaminus: "geresnet164_thetaminus_w2" 8
    geresnet164_theta: "geresnet164_theta_w2" 8
    geresnet164_theta8: "geresnet164_theta8_w2" 8

    preresnet20: "preresnet20_w4" 16
    preresnet56: "preresnet56_w4" 8
    preresnet110: "preresnet110_w2" 8
    preresnet164: "preresnet164_w2" 8
    preresnet1001: "preresnet1001_w1" 4
    wrn16: "wrn16_1" 16
    wrn22: "wrn22_1" 16
    wrn28: "wrn28_2" 8
    wrn40: "wrn40_1" 8
    sewrn16: "sewrn16_2" 16
    resnetv2_18: "resnetv2_18_w4" 32
    resnetv2_34: "resnetv2_34_w4" 32
    resnetv2_50: "resnetv2_50_w2" 33
    resnetv2_101: "resnetv2_101_w2" 32

    densenet121: "densenet121_k4" 32
    densenet161: "densenet161_k2" 32
    densenet169: "densenet169_k2" 32
    densenet201: "densenet201_k2" 32
    densenet40: "densenet40_k4" 16
    densenet100: "densenet100_k2" 8
    densenetbc40: "densenetbc40_k4" 16
    densenetbc100: "densenetbc100_k2" 8
    densenetbc190: "densenetbc190_k1" 8
    densenetbc250: "densenetbc250_k1" 8
    mfr_densenet40: "mfr_densenet40_k8" 16
    mfr_densenet100: "mfr_densenet100_k4" 8

    resnext29_8x64d: "resnext29_8x64d_w1" 8
    resnext29_16x64d: "resnext29_16x64d_w1" 8
    resnext29_32x4d: "resnext29_32x4d_w1" 8
    resnext29_16x4d: "resnext29_16x4d_w1" 8
    resnext29_8x4d: "resnext29_8x4d_w1" 16
    resnext29_1x64d: "resnext29_1x64d_w1" 8
    resnext29_2x64d: "resnext29_2x64d_w1" 8
    resnext29_4x64d: "resnext29_4x64d_w1" 8

    resnest14d: "resnest14d_w8" 33
    resnest26d: "resnest26d_w4" 32
    resnest50d: "resnest50d_w4" 32
    resnest50d_1s4x24d: "resnest50d_1s4x24d_w8" 33
    resnest50d_4s2x40d: "resnest50d_4s2x40d_w8" 32
    resnest101e: "resnest101e_w2" 32
    resnest200e: "resnest200e_w2" 32
    resnest269e: "resnest269e_w2" 32
    resnest20_cifar: "resnest20_cifar_w4" 16
    resnest74_cifar: "resnest74_cifar_w4" 8
    resnest146_cifar: "resnest146_cifar_w4" 8

    hyper_wrn28: "hyper_wrn28_1" 8
    hyper_wrn40: "hyper_wrn40_1" 8
}

/// The same for networks with small hidden layers over means of one sign, and the names of the parameters before them.
macro_rules! networks_that_idle {
    ($($test:ident: $name:literal $size:literal $idle:literal)*) => {
        $(
            #[test]
            fn $test() {
                check_network_but($name, InputSize { channels: 3, size: $size, classes: 10 }, Some($idle));
            }
        )*
    };
}

networks_that_idle! {
    legacy_seresnet18: "legacy_seresnet18_w8" 33 "se_module"
    legacy_seresnet34: "legacy_seresnet34_w8" 33 "se_module"
    sepreresnet110: "sepreresnet110_w4" 8 ".se."
    sepreresnet164: "sepreresnet164_w4" 8 ".se."
    cfr_densenetbc100: "cfr_densenetbc100_k4" 8 ".se."
    geresnet56_thetaplus: "geresnet56_thetaplus_w4" 8 ".ge."
    geresnet110_thetaplus: "geresnet110_thetaplus_w4" 8 ".ge."
    geresnet164_thetaplus: "geresnet164_thetaplus_w2" 8 ".ge."
}
