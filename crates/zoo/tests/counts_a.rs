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
    check(imagenet(227), &[("alexnet_towers", 60_965_224, 724_406_816)]);
    let small = [
        ("alexnet_cifar", 6_976_842, 171_643_904),
        ("alexnet_towers_cifar", 6_184_266, 110_302_208),
        ("alexnet_stem11_cifar", 2_472_266, 14_957_056),
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
        ("vgg11_bn_cifar", 9_231_114, 152_769_536),
        ("vgg13_bn_cifar", 9_416_010, 228_267_008),
        ("vgg16_bn_cifar", 14_728_266, 313_201_664),
        ("vgg19_bn_cifar", 20_040_522, 398_136_320),
        ("vgg11_bn512_cifar", 9_756_426, 153_293_824),
        ("vgg13_bn512_cifar", 9_941_322, 228_791_296),
        ("vgg16_bn512_cifar", 15_253_578, 313_725_952),
        ("vgg19_bn512_cifar", 20_565_834, 398_660_608),
        ("vgg13_unbiased_cifar", 9_938_378, 228_791_296),
    ];
    check(CIFAR, &small);
}

#[test]
fn googlenets() {
    let full = [
        ("googlenet", 13_004_888, 1_498_376_192),
        ("googlenet_plain", 6_624_904, 1_498_376_192),
        ("googlenet_transform", 6_624_904, 1_498_376_192),
        ("googlenet_lrn", 13_378_280, 1_582_671_872),
    ];
    check(imagenet(224), &full);
    check(CIFAR, &[("googlenet_cifar", 5_490_986, 1_337_141_248), ("googlenet_cifar_5x5", 5_871_914, 1_447_241_728)]);
}

#[test]
fn inceptions() {
    let full = [
        ("inception_v3", 27_161_264, 5_713_216_096),
        ("inception_v3_plain", 23_834_568, 5_713_216_096),
        ("inception_v3_transform", 27_161_264, 5_713_216_096),
        ("inception_v4", 42_679_816, 12_253_974_624),
        ("inception_resnet_v2", 55_843_464, 13_155_794_016),
    ];
    check(imagenet(299), &full);
    let small = [
        ("inception_v3_cifar", 21_806_058, 3_631_154_176),
        ("inception_v4_cifar", 41_158_186, 8_483_799_040),
        ("inception_resnet_v2_cifar", 54_321_834, 9_503_941_632),
    ];
    check(CIFAR, &small);
}

#[test]
fn first_networks() {
    let digits = InputSize { channels: 1, size: 28, classes: 10 };
    check(
        digits,
        &[("lenet5", 61_706, 416_520), ("lenet5_1998", 60_000, 326_520), ("rectifier_mlp", 2_797_010, 2_794_000)],
    );
    check(InputSize { size: 29, ..digits }, &[("mcdnn_mnist", 76_040, 1_891_820)]);
    check(InputSize { channels: 3, size: 48, classes: 43 }, &[("mcdnn_gtsrb", 1_543_443, 125_978_700)]);
    let small = [
        ("lenet5", 62_006, 651_720),
        ("nin", 966_986, 222_486_528),
        ("maxout", 16_247_830, 732_290_696),
        ("fitnet1", 348_694, 30_246_024),
        ("fitnet2", 1_057_622, 107_967_880),
        ("fitnet3", 1_699_638, 324_138_376),
        ("fitnet4", 2_742_102, 381_941_128),
        ("rectifier_mlp", 5_085_010, 5_082_000),
        // The widths at which it has as many parameters as ResNet-20, 56 and 110.
        ("rectifier_mlp_w83", 269_843, 269_584),
        ("rectifier_mlp_w240", 855_610, 854_880),
        ("rectifier_mlp_w437", 1_730_093, 1_728_772),
        ("highway19", 2_256_838, 330_826_728),
        ("mcdnn", 1_660_710, 99_661_000),
        ("mcdnn_e8", 8 * 1_660_710, 797_288_000),
        ("wang_paths", 3_407_754, 173_413_376),
    ];
    check(CIFAR, &small);
    check(InputSize { classes: 100, ..CIFAR }, &[("highway19", 2_265_928, 330_835_728), ("nin", 984_356, 223_592_448)]);
}

#[test]
fn ninety_classes_more_are_ninety_rows_of_the_head() {
    for (name, features) in [
        ("alexnet_cifar", 512),
        ("vgg16_bn_cifar", 512),
        ("googlenet_cifar", 1024),
        ("lenet5", 84),
        ("fitnet1", 500),
        ("mcdnn", 100),
        ("rectifier_mlp", 1000),
    ] {
        let parameters =
            |classes| cost_of(name, &ModelOptions::new(InputSize { classes, ..CIFAR })).unwrap().parameters;
        assert_eq!(parameters(100) - parameters(10), 90 * (features + 1), "{name}");
    }
}
