//! Networks at full size against torchvision and timm: parameters, multiply-adds, weight names and logits, with every tensor
//! filled by a formula on both sides. `golden/make_logits.py` writes the expected numbers and says how.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use mp_nn::{Device, Mode, Store, Tensor, fill_by_formula, formula_input};
use mp_zoo::{InputSize, ModelOptions};
use serde::Deserialize;

/// Largest difference of logits, relative to the root of their mean square.
const TOLERANCE: f64 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    networks: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    size: i64,
    classes: i64,
    variance: f64,
    parameters: u64,
    keys: usize,
    names: String,
    multiply_adds: u64,
    logits: [Vec<f64>; 2],
    sum: [f64; 2],
    rms: [f64; 2],
}

static REFERENCES: LazyLock<BTreeMap<String, Reference>> = LazyLock::new(|| {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/logits.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    golden.networks.into_iter().map(|network| (network.name.clone(), network)).collect()
});

/// Holds the model `name` to the entry `reference`.
fn check_as(name: &str, reference: &str) {
    let expected = &REFERENCES[reference];
    let Reference { size, classes, .. } = *expected;
    let store = Store::new(Device::Cpu, 0);
    let options = ModelOptions::new(InputSize { channels: 3, size, classes });
    let model = mp_zoo::build(name, &options, &store.root()).unwrap();

    let entries = store.entries();
    assert_eq!((store.parameter_count(), entries.len()), (expected.parameters, expected.keys), "{name}");
    let mut lines: Vec<String> = entries.iter().map(|e| format!("{} {}", e.name, dimensions(&e.tensor))).collect();
    lines.sort();
    assert_eq!(fnv1a(&lines.join("\n")), expected.names, "names and shapes of {name}:\n{}", lines.join("\n"));

    fill_by_formula(&store).unwrap();
    let _no_grad = tch::no_grad_guard();
    for entry in entries.iter().filter(|entry| entry.name.ends_with("running_var")) {
        let _ = entry.tensor.shallow_clone().g_mul_scalar_(expected.variance);
    }
    let images = formula_input(&[2, 3, size, size]);
    let (output, multiply_adds) = store.meter().measure(|| model.forward(&images, Mode::Eval));
    assert_eq!(multiply_adds, expected.multiply_adds, "multiply-adds of {name}");
    for image in 0..2 {
        let row = Vec::<f64>::try_from(output.logits().get(image as i64)).unwrap();
        let (rms, of) = (expected.rms[image], &expected.logits[image]);
        let found: Vec<f64> = (0..8).map(|j| row[j * classes as usize / 8]).collect();
        let worst = found.iter().zip(of).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst <= TOLERANCE * rms, "{name}, image {image}: {found:?}, expected {of:?}");
        let sum: f64 = row.iter().sum();
        assert!((sum - expected.sum[image]).abs() <= TOLERANCE * rms * classes as f64, "{name}: sum {sum}");
        let found_rms = (row.iter().map(|x| x * x).sum::<f64>() / classes as f64).sqrt();
        assert!((found_rms - rms).abs() <= TOLERANCE * rms, "{name}: root mean square {found_rms}, expected {rms}");
    }
}

fn dimensions(tensor: &Tensor) -> String {
    let sizes: Vec<String> = tensor.size().iter().map(i64::to_string).collect();
    if sizes.is_empty() { "scalar".to_owned() } else { sizes.join("x") }
}

fn fnv1a(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// One test a network, so that they run side by side.
macro_rules! references {
    ($($name:ident)*) => {
        $(#[test] fn $name() { check_as(stringify!($name), stringify!($name)); })*
    };
}

references! {
    resnet18 resnet34 resnet50
    alexnet vgg11 vgg13 vgg16 vgg19 vgg11_bn vgg13_bn vgg16_bn vgg19_bn
    googlenet_transform inception_v4 inception_resnet_v2
    resnet101 resnet152 wide_resnet50_2 wide_resnet101_2 resnext50_32x4d resnext101_32x8d resnext101_64x4d
    densenet121 densenet161 densenet169 densenet201
    seresnet18 seresnet34 seresnet50 seresnet101 seresnet152 seresnext50_32x4d
    legacy_seresnet18 legacy_seresnet34 legacy_seresnet50 legacy_seresnet101 legacy_seresnet152
    legacy_seresnext50_32x4d legacy_senet154
    ecaresnet50d ecaresnet101d
    resnest14d resnest26d resnest50d resnest50d_1s4x24d resnest50d_4s2x40d resnest101e resnest200e resnest269e
    resnetv2_18 resnetv2_34 resnetv2_50 resnetv2_101
}

/// Networks that have other names in the file, and those on small images.
macro_rules! references_as {
    ($($test:ident: $name:literal $reference:literal)*) => {
        $(#[test] fn $test() { check_as($name, $reference); })*
    };
}

references_as! {
    alexnet_small: "alexnet" "alexnet_c10@64"
    googlenet: "googlenet" "googlenet_aux"
    googlenet_plain: "googlenet_plain" "googlenet"
    googlenet_small: "googlenet_plain" "googlenet_c10@97"
    inception_v3: "inception_v3" "inception_v3_aux"
    inception_v3_plain: "inception_v3_plain" "inception_v3"
    inception_v3_transform: "inception_v3_transform" "inception_v3_aux_transform"
    inception_v3_small: "inception_v3_plain" "inception_v3_c10@107"
    inception_v4_small: "inception_v4" "inception_v4_c10@107"
    inception_resnet_v2_small: "inception_resnet_v2" "inception_resnet_v2_c10@107"
}
