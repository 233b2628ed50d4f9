//! Parameters and multiply-adds of the published residual and densely connected networks.

use mp_nn::Store;
use mp_zoo::{Cost, InputSize, ModelOptions, cost_of};

const CIFAR: InputSize = InputSize { channels: 3, size: 32, classes: 10 };

fn imagenet(size: i64) -> InputSize {
    InputSize { channels: 3, size, classes: 1000 }
}

fn cost(name: &str, input: InputSize) -> Cost {
    cost_of(name, &ModelOptions::new(input)).unwrap()
}

/// Holds each `(name, parameters, multiply-adds)` on images of one size; where the table of published figures has the
/// multiply-adds too, they are `"40.6 M"` or `"4.23 G"`, and ours are within a unit of the last digit.
fn check(input: InputSize, rows: &[(&str, u64, u64, &str)]) {
    for (name, parameters, multiply_adds, figure) in rows {
        let found = cost(name, input);
        assert_eq!((found.parameters, found.multiply_adds), (*parameters, *multiply_adds), "{name}");
        let Some((figure, unit)) = figure.split_once(' ') else { continue };
        let digits = figure.split_once('.').map_or(0, |(_, digits)| digits.len() as i32);
        let unit = if unit == "G" { 1e9 } else { 1e6 };
        let difference = found.multiply_adds as f64 / unit - figure.parse::<f64>().unwrap();
        assert!(difference.abs() < 10.0_f64.powi(-digits), "{name}: {multiply_adds}, published {figure}");
    }
}

/// Holds families to a formula of their blocks a stage, `slope n + offset`.
fn check_formula(slope: i64, offset: i64, networks: &[(&str, i64)]) {
    for (name, blocks) in networks {
        assert_eq!(cost(name, CIFAR).parameters as i64, slope * blocks + offset, "{name}");
    }
}

#[test]
fn resnets() {
    check(
        imagenet(224),
        &[
            ("resnet101", 44_549_160, 7_801_405_440, "7.801 G"),
            ("resnet152", 60_192_808, 11_513_626_624, "11.514 G"),
            ("wide_resnet50_2", 68_883_240, 11_398_021_120, "11.398 G"),
            ("wide_resnet101_2", 126_886_696, 22_753_050_624, "22.753 G"),
            ("resnext50_32x4d", 25_028_904, 4_230_479_872, "4.230 G"),
            ("resnext101_32x8d", 88_791_336, 16_414_015_488, "16.414 G"),
            ("resnext101_64x4d", 83_455_272, 15_460_270_080, "15.460 G"),
        ],
    );
    check(
        CIFAR,
        &[
            ("resnet20a", 269_722, 40_551_040, "40.6 M"),
            ("resnet20", 272_474, 40_813_184, "40.8 M"),
            ("resnet32a", 464_154, 68_862_592, "68.9 M"),
            ("resnet32", 466_906, 69_124_736, "69.1 M"),
            ("resnet44a", 658_586, 97_174_144, "97.2 M"),
            ("resnet44", 661_338, 97_436_288, "97.4 M"),
            ("resnet56a", 853_018, 125_485_696, "125.5 M"),
            ("resnet56", 855_770, 125_747_840, "125.8 M"),
            ("resnet110a", 1_727_962, 252_887_680, "252.9 M"),
            ("resnet110", 1_730_714, 253_149_824, "253.2 M"),
            ("resnet1202a", 19_421_274, 2_829_238_912, "2829 M"),
            ("resnet1202", 19_424_026, 2_829_501_056, "2829 M"),
            ("resnet164", 1_704_154, 247_646_720, "247.7 M"),
        ],
    );
}

