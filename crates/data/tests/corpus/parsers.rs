//! Each parser as a function of bytes, for the fuzz targets and for the tests that replay what these have found.

#![allow(dead_code, reason = "each fuzz target uses one of these")]

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use mp_data::{Dataset, Image, Manifest, Splits};

/// What came of some bytes: how many images, or the one line that refuses them.
pub(crate) type Outcome = Result<usize, String>;

thread_local! {
    /// A folder that serves one input after another: making one takes longer than most inputs.
    static FOLDER: RefCell<tempfile::TempDir> = RefCell::new(tempfile::tempdir().unwrap());
    static BUFFER: RefCell<Image> = RefCell::new(Image::empty());
}

/// A TOML manifest.
pub(crate) fn manifest(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    Manifest::parse(&text).map(|manifest| manifest.files.len()).map_err(|error| one_line(&error))
}

/// A picture of any codec: 1 if it can be decoded. What the memory held before does not show then, and the upper half alone
/// is the upper half of the whole.
pub(crate) fn decode(bytes: &[u8]) -> Outcome {
    BUFFER.with_borrow_mut(|image| {
        let promised = mp_data::decode::shape(bytes);
        mp_data::decode::decode(bytes, image).map_err(|error| one_line(&error))?;
        assert_eq!(promised.expect("what can be decoded has a header"), image.shape());
        assert!(image.shape().len() <= mp_data::decode::MOST_VALUES);

        let whole = image.clone();
        image.pixels_mut().fill(0);
        mp_data::decode::decode(bytes, image).expect("what can be decoded can be so again");
        assert!(*image == whole, "pixels that nobody wrote");
        image.pixels_mut().fill(255);
        mp_data::decode::decode_rows(bytes, image, &|shape| shape.height / 2).expect("a part of what can be decoded");
        assert_eq!(image.shape(), whole.shape());
        let half = whole.shape().height / 2 * whole.shape().width * whole.shape().channels;
        assert!(image.pixels()[..half] == whole.pixels()[..half], "other pixels in the upper half");
        Ok(1)
    })
}

/// IDX files. The first byte says how many of the next bytes are the label file; the rest is the image file.
pub(crate) fn idx(bytes: &[u8]) -> Outcome {
    let Some((&count, rest)) = bytes.split_first() else { return Ok(0) };
    let (labels, images) = rest.split_at(rest.len().min(count.into()));
    open(&[
        ("train-images-idx3-ubyte", images),
        ("train-labels-idx1-ubyte", labels),
        ("t10k-images-idx3-ubyte", images),
        ("t10k-labels-idx1-ubyte", labels),
    ])
}

/// CIFAR binary files, each with these bytes: CIFAR-10 if the number of bytes is odd, otherwise CIFAR-100.
pub(crate) fn cifar_binary(bytes: &[u8]) -> Outcome {
    let ten = ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];
    let names = if bytes.len() % 2 == 1 { &ten[..] } else { &["train", "test"] };
    let names: Vec<String> = names.iter().map(|name| format!("{name}.bin")).collect();
    open(&names.iter().map(|name| (name.as_str(), bytes)).collect::<Vec<_>>())
}

/// SVHN's MATLAB files, each with these bytes.
pub(crate) fn svhn(bytes: &[u8]) -> Outcome {
    open(&[("train_32x32.mat", bytes), ("test_32x32.mat", bytes)])
}

/// STL-10's binary files. The first byte is the only label.
pub(crate) fn stl10(bytes: &[u8]) -> Outcome {
    let (label, images) = bytes.split_at(bytes.len().min(1));
    open(&[("train_X.bin", images), ("train_y.bin", label), ("test_X.bin", images), ("test_y.bin", label)])
}

/// CIFAR-100's Python pickles, each with these bytes.
pub(crate) fn pickle(bytes: &[u8]) -> Outcome {
    open(&[("train", bytes), ("test", bytes), ("meta", &[])])
}

