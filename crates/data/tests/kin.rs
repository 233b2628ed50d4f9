//! EMNIST and QMNIST, in small files with their names and in their layout.

use std::fs;
use std::io::Write;
use std::path::Path;

use mp_data::{Format, Image, Manifest, Splits, open};

/// An IDX file: the type and the number of dimensions, the dimensions, the values.
fn idx(magic: [u8; 2], dimensions: &[u32], values: &[u8]) -> Vec<u8> {
    let sizes: Vec<u8> = dimensions.iter().flat_map(|size| size.to_be_bytes()).collect();
    [&[0, 0], &magic[..], &sizes, values].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

/// `count` images of two rows and three columns, stored column by column as EMNIST's are: the pixel in row `r` and column
/// `c` is `10 r + c`.
fn lying(count: u32) -> Vec<u8> {
    let image = [0, 10, 1, 11, 2, 12];
    idx([8, 3], &[count, 3, 2], &image.repeat(count as usize))
}

/// Two training images, of the first and the last class of a split, and a test image of the last.
fn write_emnist(folder: &Path, split: &str, first: u8, last: u8) {
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.join(format!("emnist-{split}-{name}")), bytes).unwrap();
    write("train-images-idx3-ubyte.gz", gzip(&lying(2)));
    write("train-labels-idx1-ubyte.gz", gzip(&idx([8, 1], &[2], &[first, last])));
    write("test-images-idx3-ubyte", lying(1));
    write("test-labels-idx1-ubyte", idx([8, 1], &[1], &[last]));
    write("mapping.txt", b"0 48\n".to_vec());
}

fn opened(folder: &Path) -> Result<Splits, String> {
    open(folder.to_str().unwrap(), Path::new("no cache")).map_err(|error| error.to_string())
}

fn pixels(splits: &Splits) -> Vec<u8> {
    splits.train.image(0, &mut Image::empty()).unwrap().pixels().to_vec()
}

