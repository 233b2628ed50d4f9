//! Opening data sets from small files written here, and what is said about broken ones.

use std::fs;
use std::path::Path;

use mp_data::{Format, Image, Statistics, open};
use tempfile::TempDir;

const IDX: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
const CIFAR10: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];

/// Grey images of 1x1 pixel.
fn idx_images(pixels: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, 3, 0, 0, 0, pixels.len() as u8, 0, 0, 0, 1, 0, 0, 0, 1], pixels].concat()
}

fn idx_labels(labels: &[u8]) -> Vec<u8> {
    [&[0, 0, 8, 1, 0, 0, 0, labels.len() as u8], labels].concat()
}

/// Three training images of the classes 0, 1, 2 and one test image of class 1.
fn idx_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let contents = [idx_images(&[0, 0, 255]), idx_labels(&[0, 1, 2]), idx_images(&[51]), idx_labels(&[1])];
    IDX.iter().zip(contents).for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
    folder
}

/// One image a file, of label `k` in the k-th.
fn write_cifar10(folder: &Path) {
    for (k, name) in CIFAR10.iter().enumerate() {
        fs::write(folder.join(name), [&[k as u8][..], &[7; 3072]].concat()).unwrap();
    }
}

/// The message of what goes wrong, without the folder.
fn refusal(folder: &TempDir) -> String {
    let path = folder.path().to_str().unwrap();
    let error = open(path, Path::new("no cache")).map(|_| ()).unwrap_err();
    error.to_string().replace(path, "DIR")
}

#[test]
fn digits_come_with_the_crate() {
    let digits = open("digits", Path::new("no cache")).unwrap();
    assert_eq!((digits.train.len(), digits.test.len(), digits.train.classes().len()), (1437, 360, 10));
    // numpy over load_digits(), scaled: mean 0.3054347, deviation 0.3753421.
    let Statistics { mean, std } = Statistics::of(&*digits.train).unwrap();
    assert!((mean[0] - 0.305_434_7).abs() < 1e-6 && (std[0] - 0.375_342_1).abs() < 1e-6, "{mean:?} {std:?}");
    assert_eq!((digits.mean, digits.std), (mean, std));
}

#[test]
fn a_folder_of_idx_files_is_recognised() {
    let folder = idx_folder();
    let splits = open(folder.path().to_str().unwrap(), Path::new("no cache")).unwrap();
    assert_eq!(splits.format, Format::Idx);
    assert_eq!(splits.train.classes(), ["0", "1", "2"]);
    assert_eq!(splits.test.label(0), 1);
    assert_eq!(splits.test.image(0, &mut Image::empty()).unwrap().pixels(), [51]);
    // 0, 0, 1: mean 1/3, deviation sqrt(2)/3.
    assert_eq!((splits.mean[0], splits.std[0]), (1.0 / 3.0, (2.0f64.sqrt() / 3.0) as f32));
}

#[test]
fn other_spellings_of_idx_names_are_recognised() {
    let folder = idx_folder();
    let rename = |from: &str, to: &str| fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
    rename(IDX[0], "train-images.idx3-ubyte");
    // A browser may have unpacked it and kept the name.
    rename(IDX[3], "t10k-labels-idx1-ubyte.gz");
    assert_eq!(open(folder.path().to_str().unwrap(), Path::new("no cache")).unwrap().train.len(), 3);
}

#[test]
fn cifar_is_found_in_its_subfolder() {
    let folder = tempfile::tempdir().unwrap();
    let inner = folder.path().join("cifar-10-batches-bin");
    fs::create_dir(&inner).unwrap();
    write_cifar10(&inner);
    let splits = open(folder.path().to_str().unwrap(), Path::new("no cache")).unwrap();
    assert_eq!((splits.format, splits.train.len(), splits.test.len()), (Format::Cifar10, 5, 1));
    assert_eq!(splits.test.classes()[splits.test.label(0)], "dog");
    // A channel that is the same everywhere is divided by 1.
    assert_eq!((splits.mean, splits.std), (vec![7.0 / 255.0; 3], vec![1.0; 3]));
}