#[test]
fn recalibrated_resnets() {
    check(
        imagenet(224),
        &[
            ("seresnet18", 11_779_624, 1_814_161_408, ""),
            ("seresnet34", 21_960_416, 3_663_920_128, ""),
            ("seresnet50", 28_088_024, 4_091_699_200, "4.092 G"),
            ("seresnet101", 49_326_872, 7_806_148_608, ""),
            ("seresnet152", 66_821_848, 11_520_204_800, ""),
            ("seresnext50_32x4d", 27_559_896, 4_232_994_816, "4.233 G"),
            ("legacy_seresnet18", 11_778_592, 1_814_160_384, "1.814 G"),
            ("legacy_seresnet34", 21_958_868, 3_663_918_592, "3.664 G"),
            ("legacy_seresnet50", 28_088_024, 3_860_488_192, "3.861 G"),
            ("legacy_seresnet101", 49_326_872, 7_574_937_600, "7.575 G"),
            ("legacy_seresnet152", 66_821_848, 11_288_993_792, "11.289 G"),
            ("legacy_seresnext50_32x4d", 27_559_896, 4_232_994_816, ""),
            ("legacy_senet154", 115_088_984, 20_688_363_520, "20.688 G"),
            ("ecaresnet50", 25_557_112, 4_089_270_528, "4.09 G"),
            ("ecaresnet50d", 25_576_350, 4_328_912_640, "4.329 G"),
            ("ecaresnet101d", 44_568_563, 8_041_220_864, "8.041 G"),
            ("geresnet50_thetaminus", 25_557_032, 4_089_184_256, "4.1 G"),
            ("geresnet50_theta", 31_106_600, 4_094_703_616, "4.1 G"),
            ("geresnet50_thetaplus", 33_637_592, 4_097_218_560, "4.1 G"),
        ],
    );
    check(
        CIFAR,
        &[
            ("seresnet20", 274_847, 40_815_200, ""),
            ("seresnet56", 862_889, 125_753_888, ""),
            ("seresnet110", 1_744_952, 253_161_920, ""),
            ("seresnet164", 1_906_258, 247_840_256, "247.8 M"),
            ("ecaresnet20", 272_501, 40_814_192, "40.8 M"),
            ("ecaresnet56", 855_851, 125_750_864, "125.8 M"),
            ("ecaresnet110", 1_730_876, 253_155_872, "253.2 M"),
            ("ecaresnet164", 1_704_388, 247_684_736, "247.7 M"),
            ("geresnet56_thetaminus", 855_770, 125_747_840, "125.8 M"),
            ("geresnet56_theta", 1_115_834, 126_005_888, "126 M"),
            ("geresnet110_theta", 2_250_842, 253_665_920, "254 M"),
            ("geresnet164_theta", 3_784_666, 249_711_104, "250 M"),
            ("geresnet56_theta8", 889_034, 126_509_888, "126.5 M"),
            ("geresnet110_theta8", 1_797_242, 254_673_920, "254.7 M"),
            ("geresnet164_theta8", 1_970_266, 253_743_104, "253.7 M"),
            ("geresnet56_thetaplus", 1_122_953, 126_011_936, "126 M"),
            ("geresnet110_thetaplus", 2_265_080, 253_678_016, "254 M"),
            ("geresnet164_thetaplus", 3_986_770, 249_904_640, "250 M"),
        ],
    );
}

#[test]
fn pre_activation_networks() {
    check(
        imagenet(224),
        &[
            ("resnetv2_18", 11_687_720, 1_814_073_344, ""),
            ("resnetv2_34", 21_795_880, 3_663_761_408, ""),
            ("resnetv2_50", 25_549_352, 4_089_184_256, "4.089 G"),
            ("resnetv2_101", 44_541_480, 7_801_405_440, ""),
        ],
    );
    check(
        CIFAR,
        &[
            ("preresnet110", 1_730_522, 253_149_824, "253 M"),
            ("preresnet164", 1_703_258, 247_646_720, "248 M"),
            ("preresnet1001", 10_327_706, 1_490_995_712, "1491 M"),
            ("sewrn16_8", 11_049_290, 1_548_231_680, "1548 M"),
            ("sepreresnet164", 1_905_362, 247_840_256, ""),
            ("wrn16_8", 10_961_370, 1_548_145_664, "1548 M"),
            ("wrn16_10", 17_116_634, 2_412_173_568, "2412 M"),
            ("wrn22_8", 17_158_106, 2_454_115_328, "2454 M"),
            ("wrn28_2", 1_467_610, 214_353_152, "214.4 M"),
            ("wrn28_10", 36_479_194, 5_243_328_768, "5243 M"),
            ("wrn28_12", 52_517_850, 7_543_905_792, "7544 M"),
            ("wrn40_1", 563_930, 83_280_512, "83.3 M"),
            ("wrn40_2", 2_243_546, 327_599_360, "327.6 M"),
            ("wrn40_4", 8_949_210, 1_298_582_016, "1299 M"),
            ("wrn40_8", 35_748_314, 5_172_024_320, "5172 M"),
            ("hyper_wrn40_1", 97_770, 83_280_512, "83.3 M"),
            ("hyper_wrn40_2", 155_626, 327_599_360, "327.6 M"),
        ],
    );
}