#[test]
fn every_split_of_emnist_stands_upright_and_counts_its_classes_from_zero() {
    for (split, first, classes, names) in [
        ("balanced", 0, 47, ["0", "t"]),
        ("byclass", 0, 62, ["0", "z"]),
        ("bymerge", 0, 47, ["0", "t"]),
        ("digits", 0, 10, ["0", "9"]),
        ("letters", 1, 26, ["A", "Z"]),
        ("mnist", 0, 10, ["0", "9"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_emnist(folder.path(), split, first, first + classes - 1);
        let splits = opened(folder.path()).unwrap();
        assert_eq!((splits.format, splits.train.len(), splits.test.len()), (Format::Emnist, 2, 1), "{split}");
        let labels = [splits.train.label(0), splits.train.label(1), splits.test.label(0)];
        let last = usize::from(classes) - 1;
        assert_eq!(labels, [0, last, last], "{split}");
        let found = splits.train.classes();
        assert_eq!((found.len(), [&*found[0], &*found[last]]), (classes.into(), names), "{split}");
        assert_eq!(pixels(&splits), [0, 1, 2, 10, 11, 12], "{split}");
    }
}

#[test]
fn a_label_that_no_class_of_the_split_has_is_refused() {
    for (split, first, label, range) in [
        ("letters", 1, 0, "1 to 26"),
        ("letters", 1, 27, "1 to 26"),
        ("digits", 0, 10, "0 to 9"),
        ("balanced", 0, 47, "0 to 46"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write_emnist(folder.path(), split, first, label);
        let message = opened(folder.path()).map(drop).unwrap_err();
        let place = format!("emnist-{split}-train-labels-idx1-ubyte.gz: byte 9: expected a label from {range}");
        assert!(message.contains(&place) && message.ends_with(&format!("found {label}")), "{message}");
    }
}

#[test]
fn of_several_splits_one_must_be_named() {
    let folder = tempfile::tempdir().unwrap();
    write_emnist(folder.path(), "letters", 1, 26);
    write_emnist(folder.path(), "digits", 0, 9);
    let message = opened(folder.path()).map(drop).unwrap_err();
    assert!(
        message.contains("found those of emnist-digits, emnist-letters: move one split into a folder"),
        "{message}"
    );

    // By its name in the cache, also as the official archive unpacks; the number of images is then looked at.
    let cache = tempfile::tempdir().unwrap();
    fs::create_dir_all(cache.path().join("emnist-letters/gzip")).unwrap();
    write_emnist(&cache.path().join("emnist-letters/gzip"), "letters", 1, 26);
    write_emnist(&cache.path().join("emnist-letters/gzip"), "digits", 0, 9);
    let message = open("emnist-letters", cache.path()).map(drop).unwrap_err().to_string();
    assert!(message.contains("EMNIST (IDX) files with 124800 training and 20800 test images"), "{message}");
    assert!(message.ends_with("found EMNIST (IDX) files with 2 training and 1 test images"), "{message}");
    let message = open("emnist-digits", cache.path()).map(drop).unwrap_err().to_string();
    assert!(message.contains("run `mp-train data fetch emnist-digits`"), "{message}");
}

#[test]
fn a_missing_file_of_a_split_is_named() {
    let folder = tempfile::tempdir().unwrap();
    write_emnist(folder.path(), "mnist", 0, 9);
    fs::remove_file(folder.path().join("emnist-mnist-test-labels-idx1-ubyte")).unwrap();
    let message = opened(folder.path()).map(drop).unwrap_err();
    assert!(message.contains("emnist-mnist-test-labels-idx1-ubyte is missing"), "{message}");
}

/// Rows of eight big-endian numbers, of which the first is the class.
fn qmnist_labels(labels: &[u32]) -> Vec<u8> {
    let row = |&label: &u32| [label, 4, 100, 7, 0, 0, 0, 0].into_iter().flat_map(u32::to_be_bytes);
    idx([12, 2], &[labels.len() as u32, 8], &labels.iter().flat_map(row).collect::<Vec<u8>>())
}

fn write_qmnist(folder: &Path, labels: &[u32]) {
    let images = idx([8, 3], &[labels.len() as u32, 2, 3], &[1, 2, 3, 4, 5, 6].repeat(labels.len()));
    fs::write(folder.join("qmnist-train-images-idx3-ubyte.gz"), gzip(&images)).unwrap();
    fs::write(folder.join("qmnist-train-labels-idx2-int.gz"), gzip(&qmnist_labels(labels))).unwrap();
    fs::write(folder.join("qmnist-test-images-idx3-ubyte"), &images).unwrap();
    fs::write(folder.join("qmnist-test-labels-idx2-int"), qmnist_labels(labels)).unwrap();
}

#[test]
fn the_first_number_of_a_qmnist_label_is_the_class() {
    let folder = tempfile::tempdir().unwrap();
    write_qmnist(folder.path(), &[5, 0, 9]);
    let splits = opened(folder.path()).unwrap();
    assert_eq!((splits.format, splits.train.len(), splits.test.len()), (Format::Qmnist, 3, 3));
    assert_eq!([0, 1, 2].map(|index| splits.test.label(index)), [5, 0, 9]);
    assert_eq!(pixels(&splits), [1, 2, 3, 4, 5, 6]);

    write_qmnist(folder.path(), &[5, 10]);
    let message = opened(folder.path()).map(drop).unwrap_err();
    assert!(
        message.contains("qmnist-train-labels-idx2-int.gz: byte 44: expected a label from 0 to 9, found 10"),
        "{message}"
    );
    fs::write(folder.path().join("qmnist-train-labels-idx2-int.gz"), gzip(&idx([8, 1], &[2], &[5, 1]))).unwrap();
    let message = opened(folder.path()).map(drop).unwrap_err();
    assert!(message.contains("expected a header of 12 bytes, found the end"), "{message}");
}

/// The manifests' numbers are those of the layout: 16 bytes and 784 for each image, 8 and one for each label.
#[test]
fn the_known_sizes_are_those_of_the_images() {
    let mut seen = 0;
    for manifest in Manifest::all().iter().filter(|manifest| matches!(manifest.format, Format::Emnist | Format::Qmnist))
    {
        let (head, each) = if manifest.format == Format::Qmnist { (12, 32) } else { (8, 1) };
        let images = [manifest.train as u64, manifest.test as u64];
        let expected = images.map(|count| [16 + 784 * count, head + each * count]).concat();
        let found: Vec<u64> = manifest.files.iter().map(|file| file.bytes).collect();
        assert_eq!(found, expected, "{}", manifest.name);
        seen += 1;
    }
    assert_eq!(seen, 7);
}
