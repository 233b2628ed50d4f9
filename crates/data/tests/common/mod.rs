//! Folders of pictures, made for one test.

#![allow(dead_code, reason = "each test file uses some of these")]

use std::fs;
use std::path::{Path, PathBuf};

use mp_data::{Splits, open};
use tempfile::TempDir;

pub(crate) fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pictures").join(name)
}

/// A folder with a file at each of these paths: a picture, or for what ends otherwise a line of text. A path that ends in a slash is
/// an empty folder.
pub(crate) fn folder(paths: &[&str]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    paths.iter().for_each(|path| add(&root, path));
    root
}

pub(crate) fn add(root: &TempDir, path: &str) {
    let whole = root.path().join(path);
    fs::create_dir_all(whole.parent().unwrap()).unwrap();
    let picture_endings = ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp"];
    let ending = path.rsplit('.').next().unwrap_or_default().to_lowercase();
    if path.ends_with('/') {
        fs::create_dir_all(whole).unwrap();
    } else if picture_endings.contains(&ending.as_str()) {
        fs::copy(picture("color.png"), whole).unwrap();
    } else {
        fs::write(whole, "no picture\n").unwrap();
    }
}

pub(crate) fn write(root: &TempDir, path: &str, text: &str) {
    fs::write(root.path().join(path), text).unwrap();
}

pub(crate) fn try_open(root: &TempDir) -> Result<Splits, String> {
    open(root.path().to_str().unwrap(), Path::new("no cache")).map_err(|error| {
        let text = error.to_string();
        assert!(!text.contains('\n'), "{text}");
        text.replace(root.path().to_str().unwrap(), "DIR")
    })
}

#[track_caller]
pub(crate) fn opened(root: &TempDir) -> Splits {
    try_open(root).unwrap_or_else(|error| panic!("{error}"))
}

/// The message of what goes wrong, without the folder.
#[track_caller]
pub(crate) fn refusal(root: &TempDir) -> String {
    try_open(root).map(|splits| splits.len()).expect_err("it opens")
}

/// Images of the three splits.
pub(crate) fn counts(splits: &Splits) -> [usize; 3] {
    [splits.train.len(), splits.valid.len(), splits.test.len()]
}

/// The class of each image.
pub(crate) fn labels(split: &dyn mp_data::Dataset) -> Vec<String> {
    (0..split.len()).map(|index| split.classes()[split.label(index)].clone()).collect()
}
