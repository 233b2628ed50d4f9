//! `mp-train data`.

use std::fs;

use super::*;

#[test]
fn inspect_counts_measures_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let table = succeed(mp_train(folder.path(), &["data", "inspect", "digits"]));
    for line in ["images        8x8x1 (height x width x channels)", "damaged       none"] {
        assert!(table.lines().any(|each| each == line), "{table}");
    }

    let arguments = ["data", "inspect", "digits", "--json", "--sheet", "sheet.png"];
    let report: serde_json::Value = serde_json::from_str(&succeed(mp_train(folder.path(), &arguments))).unwrap();
    let total =
        |split: &str| report[split].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>();
    assert_eq!((total("train"), total("test"), &report["damaged"]), (1437, 360, &0.into()));
    assert_eq!(report["height"], serde_json::json!({"min": 8, "median": 8, "max": 8}));

    // Ten classes of eight images, each digit 12 times as large, in two columns.
    let sheet = image::open(folder.path().join("sheet.png")).unwrap().into_rgb8();
    assert_eq!(sheet.dimensions(), (16 + 2 * (8 * 100 - 4 + 16), 40 + 5 * (22 + 96 + 12) + 4));
    let dark = sheet.pixels().filter(|pixel| pixel.0 == [0; 3]).count();
    assert!(dark > 80 * 12 * 12, "the background of 80 digits is black: {dark} pixels are");
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["sheet.png"]);
}

#[test]
fn a_sheet_that_cannot_be_written_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(mp_train(folder.path(), &["data", "inspect", "digits", "--sheet", "none/sheet.png"]));
    assert!(error.contains("cannot write none/sheet.png: No such file"), "{error}");
}

#[test]
fn what_cannot_be_fetched_or_opened_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(mp_train(folder.path(), &["data", "fetch", "cifar-10"]));
    assert!(error.contains("unknown data set `cifar-10`: did you mean `cifar10`"), "{error}");
    assert!(refused(mp_train(folder.path(), &["data", "fetch", "digits"])).contains("`digits` is built in"));
    assert!(refused(mp_train(folder.path(), &["data", "inspect", "./none"])).contains("./none is missing"));
    let error = refused(mp_train(folder.path(), &["data", "fetch", "imagenet"]));
    assert!(
        error.contains("`imagenet` cannot be fetched: register at") && error.contains("no-data/imagenet/train/n0144")
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