#[test]
fn densely_connected_networks() {
    check(
        imagenet(224),
        &[
            ("densenet121", 7_978_856, 2_834_161_664, "2.834 G"),
            ("densenet169", 14_149_480, 3_359_843_328, "3.360 G"),
            ("densenet201", 20_013_928, 4_291_365_888, "4.291 G"),
            ("densenet161", 28_681_000, 7_727_907_072, "7.728 G"),
        ],
    );
    check(
        CIFAR,
        &[
            ("densenet40_k12", 1_019_722, 264_812_928, "265 M"),
            ("densenet100_k12", 6_979_642, 1_769_516_448, "1770 M"),
            ("densenet100_k24", 27_249_082, 6_889_347_744, "6889 M"),
            ("densenetbc40_k12", 176_122, 72_365_352, "72.4 M"),
            ("densenetbc100_k12", 769_162, 287_929_692, "287.9 M"),
            ("densenetbc40_k36", 1_542_682, 647_298_936, "647 M"),
            ("densenetbc40_k48", 2_733_130, 1_149_867_168, "1150 M"),
            ("densenetbc40_k60", 4_261_690, 1_795_836_360, "1796 M"),
            ("densenetbc250_k24", 15_324_406, 5_418_785_724, "5419 M"),
            ("densenetbc190_k40", 25_624_430, 9_301_945_740, "9302 M"),
            ("densenetbc100_k7", 268_221, 98_101_446, "98 M"),
            ("densenetbc100_k13", 899_562, 337_789_044, "338 M"),
            ("densenetbc100_k18", 1_709_560, 647_341_578, "647 M"),
            ("densenetbc40_k15", 272_980, 112_863_090, "113 M"),
            ("densenetbc40_k27", 871_732, 364_479_642, "365 M"),
            ("densenetbc40_k38", 1_717_610, 721_101_908, "721 M"),
            ("densenet40_k6", 281_002, 75_518_736, "76 M"),
            ("densenet40_k11", 864_652, 225_309_336, "225 M"),
            ("densenet40_k16", 1_767_802, 454_645_536, "455 M"),
            ("cfr_densenetbc100_k12", 773_338, 287_933_148, ""),
            ("mfr_densenet40", 522_704, 164_120_676, ""),
            ("mfr_densenet100", 3_302_915, 934_499_844, ""),
        ],
    );
}

#[test]
fn resnexts() {
    check(
        CIFAR,
        &[
            ("resnext29_8x64d", 34_426_698, 5_387_266_048, "5387 M"),
            ("resnext29_16x64d", 68_155_210, 10_688_866_304, "10689 M"),
            ("resnext29_32x4d", 4_775_754, 774_055_936, "774 M"),
            ("resnext29_16x4d", 2_736_970, 429_860_864, "430 M"),
            ("resnext29_8x4d", 1_717_578, 257_763_328, "258 M"),
            ("resnext29_1x64d", 4_914_250, 748_365_824, "748 M"),
            ("resnext29_2x64d", 9_130_314, 1_411_065_856, "1411 M"),
            ("resnext29_4x64d", 17_562_442, 2_736_465_920, "2736 M"),
            ("resnext29_8x4d_w48", 971_602, 145_325_568, "145 M"),
        ],
    );
}

