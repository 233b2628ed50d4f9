//! What a fingerprint notices, and what it leaves alone.

use std::fs;
use std::path::Path;

use mp_data::{Packing, open, pack};
use tempfile::TempDir;

/// A folder with files of these sizes; nobody reads what they hold.
fn folder(files: &[(&str, usize)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, size) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![b'x'; *size]).unwrap();
    }
    root
}

fn fingerprint(path: &Path) -> String {
    open(path.to_str().unwrap(), Path::new("no cache")).unwrap().train.fingerprint().unwrap()
}

const PETS: [(&str, usize); 3] = [("train/cat/1.jpg", 3), ("train/cat/2.jpg", 4), ("train/dog/1.jpg", 3)];

#[test]
fn a_folder_is_known_by_its_listing_and_its_sizes() {
    let before = fingerprint(folder(&PETS).path());
    assert_eq!(fingerprint(folder(&PETS).path()), before, "another place is no other data set");
    for (what, files) in [
        ("a class renamed", &[("train/cat/1.jpg", 3), ("train/cat/2.jpg", 4), ("train/wolf/1.jpg", 3)][..]),
        ("two labels swapped", &[("train/dog/1.jpg", 3), ("train/dog/2.jpg", 4), ("train/cat/1.jpg", 3)]),
        ("a picture added", &[PETS[0], PETS[1], PETS[2], ("train/dog/2.jpg", 1)]),
        ("a picture removed", &[PETS[0], PETS[2]]),
        ("a picture replaced", &[PETS[0], PETS[1], ("train/dog/1.jpg", 4)]),
        ("a picture renamed", &[PETS[0], ("train/cat/3.jpg", 4), PETS[2]]),
    ] {
        assert_ne!(fingerprint(folder(files).path()), before, "{what}");
    }
}

#[test]
fn a_picture_that_is_gone_is_named() {
    let root = folder(&PETS);
    let train = open(root.path().to_str().unwrap(), Path::new("no cache")).unwrap().train;
    fs::remove_file(root.path().join("train/dog/1.jpg")).unwrap();
    let error = train.fingerprint().unwrap_err().to_string();
    assert!(error.starts_with("cannot read ") && error.ends_with("train/dog/1.jpg"), "{error}");
}

#[test]
fn a_packed_file_is_known_by_its_checksum_and_its_splits_differ() {
    let root = tempfile::tempdir().unwrap();
    let digits = open("digits", root.path()).unwrap();
    let path = root.path().join("a.mpd");
    pack(&digits, &path, Packing::Pixels, &mut |_| {}).unwrap();
    let again = open(path.to_str().unwrap(), root.path()).unwrap();
    let moved = root.path().join("b.mpd");
    fs::rename(&path, &moved).unwrap();
    assert_eq!(fingerprint(&moved), again.train.fingerprint().unwrap());
    assert_ne!(again.train.fingerprint().unwrap(), again.test.fingerprint().unwrap());
    let small = root.path().join("small.mpd");
    pack(&digits, &small, Packing::Square(4), &mut |_| {}).unwrap();
    assert_ne!(fingerprint(&small), fingerprint(&moved));
}
