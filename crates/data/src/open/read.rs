//! From recognised files to the two splits.

use std::path::{Path, PathBuf};

use super::recognise::{Files, Test};
use super::{Splits, lazy, splits};
use crate::error::Line;
use crate::format::cifar::{self, Layout};
use crate::format::packed::{Meta, Packed, PackedSplit};
use crate::format::pictures::Pictures;
use crate::format::shards::Shards;
use crate::format::{Raw, count_classes, idx, malformed, numpy, stl10, svhn};
use crate::{Dataset, Error, Format, Manifest};

impl Files {
    /// Reads what has to be read to open the data set; `classes` are the known class names, which labels are checked against.
    pub(super) fn read(self, name: &str, classes: Option<Vec<String>>) -> Result<Splits, Error> {
        match self {
            Self::Idx { train: [train_images, train_labels], test: [test_images, test_labels] } => {
                let train = idx::read(&train_images, &train_labels, classes.as_ref().map(Vec::len))?;
                let classes = match classes {
                    Some(classes) => classes,
                    None => numbered(idx::count_classes(&train_labels, &train.labels)?),
                };
                let test = idx::read(&test_images, &test_labels, Some(classes.len()))?;
                same_shape(&train_images, &train, &test_images, &test)?;
                splits(name, Format::Idx, classes, train, Some(test))
            }
            Self::Cifar { layout, version, train, test } => {
                let test = cifar::read(&[test], layout, version)?;
                cifar_splits(name, layout, classes, cifar::read(&train, layout, version)?, test)
            }
            Self::CifarArchive { layout, version, path } => {
                let (train, test) = cifar::read_archive(&path, layout, version)?;
                cifar_splits(name, layout, classes, train, test)
            }
            Self::Svhn { train: train_path, test: test_path } => {
                let (train, test) = (svhn::read(&train_path)?, svhn::read(&test_path)?);
                same_shape(&train_path, &train, &test_path, &test)?;
                splits(name, Format::Svhn, classes.unwrap_or_else(|| numbered(10)), train, Some(test))
            }
            Self::Stl10 { train, test, names } => {
                let [train, test] = [train, test].map(|[images, labels]| stl10::read(&images, &labels));
                let classes = match (classes, names) {
                    (Some(classes), _) => classes,
                    (None, Some(path)) => stl10_classes(&path)?,
                    (None, None) => stl10::NAMES.map(str::to_owned).to_vec(),
                };
                splits(name, Format::Stl10, classes, train?, Some(test?))
            }
            Self::NumpyPairs { train: [images, labels], test } => {
                let train = numpy::read_pair(&images, &labels)?;
                let test = match test {
                    Some([images, labels]) => Some((numpy::read_pair(&images, &labels)?, [images, labels])),
                    None => None,
                };
                numpy_splits(name, classes, (train, [images, labels]), test)
            }
            Self::NumpyArchive(path) => {
                let places = || [path.clone(), path.clone()];
                let (train, test) = numpy::read_archive(&path)?;
                numpy_splits(name, classes, (train, places()), test.map(|test| (test, places())))
            }
            Self::Folder { train, test } => folder(name, &train, test, classes),
            Self::Shards { train, test } => {
                let train = Shards::open(format!("{name}/train"), train, classes.as_deref())?;
                let test = match test.is_empty() {
                    true => None,
                    false => Some(Shards::open(format!("{name}/test"), test, Some(train.classes()))?),
                };
                lazy(name, Format::Shards, train, test)
            }
            Self::Packed(path) => {
                let packed = Packed::open(&path)?;
                let Meta { mean, std, .. } = packed.head.meta.clone();
                let (train, test) = PackedSplit::both(name, packed);
                Ok(Splits { mean, std, ..lazy(name, Format::Packed, train, test)? })
            }
        }
    }
}

/// Names for classes that have none.
fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|class| class.to_string()).collect()
}

fn same_shape(train_path: &Path, train: &Raw, test_path: &Path, test: &Raw) -> Result<(), Error> {
    if train.shape == test.shape {
        return Ok(());
    }
    let expected = format!("images of {}, as in {}", train.shape, Line(train_path));
    Err(malformed(test_path, 8, expected, test.shape))
}

fn cifar_splits(
    name: &str,
    layout: Layout,
    classes: Option<Vec<String>>,
    train: Raw,
    test: Raw,
) -> Result<Splits, Error> {
    let format = match layout {
        Layout::Cifar10 => Format::Cifar10,
        Layout::Cifar100 => Format::Cifar100,
    };
    let official = Manifest::all().iter().find(|manifest| manifest.format == format);
    let classes = classes.or_else(|| official.map(|manifest| manifest.classes.clone())).unwrap_or_default();
    splits(name, format, classes, train, Some(test))
}

fn numpy_splits(
    name: &str,
    classes: Option<Vec<String>>,
    (train, [train_images, train_labels]): (Raw, [PathBuf; 2]),
    test: Option<(Raw, [PathBuf; 2])>,
) -> Result<Splits, Error> {
    let fault = |path: &Path, labels: &[u32], (index, expected): (usize, String)| {
        malformed(path, 8, format!("label {index}: {expected}"), labels[index])
    };
    let count = count_classes(&train.labels).map_err(|found| fault(&train_labels, &train.labels, found))?;
    let classes = classes.filter(|classes| classes.len() == count).unwrap_or_else(|| numbered(count));
    let Some((test, [test_images, test_labels])) = test else {
        return splits(name, Format::Numpy, classes, train, None);
    };
    same_shape(&train_images, &train, &test_images, &test)?;
    if let Some(index) = test.labels.iter().position(|&label| label as usize >= count) {
        return Err(fault(&test_labels, &test.labels, (index, format!("one from 0 to {}", count - 1))));
    }
    splits(name, Format::Numpy, classes, train, Some(test))
}

fn stl10_classes(path: &Path) -> Result<Vec<String>, Error> {
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    let names: Vec<_> = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    match names.len() == stl10::NAMES.len() {
        true => Ok(names),
        false => Err(malformed(path, 0, format!("{} lines with a name each", stl10::NAMES.len()), names.len())),
    }
}

/// Opens both splits. The folders' names say which class an image has; `classes` are how these are called.
fn folder(name: &str, train: &Path, test: Option<Test>, classes: Option<Vec<String>>) -> Result<Splits, Error> {
    let (train_name, test_name) = (format!("{name}/train"), format!("{name}/test"));
    let train = Pictures::open(train_name, train, None)?;
    let test = match test {
        None => None,
        Some(Test::Classes(path)) => Some(Pictures::open(test_name, &path, Some(train.classes()))?),
        Some(Test::Annotated(path)) => Some(Pictures::open_annotated(test_name, &path, train.classes())?),
    };
    match classes.filter(|classes| classes.len() == train.classes().len()) {
        None => lazy(name, Format::Folder, train, test),
        Some(names) => {
            let test = test.map(|test| test.with_class_names(names.clone()));
            lazy(name, Format::Folder, train.with_class_names(names), test)
        }
    }
}