#[test]
fn resnests() {
    check(
        imagenet(224),
        &[
            ("resnest14d", 10_611_688, 2_749_405_184, ""),
            ("resnest26d", 17_069_448, 3_623_391_232, ""),
            ("resnest50d", 27_483_240, 5_371_160_576, "5.371 G"),
            ("resnest50d_1s4x24d", 25_677_000, 4_399_827_456, ""),
            ("resnest50d_4s2x40d", 30_417_592, 4_369_060_736, ""),
        ],
    );
    check(imagenet(256), &[("resnest101e", 48_275_016, 13_321_472_000, "13.322 G")]);
    check(imagenet(320), &[("resnest200e", 70_201_544, 35_519_694_848, "35.520 G")]);
    check(imagenet(416), &[("resnest269e", 110_929_480, 77_348_702_208, "77.349 G")]);
    check(
        CIFAR,
        &[
            ("resnest20_cifar", 243_354, 47_914_496, "48 M"),
            ("resnest74_cifar", 868_698, 128_195_072, "128 M"),
            ("resnest146_cifar", 1_702_490, 235_235_840, "235 M"),
        ],
    );
}

#[test]
fn gather_excite_in_resnet101() {
    for (name, millions) in [("geresnet101_theta", 53.55), ("geresnet101_thetaplus", 58.32)] {
        let found = cost(name, imagenet(224)).parameters as f64 / 1e6;
        assert!((found - millions).abs() <= 0.005, "{name}: {found}");
    }
}

#[test]
fn parameters_by_the_number_of_blocks() {
    check_formula(97_216, -21_926, &[("resnet20a", 3), ("resnet32a", 5), ("resnet56a", 9), ("resnet1202a", 200)]);
    check_formula(
        97_216,
        -19_174,
        &[("resnet8", 1), ("resnet14", 2), ("resnet20", 3), ("resnet44", 7), ("resnet110", 18), ("resnet1202", 200)],
    );
    check_formula(
        98_007,
        -19_174,
        &[
            ("seresnet8", 1),
            ("seresnet14", 2),
            ("seresnet20", 3),
            ("seresnet32", 5),
            ("seresnet44", 7),
            ("seresnet110", 18),
        ],
    );
    check_formula(97_225, -19_174, &[("ecaresnet20", 3), ("ecaresnet56", 9), ("ecaresnet110", 18)]);
    check_formula(97_216, -19_174, &[("geresnet20_thetaminus", 3), ("geresnet110_thetaminus", 18)]);
    check_formula(100_912, -19_174, &[("geresnet20_theta8", 3), ("geresnet56_theta8", 9), ("geresnet110_theta8", 18)]);
    check_formula(126_112, -19_174, &[("geresnet20_theta", 3), ("geresnet56_theta", 9), ("geresnet110_theta", 18)]);
    check_formula(126_903, -19_174, &[("geresnet20_thetaplus", 3), ("geresnet110_thetaplus", 18)]);
    check_formula(97_216, -19_366, &[("preresnet20", 3), ("preresnet56", 9), ("preresnet110", 18)]);
    check_formula(92_736, 34_010, &[("preresnet164", 18), ("preresnet1001", 111)]);
    check_formula(104_224, 34_906, &[("resnest20_cifar", 2), ("resnest74_cifar", 8), ("resnest146_cifar", 16)]);
}

#[test]
fn a_hundred_classes_add_their_rows_of_the_dense_layer() {
    for (name, features) in [("resnet20a", 64), ("preresnet164", 256), ("wrn28_10", 640), ("densenetbc100_k12", 342)] {
        let hundred = cost(name, InputSize { classes: 100, ..CIFAR });
        assert_eq!(hundred.parameters, cost(name, CIFAR).parameters + 90 * (features + 1), "{name}");
    }
}

/// By the parameters alone: where the kernels would be made, even counting multiply-adds takes seconds.
#[test]
fn generators_for_wide_networks() {
    for (name, parameters) in [("hyper_wrn40_3", 249_194), ("hyper_wrn28_8", 905_322), ("hyper_wrn28_10", 1_364_714)] {
        let store = Store::for_counting();
        mp_zoo::build(name, &ModelOptions::new(CIFAR), &store.root()).unwrap();
        assert_eq!(store.parameter_count(), parameters, "{name}");
    }
}
