//! Names, order, starting values and weight files.

use std::collections::HashMap;
use std::path::Path;

use mp_nn::{Conv2dConfig, Device, Error, Init, Kind, LinearConfig, Role, Store, Tensor, load_tensors, save_tensors};
use proptest::prelude::*;

fn two_layers(seed: u64) -> Store {
    let store = Store::new(Device::Cpu, seed);
    Conv2dConfig::new(3, 4, 3).build(&(&store.root() / "stage1" / "conv")).unwrap();
    LinearConfig::new(4, 2).build(&(&store.root() / "fc")).unwrap();
    store
}

fn bytes(store: &Store) -> Vec<Vec<f32>> {
    store.entries().iter().map(|e| Vec::try_from(e.tensor.contiguous().view(-1)).unwrap()).collect()
}

#[test]
fn entries_keep_the_order_of_creation() {
    let names: Vec<String> = two_layers(0).entries().into_iter().map(|e| e.name).collect();
    assert_eq!(names, ["stage1.conv.weight", "stage1.conv.bias", "fc.weight", "fc.bias"]);
}

#[test]
fn a_taken_or_malformed_name_is_refused() {
    let store = two_layers(0);
    let again = LinearConfig::new(4, 2).build(&(&store.root() / "fc")).unwrap_err();
    assert!(matches!(&again, Error::DuplicateName(name) if name == "fc.weight"), "{again}");
    for name in ["", "a.b", "a b"] {
        let refused = store.root().parameter(name, &[1], Init::Zeros, Role::Weight);
        assert!(matches!(refused, Err(Error::BadName(_))), "`{name}`");
    }
}

#[test]
fn values_depend_on_seed_and_name_alone() {
    let store = Store::new(Device::Cpu, 5);
    LinearConfig::new(4, 2).build(&(&store.root() / "fc")).unwrap();
    assert_eq!(bytes(&store)[0], bytes(&two_layers(5))[2]);
    assert_ne!(bytes(&two_layers(5))[0], bytes(&two_layers(6))[0]);
}

#[test]
fn only_parameters_are_trained() {
    let store = Store::new(Device::Cpu, 0);
    let root = store.root();
    let _ = root.parameter("a", &[2, 3], Init::Ones, Role::Weight).unwrap();
    let _ = root.buffer("b", &[4], Init::Zeros).unwrap();
    let _ = root.counter("c").unwrap();
    assert_eq!(store.parameter_count(), 6);
    assert_eq!(store.parameters().iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(store.entries().iter().map(|e| e.tensor.requires_grad()).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn a_file_gives_the_same_numbers_back() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    let (from, to) = (two_layers(1), two_layers(2));
    from.save(&file).unwrap();
    to.load(&file).unwrap();
    assert_eq!(bytes(&from), bytes(&to));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[cfg(unix)]
#[test]
fn a_file_has_the_permissions_of_a_plain_one() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (plain, weights) = (folder.path().join("plain"), folder.path().join("weights.safetensors"));
    std::fs::write(&plain, "").unwrap();
    two_layers(0).save(&weights).unwrap();
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&weights), mode(&plain));
}

#[test]
fn channels_last_weights_are_written_in_row_major_order() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.safetensors");
    let plain = Tensor::arange(24, (Kind::Float, Device::Cpu)).view([2, 3, 2, 2]);
    let last = plain.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    save_tensors(&file, &[("w".into(), last)], HashMap::from([("made_by".into(), "test".into())])).unwrap();
    let read = load_tensors(&file).unwrap();
    assert_eq!(read.tensors["w"], plain);
    assert_eq!(read.metadata["made_by"], "test");
}

#[test]
fn another_models_weights_are_refused_before_anything_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.safetensors");
    let other = Store::new(Device::Cpu, 0);
    LinearConfig { bias: false, ..LinearConfig::new(1, 2) }.build(&(&other.root() / "fc")).unwrap();
    LinearConfig::new(4, 2).build(&(&other.root() / "head")).unwrap();
    other.save(&file).unwrap();
    let store = two_layers(3);
    let before = bytes(&store);
    let message = store.load(&file).unwrap_err().to_string();
    // The shape [2, 1] could be broadcast to [2, 4], and tch would do so.
    assert!(message.ends_with(
        "weights of another model: 3 missing (stage1.conv.weight, stage1.conv.bias, fc.bias); \
         2 unexpected (head.bias, head.weight); 1 of another shape (fc.weight: model [2, 4], file [2, 1])"
    ));
    assert_eq!(bytes(&store), before);
}

#[test]
fn a_file_cut_anywhere_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cut.safetensors");
    let store = two_layers(0);
    store.save(&file).unwrap();
    let whole = std::fs::read(&file).unwrap();
    for length in [0, 4, 8, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        let message = store.load(&file).unwrap_err().to_string();
        assert_eq!(message, format!("{} is not a whole safetensors file", file.display()), "{length} bytes");
    }
    let missing = store.load(Path::new("no/such/file")).unwrap_err();
    assert_eq!(missing.to_string(), "cannot read no/such/file");
}

#[test]
fn a_failed_write_leaves_the_former_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("weights.safetensors");
    two_layers(1).save(&file).unwrap();
    let before = std::fs::read(&file).unwrap();
    let mask = Tensor::zeros([2], (Kind::Bool, Device::Cpu));
    let message = save_tensors(&file, &[("mask".into(), mask)], HashMap::new()).unwrap_err().to_string();
    assert!(message.ends_with("tensor `mask` holds Bool: expected a float, i64 or u8 type"), "{message}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let _ = load_tensors(file.path());
    }
}
