//! Which images a run learns from, is validated on and is tested on, and what is said about it.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use super::*;

/// Pictures of 8x8 pixels at each of these places: `train/cat 12` are twelve in that folder.
fn pictures(places: &[(&str, u8)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (place, count) in places {
        let inside = folder.path().join(place);
        fs::create_dir_all(&inside).unwrap();
        for number in 0..*count {
            let level = if place.ends_with("cat") { 40 } else { 200 };
            let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([level, level + number, 90]));
            picture.save(inside.join(format!("{number:02}.png"))).unwrap();
        }
    }
    folder
}

/// Two classes with 10 training, 3 validation and 5 test pictures each.
const THREE: [(&str, u8); 6] = [
    ("pets/Train/cat", 10),
    ("pets/Train/dog", 10),
    ("pets/Valid/cat", 3),
    ("pets/Valid/dog", 3),
    ("pets/Test/cat", 5),
    ("pets/Test/dog", 5),
];

/// One epoch of a small network on `pets`.
fn train(folder: &TempDir, more: &[&str]) -> Command {
    let arguments = ["train", "--model", "base_cnn_w4", "--data", "pets", "--out", "run", "--set", "train.epochs=1"];
    mp_train(folder.path(), &[&arguments[..], &["--set", "train.batch_size=4"], more].concat())
}

/// Trains; the lines of standard error that say what was understood.
#[track_caller]
fn understood(folder: &TempDir, more: &[&str]) -> String {
    let output = train(folder, more).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines: Vec<_> = stderr(&output).lines().map(str::to_owned).collect();
    let count = if lines[1].starts_with("not used: ") { 2 } else { 1 };
    lines[..count].join("\n")
}

/// What `eval` finds on a split, as JSON.
#[track_caller]
fn eval(folder: &TempDir, split: &str) -> Value {
    serde_json::from_str(&succeed(mp_train(folder.path(), &["eval", "run", "--json", "--split", split]))).unwrap()
}

#[test]
fn three_splits_are_three_splits_under_their_own_names() {
    let folder = pictures(&THREE);
    let said = understood(&folder, &[]);
    assert_eq!(
        said,
        "pets: folder for each class, 2 classes (cat, dog), 20 training images, 6 validation images, 10 test images"
    );
    let (valid, test) = (eval(&folder, "valid"), eval(&folder, "test"));
    assert_eq!((&valid["split"], &valid["images"]), (&"valid".into(), &6.into()));
    assert_eq!((&test["split"], &test["images"]), (&"test".into(), &10.into()));
    let summary = fs::read_to_string(folder.path().join("run/summary.json")).unwrap();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!((&summary["valid_split"], &summary["valid_images"]), (&"valid".into(), &6.into()));
    let report = fs::read_to_string(folder.path().join("run/report.html")).unwrap();
    assert!(report.contains("Validated on the validation images."), "{report}");

    // Packed, they are still three.
    succeed(mp_train(folder.path(), &["data", "pack", "pets", "pets.mpd"]));
    let inspected: Value =
        serde_json::from_str(&succeed(mp_train(folder.path(), &["data", "inspect", "./pets.mpd", "--json"]))).unwrap();
    assert_eq!((&inspected["valid"], &inspected["test"]), (&[3, 3].as_slice().into(), &[5, 5].as_slice().into()));
    let table = succeed(mp_train(folder.path(), &["data", "inspect", "pets"]));
    assert!(table.contains("label  class     train     valid      test\n"), "{table}");
}

