//! The residual networks are torchvision's: the same names, shapes and counts, and the same logits from the same weights.
//!
//! `golden/make_golden.py` wrote what is compared with, from torchvision itself; its docstring describes the files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mp_nn::{Device, Mode, Store, Tensor, load_tensors};
use mp_zoo::{InputSize, Model, ModelOptions};

/// Largest difference from the float64 logits, as a share of the largest logit. Measured: up to 3.2e-7 in float32;
/// an epsilon of 1e-4 for 1e-5 in the norms, the smallest of the mistakes tried, makes 2.5e-4.
const TOLERANCE: f64 = 1e-5;

#[test]
fn narrow_networks_load_torchvisions_files_and_give_its_logits() {
    for (name, size) in
        [("resnet20_w8", 32), ("resnet32_w4", 32), ("resnet18_w4", 64), ("resnet34_w4", 64), ("resnet50_w4", 64)]
    {
        let (store, model) = build(name, 10, size);
        store.load(&golden(&format!("{name}.safetensors"))).unwrap();
        assert_logits(name, &model, size);
    }
}

#[test]
fn full_networks_have_torchvisions_names_shapes_and_counts() {
    let listed = torchvision();
    for name in ["resnet18", "resnet34", "resnet50"] {
        let (store, _) = build(name, 1000, 64);
        let ours: BTreeMap<String, Vec<i64>> = store.entries().into_iter().map(|e| (e.name, e.tensor.size())).collect();
        assert_eq!(ours, listed[name].state, "{name}");
        assert_eq!(store.parameter_count(), listed[name].parameters, "{name}");
    }
}

#[test]
fn full_networks_give_torchvisions_logits() {
    for name in ["resnet18", "resnet34", "resnet50"] {
        let (store, model) = build(name, 1000, 64);
        fill(&store);
        assert_logits(name, &model, 64);
    }
}

#[test]
fn the_formula_is_the_one_of_the_script() {
    // Published vectors: FNV-1a of "a" and of "foobar", and the first output of splitmix64 from seed 0.
    assert_eq!(fnv1a("a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(fnv1a("foobar"), 0x8594_4171_f739_67e8);
    assert_eq!(splitmix64(0, 0), 0xe220_a839_7b1d_cdaf);
    let expected = load_tensors(&golden("expected.safetensors")).unwrap();
    assert_eq!(
        uniform("input", 2 * 3 * 8 * 8),
        Vec::<f32>::try_from(expected.tensors["input"].flatten(0, -1)).unwrap()
    );
    let file = load_tensors(&golden("resnet20_w8.safetensors")).unwrap();
    for (name, tensor) in file.tensors.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")) {
        let theirs = Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
        assert_eq!(formula(name, &tensor.size()), theirs, "{name}");
    }
}

/// A network of torchvision: its parameter count, and the shape of every tensor of its state by name.
#[derive(serde::Deserialize)]
struct Listed {
    parameters: u64,
    state: BTreeMap<String, Vec<i64>>,
}

fn torchvision() -> BTreeMap<String, Listed> {
    serde_json::from_str(&std::fs::read_to_string(golden("torchvision.json")).unwrap()).unwrap()
}

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

fn build(name: &str, classes: i64, size: i64) -> (Store, Model) {
    let store = Store::new(Device::Cpu, 0);
    let options = ModelOptions::new(InputSize { channels: 3, size, classes });
    let model = mp_zoo::build(name, &options, &store.root()).unwrap();
    (store, model)
}

fn assert_logits(name: &str, model: &Model, size: i64) {
    let expected = load_tensors(&golden("expected.safetensors")).unwrap().tensors;
    let times = size / 8;
    let images = expected["input"].repeat_interleave_self_int(times, 2, None);
    let images = images.repeat_interleave_self_int(times, 3, None);
    let theirs = &expected[&format!("{name}/logits")];
    let ours = {
        let _no_grad = tch::no_grad_guard();
        model.forward(&images, Mode::Eval).logits().shallow_clone()
    };
    assert_eq!(ours.size(), theirs.size(), "{name}");
    let difference = (&ours - theirs).abs().max().double_value(&[]);
    let largest = theirs.abs().max().double_value(&[]);
    assert!(difference <= TOLERANCE * largest, "{name}: logits up to {largest} differ by {difference}");
}

/// Gives every parameter and buffer the values of the formula in `golden/make_golden.py`.
fn fill(store: &Store) {
    let _no_grad = tch::no_grad_guard();
    for mut entry in store.entries().into_iter().filter(|e| !e.name.ends_with("num_batches_tracked")) {
        let shape = entry.tensor.size();
        entry.tensor.copy_(&Tensor::from_slice(&formula(&entry.name, &shape)).reshape(&shape));
    }
}

fn formula(name: &str, shape: &[i64]) -> Vec<f32> {
    let values = uniform(name, shape.iter().product::<i64>() as u64);
    let map = |f: &dyn Fn(f32) -> f32| values.iter().map(|v| f(*v)).collect();
    if shape.len() >= 2 {
        let bound = (3.0 / shape[1..].iter().product::<i64>() as f64).sqrt() as f32;
        map(&|v| v * bound)
    } else if name.ends_with("running_var") || name.ends_with("weight") {
        map(&|v| 1.0 + v / 2.0)
    } else {
        map(&|v| v / 8.0)
    }
}

/// Numbers in [-1, 1) that depend on the name and on nothing else.
fn uniform(name: &str, count: u64) -> Vec<f32> {
    let seed = fnv1a(name);
    (0..count).map(|k| (splitmix64(seed, k) >> 40) as f32 / 8_388_608.0 - 1.0).collect()
}

fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Output number `k`, counted from 0, of the generator that starts at `seed`.
fn splitmix64(seed: u64, k: u64) -> u64 {
    let z = seed.wrapping_add((k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
