//! Every listed model: it builds, its logits on its native input are finite, every parameter gets a gradient, and its
//! parameter count, multiply-adds and weight names are the pinned ones.

use std::collections::HashSet;
use std::fmt::Write;
use std::path::Path;

use mp_nn::{Device, Kind, Mode, Store, Tensor};
use mp_zoo::{HeadRole, InputSize, Model, ModelInfo, ModelName, ModelOptions};

/// The listed models of one family.
fn listed(family: &str) -> Vec<ModelInfo> {
    let of_family = |m: &ModelInfo| m.name.strip_prefix(family).is_some_and(|r| r.is_empty() || r.starts_with('_'));
    mp_zoo::models().into_iter().filter(of_family).collect()
}

fn build(name: &str, input: InputSize) -> (Store, Model) {
    let store = Store::new(Device::Cpu, 0);
    let model = mp_zoo::build(name, &ModelOptions::new(input), &store.root()).unwrap();
    (store, model)
}

fn images(batch: i64, input: InputSize) -> Tensor {
    // A fixed pattern rather than random numbers: libtorch's generator is shared between the tests of a process.
    let count = batch * input.channels * input.size * input.size;
    let ramp = Tensor::arange(count, (Kind::Float, Device::Cpu));
    (ramp * 0.7).sin().reshape([batch, input.channels, input.size, input.size])
}

/// A number that changes when a name, a shape or their order does.
fn fingerprint(store: &Store) -> u64 {
    let listing: String = store.entries().iter().map(|e| format!("{} {:?}\n", e.name, e.tensor.size())).collect();
    listing.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, b| (hash ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

/// Logits on the native size are finite; parameters, multiply-adds and names are the pinned ones; a training step reaches
/// every parameter. The step runs at 32x32 where the native size is larger, so that the test stays short.
fn check_family(family: &str) {
    let models = listed(family);
    assert_eq!(models.len(), 14, "variants of {family}");
    let mut table = String::new();
    for ModelInfo { name, native, .. } in models {
        let (store, model) = build(&name, native);
        let (output, multiply_adds) = store.meter().measure(|| {
            let _no_grad = tch::no_grad_guard();
            model.forward(&images(1, native), Mode::Eval)
        });
        assert_eq!(output.logits().size(), [1, native.classes], "{name}");
        assert!(bool::try_from(output.logits().isfinite().all()).unwrap(), "{name}: logits are not finite");

        let (parameters, tensors, print) = (store.parameter_count(), store.entries().len(), fingerprint(&store));
        writeln!(table, "{name:<18} {parameters:>10} {multiply_adds:>12} {tensors:>5} {print:016x}").unwrap();

        check_gradients(&name, &store, &model, InputSize { size: native.size.min(32), ..native });
    }
    insta::assert_snapshot!(format!("table_of_{family}"), table);
}

fn check_gradients(name: &str, store: &Store, model: &Model, input: InputSize) {
    let output = model.forward(&images(4, input), Mode::Train);
    let labels = Tensor::arange(4, (Kind::Int64, Device::Cpu));
    let members: Vec<&Tensor> = output.of(HeadRole::Member).collect();
    let learning = if members.is_empty() { vec![output.logits()] } else { members };
    let loss: Tensor = learning.iter().map(|logits| logits.cross_entropy_for_logits(&labels)).sum();
    loss.backward();
    for parameter in store.parameters() {
        let gradient = parameter.tensor.grad();
        assert!(gradient.defined(), "{name}: `{}` has no gradient", parameter.name);
        let largest = gradient.abs().max().double_value(&[]);
        assert!(largest.is_finite() && largest > 0.0, "{name}: gradient of `{}` is {largest}", parameter.name);
    }
}

/// The families of the models that are named in the lists of `families_*.rs`.
fn tested_elsewhere() -> HashSet<&'static str> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut tested = HashSet::new();
    for file in std::fs::read_dir(tests).unwrap() {
        let path = file.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("families_") {
            let text = std::fs::read_to_string(path).unwrap();
            tested
                .extend(text.split('"').filter_map(|word| word.parse::<ModelName>().ok()).map(|name| name.family.name));
        }
    }
    tested
}

macro_rules! families {
    ($($family:ident)*) => {
        $(#[test] fn $family() { check_family(stringify!($family)); })*

        #[test]
        fn all_families_are_tested() {
            let registered: Vec<&str> = mp_zoo::families().iter().map(|f| f.name).collect();
            for family in [$(stringify!($family)),*] {
                assert!(registered.contains(&family), "{family} is not registered");
            }
            let tested = tested_elsewhere();
            for family in registered {
                assert!(tested.contains(family), "{family} is in no list of a `families_*.rs`");
            }
        }
    };
}

families! { base_cnn vgg13_unbiased_cifar resnet20 resnet32 resnet44 resnet56 resnet110 resnet18 resnet34 resnet50 }

#[test]
fn cost_of_resnet20_is_the_known_one() {
    // 16 channels, three blocks a stage: 0.27 M parameters, 41 M multiply-adds (He et al., arXiv 1512.03385, section 4.2),
    // with the two 1x1 shortcuts: (16·32 + 32·64) weights, 2·(32 + 64) of their norms.
    let input = InputSize { channels: 3, size: 32, classes: 10 };
    let (store, model) = build("resnet20", input);
    let cost = mp_zoo::cost(&store, &model);
    let shortcuts = (16 * 32 + 32 * 64) + 2 * (32 + 64);
    assert_eq!(cost.parameters, 269_722 + shortcuts);
    let stem = 27 * 16 * 32 * 32;
    let stage1 = 6 * 144 * 16 * 32 * 32;
    let stage2 = (144 + 16 + 5 * 288) * 32 * 16 * 16;
    let stage3 = (288 + 32 + 5 * 576) * 64 * 8 * 8;
    assert_eq!(cost.multiply_adds, stem + stage1 + stage2 + stage3 + 640);
}

#[test]
fn names_of_each_kind_of_network() {
    for name in [
        "base_cnn",
        "base_cnn_x2_cc",
        "base_cnn_x2_cp",
        "base_cnn_x2_stitch",
        "base_cnn_x2_blind",
        "resnet20",
        "resnet20_e2",
    ] {
        let input = InputSize { channels: 1, size: 28, classes: 10 };
        let entries = build(name, input).0.entries();
        let listing: String = entries.iter().map(|e| format!("{} {:?}\n", e.name, e.tensor.size())).collect();
        insta::assert_snapshot!(name, listing);
    }
}

#[test]
fn names_are_unique_and_parse_to_themselves() {
    let models = mp_zoo::models();
    let mut seen = HashSet::new();
    for model in models {
        assert_eq!(model.name.parse::<mp_zoo::ModelName>().unwrap().to_string(), model.name);
        assert!(seen.insert(model.name.clone()), "{} is listed twice", model.name);
    }
}
