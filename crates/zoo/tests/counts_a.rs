//! Parameters and multiply-adds of the published networks that are chains of plain layers and of Inception modules.

use mp_zoo::{InputSize, ModelOptions, cost_of};

/// Holds each `(name, parameters, multiply-adds)` on images of one size. Auxiliary classifiers count as parameters; they
/// have no multiply-adds in evaluation.
fn check(input: InputSize, rows: &[(&str, u64, u64)]) {
    let found = rows.iter().map(|(name, ..)| {
        let cost = cost_of(name, &ModelOptions::new(input)).unwrap();
        (*name, cost.parameters, cost.multiply_adds)
    });
    assert_eq!(found.collect::<Vec<_>>(), rows);
}

const CIFAR: InputSize = InputSize { channels: 3, size: 32, classes: 10 };

fn imagenet(size: i64) -> InputSize {
    InputSize { channels: 3, size, classes: 1000 }
}

#[test]
fn alexnets() {
    check(imagenet(224), &[("alexnet", 61_100_840, 714_188_480)]);
    check(imagenet(227), &[("alexnet_towers", 60_965_224, 0)]);
    let small = [
        ("alexnet_cifar", 6_976_842, 0),
        ("alexnet_towers_cifar", 6_184_266, 0),
        ("alexnet_stem11_cifar", 2_472_266, 0),
    ];
    check(CIFAR, &small);
}

#[test]
fn vggs() {
    let full = [
        ("vgg11", 132_863_336, 7_609_090_048),
        ("vgg11_bn", 132_868_840, 7_609_090_048),
        ("vgg13", 133_047_848, 11_308_466_176),
        ("vgg13_bn", 133_053_736, 11_308_466_176),
        ("vgg16", 138_357_544, 15_470_264_320),
        ("vgg16_bn", 138_365_992, 15_470_264_320),
        ("vgg19", 143_667_240, 19_632_062_464),
        ("vgg19_bn", 143_678_248, 19_632_062_464),
    ];
    check(imagenet(224), &full);
    let small = [
        ("vgg11_bn_cifar", 9_231_114, 0),
        ("vgg13_bn_cifar", 9_416_010, 0),
        ("vgg16_bn_cifar", 14_728_266, 0),
        ("vgg19_bn_cifar", 20_040_522, 0),
        ("vgg11_bn512_cifar", 9_756_426, 0),
        ("vgg13_bn512_cifar", 9_941_322, 0),
        ("vgg16_bn512_cifar", 15_253_578, 0),
        ("vgg19_bn512_cifar", 20_565_834, 0),
        ("vgg13_unbiased_cifar", 9_938_378, 0),
    ];
    check(CIFAR, &small);
}
