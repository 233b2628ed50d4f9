//! Folders as people have them: each is understood, with what was left out said, or refused with what to do.

mod common;

use common::{counts, folder, opened, refusal};

/// Opens a folder with these files; its classes, the images of its splits and what is not used.
#[track_caller]
fn understood(paths: &[&str]) -> (String, [usize; 3], String) {
    let splits = opened(&folder(paths));
    assert_eq!(splits.valid.classes(), splits.train.classes());
    assert_eq!(splits.test.classes(), splits.train.classes());
    (splits.train.classes().join(" "), counts(&splits), splits.ignored.to_string())
}

#[test]
fn splits_have_many_names() {
    for (train, held, expected) in [
        ("Train", "Test", [2, 0, 1]),
        ("TRAIN", "VALID", [2, 1, 0]),
        ("training_set", "test_set", [2, 0, 1]),
        ("seg_train", "seg_test", [2, 0, 1]),
        ("train_images", "val_images", [2, 1, 0]),
        ("train-images", "test-images", [2, 0, 1]),
        ("trainset", "testset", [2, 0, 1]),
        ("Training Data", "Validation Data", [2, 1, 0]),
        ("train2017", "val2017", [2, 1, 0]),
        ("asl_alphabet_train", "asl_alphabet_test", [2, 0, 1]),
        ("flowers-training", "flowers-validation", [2, 1, 0]),
        ("TrainImages", "DevImages", [2, 1, 0]),
        ("imgs/train", "imgs/testing", [2, 0, 1]),
    ] {
        let paths = [format!("{train}/cat/1.jpg"), format!("{train}/dog/1.jpg"), format!("{held}/dog/2.jpg")];
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_eq!(understood(&paths), ("cat dog".to_owned(), expected, "nothing".to_owned()), "{train}, {held}");
    }
}

#[test]
fn three_splits_are_three() {
    for [train, valid, test] in
        [["train", "val", "test"], ["Training", "Validation", "Testing"], ["x_train", "x_dev", "x_test"]]
    {
        let paths = [
            format!("{train}/a/1.jpg"),
            format!("{train}/b/1.jpg"),
            format!("{valid}/a/2.jpg"),
            format!("{valid}/b/2.jpg"),
            format!("{valid}/b/3.jpg"),
            format!("{test}/b/4.jpg"),
        ];
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_eq!(understood(&paths), ("a b".to_owned(), [2, 3, 1], "nothing".to_owned()));
    }
}

#[test]
fn a_folder_that_is_alone_is_gone_down_into() {
    for paths in [
        &["archive/PetImages/cat/1.jpg", "archive/PetImages/dog/1.jpg"][..],
        &["cat/1.jpg", "dog/1.jpg"],
        &["data/cat/images/1.jpg", "data/dog/images/1.jpg"],
        &["a/b/c/cat/1.jpg", "a/b/c/dog/1.jpg"],
        // Intel's scenes and the like: a folder of the same name inside.
        &["seg_train/seg_train/cat/1.jpg", "seg_train/seg_train/dog/1.jpg"],
        // What macOS and Windows leave counts as nothing.
        &["__MACOSX/x/train/cat/1.jpg", "x/cat/1.jpg", "x/dog/1.jpg", "x/dog/Thumbs.db", ".DS_Store", "desktop.ini"],
        &["x/cat/1.jpg", "x/dog/1.jpg", "x/dog/.ipynb_checkpoints/1-checkpoint.jpg", "x/cat/._1.jpg"],
    ] {
        assert_eq!(understood(paths), ("cat dog".to_owned(), [2, 0, 0], "nothing".to_owned()), "{paths:?}");
    }
}

#[test]
fn unlabelled_test_pictures_are_left_alone_and_said() {
    for (paths, counts, ignored) in [
        (
            &["train/a/1.jpg", "train/b/1.jpg", "test/1.jpg", "test/2.jpg"][..],
            [2, 0, 0],
            "test/ (2 pictures without labels)",
        ),
        (&["train/a/1.jpg", "train/b/1.jpg", "test/unknown/1.jpg"], [2, 0, 0], "test/ (1 pictures without labels)"),
        (
            &["train/a/1.jpg", "train/b/1.jpg", "valid/a/1.jpg", "test/images/x/1.jpg"],
            [2, 1, 0],
            "test/ (1 pictures without labels)",
        ),
        (&["train/a/1.jpg", "train/b/1.jpg", "test/"], [2, 0, 0], "test/ (no pictures)"),
        // One class only, but one of the training images'.
        (&["train/a/1.jpg", "train/b/1.jpg", "test/b/1.jpg"], [2, 0, 1], "nothing"),
    ] {
        assert_eq!(understood(paths), ("a b".to_owned(), counts, ignored.to_owned()), "{paths:?}");
    }
}

