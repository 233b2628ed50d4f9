//! A folder of pictures of several sizes, one of each split damaged.

use std::fs;

use serde_json::Value;

use super::*;

/// `pets/{train,val}/{cat,dog}` with 11 and 5 pictures a class that can be read, dark cats and bright dogs.
fn pets() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (split, count) in [("train", 11), ("val", 5)] {
        for (class, level) in [("cat", 40), ("dog", 200)] {
            let inside = folder.path().join("pets").join(split).join(class);
            fs::create_dir_all(&inside).unwrap();
            for number in 0..count {
                let pixel = image::Rgb([level, level + number as u8, 90]);
                let picture = image::RgbImage::from_pixel(20 + number, 30 - number, pixel);
                picture.save(inside.join(format!("{number:02}.png"))).unwrap();
            }
        }
        fs::write(folder.path().join("pets").join(split).join("cat/broken.jpg"), "no picture").unwrap();
    }
    folder
}

const TRAIN: [&str; 13] = [
    "train",
    "--model",
    "base_cnn_w4",
    "--data",
    "pets",
    "--out",
    "run",
    "--set",
    "data.size=8",
    "--set",
    "train.epochs=2",
    "--set",
    "train.batch_size=6",
];

#[test]
fn pictures_of_several_sizes_need_a_size() {
    let folder = pets();
    let error = refused(mp_train(folder.path(), &TRAIN[..7]));
    let expected = "pets: images of several sizes (30x20, 29x21, ...), expected one size: set data.size to the side";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_damaged_picture_ends_a_run_with_its_name() {
    let folder = pets();
    let output = mp_train(folder.path(), &TRAIN).output().unwrap();
    let error = stderr(&output);
    assert_eq!((output.status.code(), error.lines().count()), (Some(2), 2), "{error}");
    assert!(error.starts_with("pets: folder for each class, 2 classes (cat, dog), 23 training images"), "{error}");
    assert!(error.contains("broken.jpg") && error.contains("expected a JPEG"), "{error}");
}

#[test]
fn skipped_pictures_are_counted_where_people_and_programs_look() {
    let folder = pets();
    let augment = "data.augment.random_resized_crop={}";
    let shown = succeed(mp_train(
        folder.path(),
        &[&TRAIN[..], &["--set", "data.damaged=skip", "--set", augment, "--set", "data.sampler=sequential"]].concat(),
    ));
    assert!(shown.contains("validation: 1 damaged images skipped, first: "), "{shown}");
    let summary: Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("run/summary.json")).unwrap()).unwrap();
    // In either epoch three batches of the 23 pictures, of which the damaged one is the twelfth.
    assert_eq!((summary["train_images"].as_u64(), summary["steps"].as_u64()), (Some(23), Some(6)));
    assert_eq!(summary["skipped"]["images"], 2);
    assert!(shown.contains("training: 2 damaged images skipped, first: "), "{shown}");
    assert_eq!(summary["skipped_valid"]["images"], 1);
    assert!(summary["skipped_valid"]["reasons"][0].as_str().unwrap().contains("broken.jpg"), "{summary}");

    // Each picture that can be read is judged once.
    let found: Value = serde_json::from_str(&succeed(mp_train(folder.path(), &["eval", "run", "--json"]))).unwrap();
    assert_eq!(found["images"], 10);
    assert_eq!(found["accuracy"], summary["valid_accuracy_best"]);
}
