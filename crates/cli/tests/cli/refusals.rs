//! Bad input gets one clear line and exit code 2, and nothing is written.

use std::fs;

use super::*;

/// Trains in a folder of its own with `files` in it, must be refused, and leaves nothing behind.
#[track_caller]
fn refused_training(files: &[(&str, Vec<u8>)], arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let error = refused(mp_train(folder.path(), &[&["train", "--out", "run"], arguments].concat()));
    assert!(!folder.path().join("run").exists(), "the refused run left a folder");
    error
}

#[test]
fn an_unknown_model_is_answered_with_the_nearest_names() {
    let error = refused_training(&[], &["--model", "resnet2O_x3", "--data", "digits"]);
    assert!(error.contains("no model `resnet2O_x3`") && error.contains("resnet20_x3"), "{error}");
}

#[test]
fn a_misspelt_key_is_answered_with_the_valid_ones() {
    let recipe = b"[model]\nname = \"resnet20\"\n[train]\nepoch = 3\n".to_vec();
    let error = refused_training(&[("mine.toml", recipe)], &["mine.toml"]);
    assert!(error.contains("mine.toml:4:1: unknown key `epoch`, did you mean `epochs`?"), "{error}");
    assert!(error.contains("batch_size, accumulate, seed"), "{error}");

    let error = refused_training(&[], &["digits", "--set", "optimiser.learning_rate=1"]);
    assert!(error.contains("--set optimiser.learning_rate=1: unknown key `learning_rate`"), "{error}");
}

#[test]
fn an_unknown_recipe_or_data_set_is_named() {
    assert!(refused_training(&[], &["nonesuch"]).contains("recipes: quickstart, digits"));
    let error = refused_training(&[], &["digits", "--data", "cifar1O"]);
    assert!(error.contains("unknown data set `cifar1O`") && error.contains("cifar10"), "{error}");
    let error = refused_training(&[], &["digits", "--data", "cifar10"]);
    assert!(error.contains("mp-train data fetch cifar10"), "{error}");
}

#[test]
fn a_value_out_of_range_is_refused_before_anything_is_opened() {
    let error = refused_training(&[], &["digits", "--set", "train.batch_size=0"]);
    assert!(error.contains("train.batch_size is 0, expected a whole number of images, 1 to 1000000"), "{error}");
}

#[test]
fn more_paths_than_a_model_allows_are_refused() {
    let error = refused_training(&[], &["--model", "base_cnn_x1000_cc", "--data", "digits"]);
    assert!(error.contains("base_cnn_x1000_cc") && error.contains("expected"), "{error}");
}

#[test]
fn a_routing_loss_on_a_model_without_routes_is_refused() {
    let error = refused_training(&[], &["--model", "base_cnn", "--data", "digits", "--set", "routing_loss.balance=1"]);
    assert!(error.contains("routing_loss") || error.contains("rout"), "{error}");
}

/// A data set of two 4x4 images with labels 0 and 1, for training and for testing, in MNIST's format.
fn idx_files() -> Vec<(&'static str, Vec<u8>)> {
    let numbers = |values: &[u32]| values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<u8>>();
    let images = [numbers(&[0x0803, 2, 4, 4]), vec![7; 32]].concat();
    let labels = [numbers(&[0x0801, 2]), vec![0, 1]].concat();
    vec![
        ("mine/train-images-idx3-ubyte", images.clone()),
        ("mine/train-labels-idx1-ubyte", labels.clone()),
        ("mine/t10k-images-idx3-ubyte", images),
        ("mine/t10k-labels-idx1-ubyte", labels),
    ]
}

const MINE: [&str; 4] = ["--model", "base_cnn_w4", "--data", "./mine"];

#[test]
fn a_missing_file_is_named() {
    let mut files = idx_files();
    files.remove(1);
    let error = refused_training(&files, &MINE);
    assert!(error.contains("train-labels-idx1-ubyte is missing"), "{error}");
}

#[test]
fn a_truncated_file_is_named_with_the_offset() {
    let mut files = idx_files();
    files[0].1.truncate(30);
    let error = refused_training(&files, &MINE);
    assert!(error.contains("train-images-idx3-ubyte: byte ") && error.contains("expected"), "{error}");
}

#[test]
fn a_file_of_another_format_is_named() {
    let mut files = idx_files();
    files[1].1 = b"\x89PNG\r\n\x1a\nnot labels at all".to_vec();
    let error = refused_training(&files, &MINE);
    assert!(error.contains("train-labels-idx1-ubyte: byte 0: expected"), "{error}");
}

#[test]
fn a_label_out_of_range_is_named_with_the_offset() {
    // Two labels of eight bytes header: the training images have the classes 0 and 1, the test images also a 9.
    let mut files = idx_files();
    files[3].1[9] = 9;
    let error = refused_training(&files, &MINE);
    assert!(error.contains("t10k-labels-idx1-ubyte: byte 9: expected") && error.contains("found 9"), "{error}");
}

#[test]
fn zero_images_are_refused() {
    let mut files = idx_files();
    for index in [0, 1] {
        files[index].1.truncate(if index == 0 { 16 } else { 8 });
        files[index].1[4..8].fill(0);
    }
    let error = refused_training(&files, &MINE);
    assert!(error.contains("mine") && error.contains("expected"), "{error}");
}

#[test]
fn a_folder_without_a_run_is_refused_by_every_reader() {
    let folder = tempfile::tempdir().unwrap();
    for command in ["eval", "routes", "predict"] {
        let error = refused(mp_train(folder.path(), &[command, "."]));
        assert!(error.contains("holds no run: recipe.toml is missing"), "{error}");
    }
    let error = refused(mp_train(folder.path(), &["train", "--resume", "--out", "run"]));
    assert!(error.contains("holds no run"), "{error}");
    let error = refused(mp_train(folder.path(), &["train", "--resume"]));
    assert!(error.contains("give its folder with --out"), "{error}");
}
