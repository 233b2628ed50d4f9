//! Each parser as a function of bytes, for the fuzz targets and for the tests that replay what these have found.

#![allow(dead_code, reason = "each fuzz target uses one of these")]

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use mp_data::{Image, Manifest, Splits};

/// What came of some bytes: how many images, or the one line that refuses them.
pub(crate) type Outcome = Result<usize, String>;

thread_local! {
    /// A folder that serves one input after another: making one takes longer than most inputs.
    static FOLDER: RefCell<tempfile::TempDir> = RefCell::new(tempfile::tempdir().unwrap());
}

/// A TOML manifest.
pub(crate) fn manifest(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes);
    Manifest::parse(&text).map(|manifest| manifest.files.len()).map_err(|error| one_line(&error))
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
    for split in [&splits.train, &splits.test] {
        for index in 0..split.len() {
            assert!(split.label(index) < split.classes().len());
            let image = split.image(index, &mut buffer).map_err(|error| one_line(&error))?;
            assert_eq!(image.shape().channels, split.channels());
        }
    }
    Ok(splits.train.len() + splits.test.len())
}

fn one_line(error: &mp_data::Error) -> String {
    let text = error.to_string();
    assert!(!text.contains('\n'), "an error of several lines: {text}");
    text
}
