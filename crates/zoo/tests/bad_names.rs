//! Names and inputs that are refused, with the one line that says why.

use mp_nn::{Device, Store};
use mp_zoo::{InputSize, ModelOptions, Positions, RoutingConfig};

const CIFAR: InputSize = InputSize { channels: 3, size: 32, classes: 10 };

fn refusal(name: &str, options: &ModelOptions) -> String {
    let message = match mp_zoo::build(name, options, &Store::new(Device::Cpu, 0).root()) {
        Ok(_) => panic!("`{name}` was built"),
        Err(error) => error.to_string(),
    };
    assert_eq!(message.lines().count(), 1, "{message}");
    message
}

fn for_cifar(name: &str) -> String {
    refusal(name, &ModelOptions::new(CIFAR))
}

#[test]
fn unknown_base_names_the_nearest() {
    assert_eq!(
        for_cifar("resnet2O_x3_cc"),
        "there is no model `resnet2O_x3_cc`: the nearest are resnet20_x3_cc, resnet8_x3_cc, resnet14_x3_cc"
    );
    let far = for_cifar("zzz");
    assert!(
        far.contains("names start with one of") && far.ends_with("such as base_cnn, resnet8, resnet14, resnet20"),
        "{far}"
    );
}

#[test]
fn unknown_variant_shows_the_grammar() {
    assert_eq!(
        for_cifar("resnet20_x3_ccc"),
        "`resnet20_x3_ccc`: `_ccc` is no variant: expected resnet20[_wWIDTH][_xPATHS[_cc|_cp|_stitch|_blind] | _eMEMBERS], as in `resnet20_x3_cc`"
    );
    for name in ["resnet20_", "resnet20_x", "resnet20_x3_cc_w8", "resnet20_e3_cc", "resnet20_w", "resnet20_x-1"] {
        assert!(for_cifar(name).contains("is no variant"), "{name}");
    }
}

#[test]
fn numbers_outside_their_range() {
    assert_eq!(for_cifar("resnet20_x9_cc"), "`resnet20_x9_cc`: paths: expected 2 to 8, found 9");
    assert_eq!(for_cifar("resnet20_x1"), "`resnet20_x1`: paths: expected 2 to 8, found 1");
    assert_eq!(for_cifar("resnet20_e99"), "`resnet20_e99`: members of the ensemble: expected 2 to 8, found 99");
    let huge = "resnet20_w99999999999999999999";
    assert_eq!(for_cifar(huge), format!("`{huge}`: channels of the first stage: expected 1 to 4096, found more"));
}

#[test]
fn images_too_small_for_the_network() {
    let options = ModelOptions::new(InputSize { size: 8, ..CIFAR });
    assert_eq!(refusal("vgg13", &options), "`vgg13` needs images of at least 32x32, found 8x8");
}

#[test]
fn unknown_positions_list_the_valid_ones() {
    let positions = Positions::List(vec!["stage9".into()]);
    let options = ModelOptions::routed(CIFAR, RoutingConfig { positions, ..Default::default() });
    assert_eq!(
        refusal("base_cnn_x2_cc", &options),
        "`base_cnn_x2_cc` has no routing position `stage9`: expected `stages`, `blocks` or a list of stage2, stage3, dense"
    );
}

#[test]
fn any_name_is_refused_or_built_without_a_panic() {
    proptest::proptest!(|(name in "(resnet20|base_cnn|vgg)?[_wxecp0-9a-z]{0,12}")| {
        let _ = name.parse::<mp_zoo::ModelName>();
    });
}
