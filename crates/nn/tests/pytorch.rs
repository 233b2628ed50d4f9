//! PyTorch's own files, written by `golden/make_pth.py`: their tensors by hand-known values, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};

use mp_nn::{Error, Kind, StateDict, read_state_dict};
use proptest::prelude::*;

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn read(name: &str) -> StateDict {
    read_state_dict(&golden(name)).unwrap()
}

/// The message, without the folder.
fn refusal(name: &str) -> String {
    let message = read_state_dict(&golden(name)).unwrap_err().to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    message.split_once(name).unwrap().1.trim_start().to_owned()
}

fn numbers(dict: &StateDict, name: &str) -> Vec<f64> {
    let tensor = dict.get(name).unwrap_or_else(|| panic!("no `{name}`"));
    Vec::try_from(tensor.to_kind(Kind::Double).flatten(0, -1)).unwrap()
}

#[test]
fn every_type_of_numbers_is_read_from_both_forms() {
    for file in ["tensors.pth", "tensors_legacy.pth", "tensors_protocol4.pth"] {
        let dict = read(file);
        let names: Vec<&str> = dict.tensors.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            ["float", "double", "half", "bfloat16", "long", "int", "short", "char", "byte", "bool", "empty"],
            "{file}"
        );
        for (name, kind, size, expected) in [
            ("float", Kind::Float, &[2, 3][..], &[0.5, -1.0, 2.0, 3.0, 4.0, 5.0][..]),
            ("double", Kind::Double, &[1], &[0.1]),
            ("half", Kind::Half, &[2], &[1.5, -2.0]),
            ("bfloat16", Kind::BFloat16, &[2], &[1.5, -2.0]),
            ("long", Kind::Int64, &[], &[-1_099_511_627_776.0]),
            ("int", Kind::Int, &[2], &[1_073_741_824.0, -1.0]),
            ("short", Kind::Int16, &[2], &[300.0, -1.0]),
            ("char", Kind::Int8, &[2], &[127.0, -128.0]),
            ("byte", Kind::Uint8, &[2], &[255.0, 0.0]),
            ("bool", Kind::Bool, &[2], &[1.0, 0.0]),
            ("empty", Kind::Float, &[0, 3], &[]),
        ] {
            let tensor = dict.get(name).unwrap();
            assert_eq!((tensor.kind(), &tensor.size()[..]), (kind, size), "{file}: {name}");
            assert_eq!(numbers(&dict, name), expected, "{file}: {name}");
        }
        assert!(dict.others.is_empty());
    }
}

#[test]
fn views_that_share_a_storage_are_copied_out_in_order() {
    for file in ["views.pth", "views_legacy.pth"] {
        let dict = read(file);
        for (name, size, expected) in [
            ("whole", &[3, 4][..], &[0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.][..]),
            ("transposed", &[4, 3], &[0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]),
            ("column", &[3], &[1., 5., 9.]),
            ("corner", &[2, 2], &[6., 7., 10., 11.]),
            ("last", &[], &[11.]),
            ("repeated", &[2, 2], &[1., 1., 1., 1.]),
            ("channels_last", &[1, 2, 2, 2], &[0., 1., 2., 3., 4., 5., 6., 7.]),
        ] {
            assert_eq!(dict.get(name).unwrap().size(), size, "{file}: {name}");
            assert_eq!(numbers(&dict, name), expected, "{file}: {name}");
        }
        // Nothing is shared any more.
        let _ = dict.get("whole").unwrap().shallow_clone().fill_(0.0);
        assert_eq!(numbers(&dict, "column"), [1., 5., 9.], "{file}");
    }
}

#[test]
fn tensors_are_found_among_what_training_scripts_put_around_them() {
    for file in ["wrapped.pth", "wrapped_legacy.pth"] {
        let dict = read(file);
        let names: Vec<&str> = dict.tensors.iter().map(|(name, _)| name.as_str()).collect();
        let norm = ["1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"];
        assert_eq!(names[..2], ["0.weight", "0.bias"], "{file}");
        assert_eq!(names[2..], norm, "{file}");
        assert_eq!((numbers(&dict, "0.weight"), numbers(&dict, "0.bias")), (vec![2.0, 3.0], vec![4.0]));
        assert_eq!(numbers(&dict, "1.num_batches_tracked"), [1.0]);
        assert_eq!(dict.others, ["epoch", "best_prec1", "arch", "optimizer", "ema"]);
    }
    let dict = read("compiled.pth");
    // The prefix that all tensors share is gone; what is no tensor is named as the file names it.
    assert_eq!(
        (numbers(&dict, "weight"), dict.others),
        (vec![7.0], vec!["model_ema".to_owned(), "_orig_mod.module.steps".to_owned()])
    );
    let dict = read("python2.pth");
    assert_eq!((numbers(&dict, "a"), numbers(&dict, "b")), (vec![1.0], vec![2.0]));
    assert_eq!(numbers(&read("without_checksums.pth"), "w"), [1.0, 2.0]);
}