/// CIFAR's official archive, binary or pickled.
pub(crate) fn cifar_archive(bytes: &[u8]) -> Outcome {
    open_file("cifar.tar.gz", bytes)
}

/// A pair of NumPy files. The first byte says how many of the next bytes are the labels.
pub(crate) fn npy(bytes: &[u8]) -> Outcome {
    let Some((&count, rest)) = bytes.split_first() else { return Ok(0) };
    let (labels, images) = rest.split_at(rest.len().min(count.into()));
    open(&[("x_train.npy", images), ("y_train.npy", labels)])
}

/// An archive of NumPy files.
pub(crate) fn npz(bytes: &[u8]) -> Outcome {
    open_file("arrays.npz", bytes)
}

/// A tar file of pictures and labels.
pub(crate) fn shard(bytes: &[u8]) -> Outcome {
    open_file("shard.tar", bytes)
}

/// A packed file, as it is and with the checksum of what stands before the images put right: few mutations would get past it.
pub(crate) fn packed(bytes: &[u8]) -> Outcome {
    let mut right = bytes.to_vec();
    if let Some(header) = right.first_chunk_mut::<64>() {
        let images = u64::from_le_bytes(*header[56..].first_chunk().unwrap());
        header[28..32].fill(0);
        let end = right.len().min(usize::try_from(images).unwrap_or(usize::MAX));
        let sum = crc32fast::hash(&right[..end]);
        right[28..32].copy_from_slice(&sum.to_le_bytes());
        let _ = open_file("images.mpd", &right);
    }
    open_file("images.mpd", bytes)
}

/// A table of pictures, beside three of which none is ever read.
pub(crate) fn list(bytes: &[u8]) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("images")).unwrap();
    ["1.jpg", "2.jpg", "3.jpg"].iter().for_each(|name| fs::write(folder.path().join("images").join(name), "").unwrap());
    fs::write(folder.path().join("train.csv"), bytes).unwrap();
    let outcome =
        mp_data::open(folder.path().to_str().unwrap(), Path::new("no cache")).map_err(|error| one_line(&error));
    outcome.map(|splits| {
        let labelled = |split: &dyn Dataset| (0..split.len()).all(|index| split.label(index) < split.classes().len());
        assert!([&splits.train, &splits.valid, &splits.test].into_iter().all(|split| labelled(&**split)));
        splits.len()
    })
}

/// Opens a file of its own.
fn open_file(name: &str, bytes: &[u8]) -> Outcome {
    FOLDER.with_borrow(|folder| {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let outcome = mp_data::open(path.to_str().unwrap(), Path::new("no cache")).map_err(|error| one_line(&error));
        outcome.and_then(|splits| look_at_all(&splits))
    })
}

/// Opens a folder with these files, and looks at every image.
fn open(files: &[(&str, &[u8])]) -> Outcome {
    FOLDER.with_borrow(|folder| {
        let folder = folder.path();
        for (name, bytes) in files {
            fs::write(folder.join(name), bytes).unwrap();
        }
        let outcome = mp_data::open(folder.to_str().unwrap(), Path::new("no cache")).map_err(|error| one_line(&error));
        let outcome = outcome.and_then(|splits| look_at_all(&splits));
        for (name, _) in files {
            fs::remove_file(folder.join(name)).unwrap();
        }
        outcome.map_err(|error| error.replace(folder.to_str().unwrap(), ""))
    })
}

/// The number of images, once all pixels and labels have been asked for.
fn look_at_all(splits: &Splits) -> Outcome {
    let mut buffer = Image::empty();
    for split in [&splits.train, &splits.valid, &splits.test] {
        for index in 0..split.len() {
            assert!(split.label(index) < split.classes().len());
            let image = split.image(index, &mut buffer).map_err(|error| one_line(&error))?;
            assert_eq!(image.shape().channels, split.channels());
        }
    }
    Ok(splits.len())
}

/// What a user is told: the error and, after it, its causes.
fn one_line(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let text = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    assert!(!text.contains('\n'), "an error of several lines: {text}");
    text
}