#[test]
fn what_is_left_out_is_counted_and_named() {
    for (paths, ignored) in [
        (&["a/1.jpg", "a/1.tif", "a/2.TIF", "a/1.gif", "b/1.jfif", "b/2.jpe"][..], "2 .tif, 1 .gif"),
        (&["a/1.jpg", "b/1.jpg", "README", "b/deep/labels.json", "b/.hidden.jpg"], "1 .json, 1 hidden, 1 no ending"),
        (
            &["train/a/1.jpg", "train/b/1.jpg", "train/stray.jpg", "extra/1.jpg", "docs/x.pdf", "train.csv"],
            "1 pictures beside the classes in train/, docs/, extra/ (1 pictures), train.csv (a table that is not read)",
        ),
        (
            &["train/a/1.jpg", "train/b/1.jpg", "train_small/a/1.jpg", ".old/1.jpg"],
            ".old/ (hidden), train_small/ (1 pictures)",
        ),
        (&["x/a/1.jpg", "x/b/1.heic", "x/b/2.jpg", "notes.txt", "docs/"], "1 .heic, 1 .txt, docs/"),
    ] {
        let splits = opened(&folder(paths));
        let mut parts = splits.ignored.clone();
        parts.parts.sort();
        assert_eq!(parts.to_string(), ignored, "{paths:?}");
    }
}

#[test]
fn a_jpeg_is_read_under_all_its_names() {
    let paths = ["a/1.jpg", "a/2.jpeg", "a/3.JPE", "b/4.jfif", "b/5.JPEG", "b/6.JFIF"];
    assert_eq!(understood(&paths), ("a b".to_owned(), [6, 0, 0], "nothing".to_owned()));
}

#[test]
fn a_class_may_be_called_train() {
    for (paths, classes) in [
        (&["car/1.jpg", "plane/1.jpg", "train/1.jpg"][..], "car plane train"),
        (&["bus/a/1.jpg", "ship/a/1.jpg", "Train/a/1.jpg"], "Train bus ship"),
        // Below a split a folder is a class, whatever its name.
        (&["train/bus/1.jpg", "train/train/1.jpg", "val/train/1.jpg"], "bus train"),
        (&["train/valid/1.jpg", "train/invalid/1.jpg", "test/valid/1.jpg"], "invalid valid"),
        // Names that only hold the word.
        (&["steam_train/1.jpg", "bullet_train/1.jpg"], "bullet_train steam_train"),
        (&["test_tube/1.jpg", "beaker/1.jpg"], "beaker test_tube"),
    ] {
        assert_eq!(understood(paths).0, classes, "{paths:?}");
    }
}