#[test]
fn a_share_is_held_out_and_the_validation_images_are_said_to_be_unused() {
    let folder = pictures(&THREE);
    let said = understood(&folder, &["--set", "data.holdout=0.25"]);
    assert_eq!(
        said,
        "pets: folder for each class, 2 classes (cat, dog), 20 training images, 5 of them held out for validation, 10 test \
         images\nnot used: 6 validation images, in whose place data.holdout stands"
    );
    assert_eq!((&eval(&folder, "valid")["split"], &eval(&folder, "valid")["images"]), (&"holdout".into(), &5.into()));
    assert_eq!(eval(&folder, "test")["images"], 10);
    for (value, message) in [
        (
            "1.5",
            "data.holdout is 1.5, expected a whole number of images, 0 to 1000000000, or a share below 1 such as 0.1",
        ),
        ("-1", "data.holdout is -1, expected a whole number of images"),
        ("0.01", "cannot hold out 0 of the 20 images of `pets/train`: expected 1 to 19"),
    ] {
        let again = mp_train(
            folder.path(),
            &[
                "train",
                "--model",
                "base_cnn_w4",
                "--data",
                "pets",
                "--out",
                "other",
                "--set",
                &format!("data.holdout={value}"),
            ],
        );
        let error = refused(again);
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn an_unlabelled_test_folder_is_left_alone_and_said() {
    let folder = pictures(&[("pets/train/cat", 8), ("pets/train/dog", 8), ("pets/test", 3)]);
    fs::write(folder.path().join("pets/train/cat/notes.txt"), "").unwrap();
    let error = refused(train(&folder, &[]));
    let expected = "pets: training images only, nothing to validate on: set some of them aside with data.holdout = 0.1";
    assert!(error.contains(expected), "{error}");
    let said = understood(&folder, &["--set", "data.holdout=4"]);
    assert_eq!(
        said,
        "pets: folder for each class, 2 classes (cat, dog), 16 training images, 4 of them held out for validation, no test \
         images\nnot used: 1 .txt, test/ (3 pictures without labels)"
    );
    let error = refused(mp_train(folder.path(), &["eval", "run", "--split", "test"]));
    assert!(error.contains("pets: no test images, expected a split called test"), "{error}");
    let error = refused(mp_train(folder.path(), &["eval", "run", "--split", "test", "--json"]));
    assert!(error.contains("the run was validated on its holdout images: --split valid"), "{error}");
}

#[test]
fn a_test_split_alone_validates_as_with_the_classic_benchmarks() {
    let folder = pictures(&[("pets/train/cat", 8), ("pets/train/dog", 8), ("pets/test/cat", 2), ("pets/test/dog", 2)]);
    assert_eq!(
        understood(&folder, &[]),
        "pets: folder for each class, 2 classes (cat, dog), 16 training images, validated on the 4 test images"
    );
    assert_eq!((&eval(&folder, "valid")["split"], &eval(&folder, "test")["split"]), (&"test".into(), &"test".into()));

    // A class has another name since.
    ["train", "test"].iter().for_each(|split| {
        let inside = folder.path().join("pets").join(split);
        fs::rename(inside.join("dog"), inside.join("wolf")).unwrap();
    });
    let error = refused(mp_train(folder.path(), &["eval", "run"]));
    assert!(error.contains("pets: other classes than the network was trained on: `wolf` in place of `dog`"), "{error}");
}

#[test]
fn inspect_counts_and_names_what_is_not_used() {
    let folder = pictures(&[("pets/train/cat", 2), ("pets/train/dog", 2), ("pets/val/dog", 1), ("pets/extra", 3)]);
    let cats = folder.path().join("pets/train/cat");
    for (ending, count) in [("tif", 3), ("gif", 2), ("ppm", 1)] {
        (0..count).for_each(|number| fs::write(cats.join(format!("{number}.{ending}")), "").unwrap());
    }
    let picture = image::RgbImage::new(8, 8);
    picture.save_with_format(cats.join("a.jfif"), image::ImageFormat::Jpeg).unwrap();
    let table = succeed(mp_train(folder.path(), &["data", "inspect", "pets"]));
    let expected = "ignored       3 .tif, 2 .gif, 1 .ppm, extra/ (3 pictures)";
    assert!(table.lines().any(|line| line == expected), "{table}");
    let report: Value =
        serde_json::from_str(&succeed(mp_train(folder.path(), &["data", "inspect", "pets", "--json"]))).unwrap();
    assert_eq!(
        report["ignored"],
        serde_json::json!({"files": {".gif": 2, ".ppm": 1, ".tif": 3}, "parts": ["extra/ (3 pictures)"]})
    );
    assert_eq!(report["train"], serde_json::json!([3, 2]));
}

#[test]
fn what_is_no_data_set_for_a_classifier_is_one_line() {
    let folder = pictures(&[
        ("one/images", 3),
        ("imagenette/cat", 2),
        ("imagenette/dog", 2),
        ("mixed/cat", 2),
        ("mixed/test", 2),
    ]);
    for (name, message) in [
        ("one", "one: expected pictures of two classes or more, a folder for each, found those of `images` alone"),
        ("mixed", "mixed: expected a folder for each class, found `test`, which is called like a split, beside cat"),
        ("imagenette", "or write `./imagenette` for the folder of this name that is here"),
    ] {
        let error = refused(mp_train(folder.path(), &["data", "inspect", name]));
        assert!(error.contains(message), "{error}");
    }
    assert!(succeed(mp_train(folder.path(), &["data", "inspect", "./imagenette"])).contains("    1  dog"));
}

/// A `.npy` file of a type.
fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), values].concat()
}

#[test]
fn arrays_have_three_splits_and_may_name_their_classes() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("pets")).unwrap();
    for (split, labels) in [("train", "eelcatdogcat"), ("val", "dogcat"), ("test", "eel")] {
        let count = labels.len() / 3;
        let write = |name: &str, bytes: Vec<u8>| {
            fs::write(folder.path().join("pets").join(format!("{name}_{split}.npy")), bytes).unwrap();
        };
        write("x", npy("|u1", &format!("({count}, 8, 8, 3)"), &vec![7; count * 192]));
        write("y", npy("|S3", &format!("({count},)"), labels.as_bytes()));
    }
    let report: Value =
        serde_json::from_str(&succeed(mp_train(folder.path(), &["data", "inspect", "pets", "--json"]))).unwrap();
    assert_eq!(report["classes"], serde_json::json!(["cat", "dog", "eel"]));
    assert_eq!(
        [&report["train"], &report["valid"], &report["test"]],
        [&serde_json::json!([2, 1, 1]), &serde_json::json!([1, 1, 0]), &serde_json::json!([0, 0, 1])]
    );
    // Nothing can be learnt from a single class, whatever holds it.
    fs::create_dir(folder.path().join("ones")).unwrap();
    fs::write(folder.path().join("ones/x_train.npy"), npy("|u1", "(4, 8, 8, 3)", &[7; 768])).unwrap();
    fs::write(folder.path().join("ones/y_train.npy"), npy("|u1", "(4,)", &[0; 4])).unwrap();
    let arguments = ["train", "--model", "base_cnn_w4", "--data", "ones", "--set", "data.holdout=2"];
    let error = refused(mp_train(folder.path(), &arguments));
    assert!(error.contains("ones: a single class, `0`: expected two or more"), "{error}");

    fs::write(folder.path().join("pets/y_val.npy"), npy("|S3", "(2,)", b"dogowl")).unwrap();
    let error = refused(mp_train(folder.path(), &["data", "inspect", "pets"]));
    assert!(error.contains("y_val.npy: byte 8: expected label 1: a class of train, found `owl`"), "{error}");
}