#[test]
fn a_safetensors_file_is_read_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let tensors = ["module.b", "module.a"].map(|name| (name.to_owned(), mp_nn::Tensor::from_slice(&[1.0_f32])));
    mp_nn::save_tensors(&path, &tensors, Default::default()).unwrap();
    let dict = read_state_dict(&path).unwrap();
    assert_eq!(dict.tensors.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn nothing_is_executed() {
    for name in ["bad_reduce.pth", "bad_reduce_legacy.pth"] {
        assert_eq!(refusal(name), "holds `posix.system`, which would be executed by Python: refused");
    }
    assert_eq!(
        refusal("bad_module.pth"),
        "holds `torch.nn.modules.linear.Linear`, which would be executed by Python: refused"
    );
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    for (name, expected) in [
        ("bad_unfolding.pth", "holds views that would unfold to more than 4 times its own size: refused (tensor `w`)"),
        (
            "bad_view.pth",
            "is damaged: a view of shape [2], strides [1] and offset 1 lies beyond its storage of 2 numbers (tensor `w`)",
        ),
        ("bad_list.pth", "holds a list, expected a dictionary of tensors"),
        (
            "bad_no_tensors.pth",
            "holds no tensors by name, alone or under `state_dict`, `model`, `net`, `model_state_dict`: it holds `epoch`, \
             `names`",
        ),
        (
            "bad_compressed.pth",
            "holds `archive/data.pkl` compressed, which PyTorch never does: unpack it and pack it as it is",
        ),
        ("bad_big_endian.pth", "has its numbers' highest bytes first: write it anew on a common computer"),
        ("bad_big_endian_legacy.pth", "has its numbers' highest bytes first: write it anew on a common computer"),
        (
            "bad_short_storage.pth",
            "is damaged or cut short: expected 2 numbers (Float) in storage `0`, found 4 bytes (tensor `w`)",
        ),
        ("bad_no_storage.pth", "is damaged: its `data/0` is missing (tensor `w`)"),
        ("bad_no_pickle.pth", "is a zip archive without data.pkl, which every file of PyTorch has"),
        (
            "bad_script.pth",
            "is a TorchScript archive, which holds code: save the network's state_dict() with torch.save instead",
        ),
        (
            "bad_pickle.pth",
            "is a Python pickle, but none that torch.save writes: expected PyTorch's number at its start",
        ),
    ] {
        assert_eq!(refusal(name), expected, "{name}");
    }
    assert!(refusal("bad_count_legacy.pth").starts_with("is cut short: expected "));
}

#[test]
fn other_files_are_called_by_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    for (bytes, what) in [
        (&b"<!DOCTYPE html>"[..], "a web page"),
        (b"PK\x03\x04....fc.weight.npy....", "an archive of NumPy arrays (.npz)"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = read_state_dict(&path).unwrap_err();
        assert!(matches!(error, Error::Foreign { .. }) && error.to_string().contains(what), "{error}");
    }
    fs::write(&path, b"").unwrap();
    assert!(matches!(read_state_dict(&path).unwrap_err(), Error::Format { .. }));
    assert!(matches!(read_state_dict(folder.path()).unwrap_err(), Error::Io { .. }));
}

const WHOLE: [&str; 8] = [
    "tensors.pth",
    "tensors_legacy.pth",
    "tensors_protocol4.pth",
    "views.pth",
    "views_legacy.pth",
    "wrapped.pth",
    "wrapped_legacy.pth",
    "python2.pth",
];

#[test]
fn a_file_that_is_cut_short_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.pth");
    for name in WHOLE {
        let bytes = fs::read(golden(name)).unwrap();
        for end in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
            fs::write(&path, &bytes[..end]).unwrap();
            assert!(read_state_dict(&path).is_err(), "{name}: {end} bytes");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_damage_is_tensors_or_one_line(
        which in 0..WHOLE.len(),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.pth");
        let mut bytes = fs::read(golden(WHOLE[which])).unwrap();
        for (at, value) in damage {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        fs::write(&path, &bytes).unwrap();
        match read_state_dict(&path) {
            Ok(dict) => {
                let size: usize = dict.tensors.iter().map(|(_, tensor)| tensor.numel() * tensor.kind().elt_size_in_bytes()).sum();
                prop_assert!(size <= 4 * bytes.len());
            }
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
        }
    }
}