#[test]
fn a_missing_file_is_named() {
    let folder = idx_folder();
    fs::remove_file(folder.path().join(IDX[2])).unwrap();
    assert_eq!(
        refusal(&folder),
        "DIR/t10k-images-idx3-ubyte is missing: expected IDX, plain or with .gz at the end of its name"
    );

    let folder = tempfile::tempdir().unwrap();
    write_cifar10(folder.path());
    fs::remove_file(folder.path().join("data_batch_3.bin")).unwrap();
    assert_eq!(refusal(&folder), "DIR/data_batch_3.bin is missing: expected CIFAR-10 binary");
}

#[test]
fn faults_in_files_are_named_with_their_place() {
    for (file, bytes, message) in [
        (1, idx_labels(&[0, 1, 9]), "DIR/train-labels-idx1-ubyte: byte 10: expected a label from 0 to 1, found 9"),
        (3, idx_labels(&[3]), "DIR/t10k-labels-idx1-ubyte: byte 8: expected a label from 0 to 2, found 3"),
        (
            3,
            idx_labels(&[0, 0]),
            "DIR/t10k-labels-idx1-ubyte: byte 4: expected 1 labels, one for each image of DIR/t10k-images-idx3-ubyte, found 2",
        ),
        (
            2,
            [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2][..], &[0; 2]].concat(),
            "DIR/t10k-images-idx3-ubyte: byte 8: expected images of 1x1x1, as in DIR/train-images-idx3-ubyte, found 1x2x1",
        ),
        (0, idx_images(&[]), "DIR/train-images-idx3-ubyte: byte 4: expected at least 1, found 0"),
    ] {
        let folder = idx_folder();
        fs::write(folder.path().join(IDX[file]), bytes).unwrap();
        assert_eq!(refusal(&folder), message);
    }
}

#[test]
fn a_folder_without_a_data_set_says_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let expected = "DIR: expected a folder of pictures for each class (also below train/ and val/), a list of pictures (.csv) \
                    with its pictures, a packed file (.mpd), tar files with KEY.jpg and KEY.cls, x_train.npy and y_train.npy \
                    or an .npz of such, or the files of MNIST (train-images-idx3-ubyte[.gz], ...), CIFAR (data_batch_1[.bin], ...), SVHN (train_32x32.mat, ...) \
                    or STL-10 (train_X.bin, ...), found";
    assert_eq!(refusal(&folder), format!("{expected} no files"));
    ["a.png", "b.png", "c.png", "d.png"].iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
    assert_eq!(refusal(&folder), format!("{expected} 4 other files (a.png, b.png, c.png, ...)"));
    for inner in ["one", "two"] {
        fs::create_dir(folder.path().join(inner)).unwrap();
        write_cifar10(&folder.path().join(inner));
    }
    assert_eq!(
        refusal(&folder),
        "DIR: expected the files of one data set, found several data sets (one, two): name one of these folders"
    );

    let folder = idx_folder();
    write_cifar10(folder.path());
    assert_eq!(
        refusal(&folder),
        "DIR: expected the files of one data set, found files of several formats side by side"
    );
}

#[test]
fn what_is_no_folder_is_refused_by_kind() {
    let cache = tempfile::tempdir().unwrap();
    let file = cache.path().join("file");
    fs::write(&file, "").unwrap();
    let message = |name: &str| {
        let error = open(name, cache.path()).map(|_| ()).unwrap_err();
        error.to_string().replace(cache.path().to_str().unwrap(), "CACHE")
    };
    assert_eq!(
        message(file.to_str().unwrap()),
        "CACHE/file: expected a folder with a data set's files, or a packed file, .npz, .tar or CIFAR's .tar.gz, found another file"
    );
    assert_eq!(message("./nowhere"), "./nowhere is missing: expected a data set's folder or file");
    assert_eq!(
        message("fashionmnist"),
        "unknown data set `fashionmnist`: did you mean `fashion-mnist`? Or give the path of a folder or file"
    );
    // An empty folder is as good as none.
    fs::create_dir(cache.path().join("cifar10")).unwrap();
    assert_eq!(
        message("cifar10"),
        "`cifar10` is not downloaded (looked in CACHE/cifar10): run `mp-train data fetch cifar10`"
    );
}

#[test]
fn a_known_name_must_be_the_whole_set() {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("cifar10");
    fs::create_dir(&folder).unwrap();
    write_cifar10(&folder);
    let error = open("cifar10", cache.path()).map(|_| ()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}: expected CIFAR-10 files with 50000 training and 10000 test images, which is `cifar10`, found \
             CIFAR-10 files with 5 training and 1 test images",
            folder.display()
        )
    );
}