#[test]
fn what_could_be_two_things_is_refused() {
    let split = |name: &str, beside: &str, remedy: &str| {
        format!(
            "DIR: expected a folder for each class, found `{name}`, which is called like a split, beside {beside}: rename it if it \
             is a class; {remedy}"
        )
    };
    let train = "if it holds the training images, put a folder for each class into it";
    let held = "if it is a split, put the training images into train/, a folder for each class";
    for (paths, expected) in [
        (&["cat/1.jpg", "dog/1.jpg", "test/1.jpg"][..], split("test", "cat, dog", held)),
        (&["valid/1.jpg", "invalid/1.jpg"], split("valid", "invalid", held)),
        (&["val/a/1.jpg", "val/b/1.jpg", "test/a/1.jpg", "test/b/1.jpg"], split("test", "val", held)),
        (&["car/1.jpg", "plane/1.jpg", "train_images/1.jpg"], split("train_images", "car, plane", train)),
        (
            &["cats_train/1.jpg", "cats_test/1.jpg", "dogs_train/1.jpg", "dogs_test/1.jpg"],
            split("cats_test", "cats_train, dogs_test, dogs_train", held),
        ),
        (
            &["train/a/1.jpg", "train/b/1.jpg", "car/1.jpg", "plane/1.jpg"],
            "DIR: expected folders of splits, or a folder for each class, found `train` beside car, plane, which may be either: \
             name it if it holds the training images, rename it if it is a class"
                .to_owned(),
        ),
        (
            &["images/1.jpg", "masks/1.jpg"],
            "DIR: expected a folder for each class, found `images`, which is the name of no class, beside others: rename it if it \
             is one, or move it away"
                .to_owned(),
        ),
        (
            &["train/a/1.jpg", "training/b/1.jpg"],
            "DIR: expected one folder called train, or like it, found train and training: rename or move one of them".to_owned(),
        ),
        (
            &["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "validation/a/1.jpg"],
            "DIR: expected one folder called valid, or like it, found val and validation: rename or move one of them".to_owned(),
        ),
        (
            &["learn/a/1.jpg", "learn/b/1.jpg", "check/a/1.jpg", "check/b/1.jpg"],
            "DIR: expected a folder for each class, found folders (check, learn) that hold folders of the same names (a, b): if \
             they are splits, call them train, val and test; otherwise name the one to use"
                .to_owned(),
        ),
        (
            &["cells/a/1.jpg", "cells/b/1.jpg", "a/1.jpg", "b/1.jpg"],
            "DIR: expected a folder for each class, found `cells`, which holds folders of the same names as those beside it: move \
             it away"
                .to_owned(),
        ),
        (
            &["a/train/a/1.jpg", "a/train/b/1.jpg", "b/train/a/1.jpg", "b/train/b/1.jpg"],
            "DIR: expected the files of one data set, found several data sets (a, b): name one of these folders".to_owned(),
        ),
    ] {
        assert_eq!(refusal(&folder(paths)), expected, "{paths:?}");
    }
}

#[test]
fn one_class_is_refused() {
    let one = |folder: &str, class: &str| {
        format!("{folder}: expected pictures of two classes or more, a folder for each, found those of `{class}` alone")
    };
    for (paths, expected) in [
        (&["all/1.jpg", "all/2.jpg"][..], one("DIR", "all")),
        (&["images/all/1.jpg"], one("DIR/images", "all")),
        (&["train/a/1.jpg", "val/a/1.jpg"], one("DIR/train", "a")),
        (&["data/train/cat/1.jpg", "data/train/cat/2.jpg"], one("DIR/data/train", "cat")),
    ] {
        assert_eq!(refusal(&folder(paths)), expected, "{paths:?}");
    }
}

#[test]
fn layouts_that_make_no_sense_are_refused() {
    let pictures = "expected JPEG, PNG, WebP or BMP pictures (.jpg, .jpeg, .jpe, .jfif, .jif, .png, .webp, .bmp)";
    for (paths, expected) in [
        (
            &["train/a/1.jpg", "train/c/1.jpg", "val/a/1.jpg", "val/b/1.jpg"][..],
            "DIR/val/b: expected a class that the training images have too, found a folder of another name".to_owned(),
        ),
        (
            &["train/a/1.jpg", "train/b/1.jpg", "val/1.jpg", "val/2.jpg"],
            "DIR/val: expected a folder for each class, as in train, found 2 pictures without labels: move them into folders of \
             their classes"
                .to_owned(),
        ),
        (
            &["train/a/1.jpg", "train/b/1.jpg", "val/"],
            "DIR/val: expected a folder for each class, as in train, found no pictures: move them into folders of their classes"
                .to_owned(),
        ),
        (&["train/a/1.jpg", "train/b/1.gif"], format!("DIR/train/b: {pictures}, found none (1 .gif)")),
        (&["a/1.jpg", "b/2.jpg", "c/"], format!("DIR/c: {pictures}, found none")),
        (
            &["train/1.jpg", "train/2.jpg", "test/1.jpg"],
            "DIR/train: expected a folder for each class, or beside it a list of the pictures (train.csv), found 2 pictures side \
             by side: move them into folders of their classes, or add a list"
                .to_owned(),
        ),
        (
            &["train/Cat/1.jpg", "train/cat/1.jpg", "train/dog/1.jpg"],
            "DIR/train: expected classes that differ in more than upper and lower case, found `Cat` and `cat`: rename or merge \
             them"
                .to_owned(),
        ),
    ] {
        assert_eq!(refusal(&folder(paths)), expected, "{paths:?}");
    }
    let found = refusal(&folder(&["cats/1.tif", "cats/2.tif", "dogs/1.tif"]));
    assert!(found.ends_with("found folders without a data set (cats, dogs) that hold 3 .tif"), "{found}");
}
