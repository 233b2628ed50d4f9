//! From recognised files to the splits.

use std::collections::{BTreeSet, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::recognise::{Files, Found};
use super::splits::Branch;
use super::{Splits, lazy, splits};
use crate::error::Line;
use crate::format::cifar::{self, Layout};
use crate::format::class_folders::Place;
use crate::format::numpy::{Arrays, Labels};
use crate::format::packed::{Meta, Packed, PackedSplit};
use crate::format::pictures::Pictures;
use crate::format::shards::Shards;
use crate::format::{Raw, count_classes, idx, lists, malformed, numpy, stl10, svhn};
use crate::ignored::Ignored;
use crate::parts::{Parts, Split};
use crate::{Dataset, Error, Format, Manifest, file};

impl Found {
    /// Reads what has to be read to open the data set; `classes` are the known class names, which labels are checked against.
    pub(super) fn read(self, name: &str, classes: Option<Vec<String>>) -> Result<Splits, Error> {
        let mut ignored = self.ignored;
        let splits = self.files.read(name, classes, &mut ignored)?;
        Ok(Splits { ignored, ..splits })
    }
}

impl Files {
    fn read(self, name: &str, classes: Option<Vec<String>>, ignored: &mut Ignored) -> Result<Splits, Error> {
        match self {
            Self::Idx { train: [train_images, train_labels], test: [test_images, test_labels] } => {
                let train = idx::read(&train_images, &train_labels, classes.as_ref().map(Vec::len))?;
                let classes = match classes {
                    Some(classes) => classes,
                    None => numbered(idx::count_classes(&train_labels, &train.labels)?),
                };
                let test = idx::read(&test_images, &test_labels, Some(classes.len()))?;
                same_shape(&train_images, &train, &test_images, &test)?;
                splits(name, Format::Idx, classes, Parts::tested(train, test))
            }
            Self::Kin(files) => files.read(name, classes),
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
                splits(name, Format::Svhn, classes.unwrap_or_else(|| numbered(10)), Parts::tested(train, test))
            }
            Self::Stl10 { train, test, names } => {
                let [train, test] = [train, test].map(|[images, labels]| stl10::read(&images, &labels));
                let classes = match (classes, names) {
                    (Some(classes), _) => classes,
                    (None, Some(path)) => stl10_classes(&path)?,
                    (None, None) => stl10::NAMES.map(str::to_owned).to_vec(),
                };
                splits(name, Format::Stl10, classes, Parts::tested(train?, test?))
            }
            Self::NumpyPairs(pairs) => {
                let arrays = pairs.try_map(|_, [images, labels]| numpy::read_pair(&images, &labels))?;
                numpy_splits(name, classes, arrays)
            }
            Self::NumpyArchive(path) => {
                let arrays = numpy::read_archive(&path, ignored)?;
                numpy_splits(name, classes, arrays)
            }
            Self::Classes(path) => {
                let pictures = Pictures::open(format!("{name}/train"), &path, Place::Alone)?;
                pictures_splits(name, Format::Folder, Parts::train(pictures), classes, ignored)
            }
            Self::Folder { train, valid, test } => {
                let train = Pictures::open(format!("{name}/{}", Split::Train), &train, Place::Train)?;
                let held = |split: Split, branch: Option<Branch>| {
                    let name = format!("{name}/{split}");
                    let open = |branch| match branch {
                        Branch::Classes(path) => Pictures::open(name, &path, Place::Held(&train.classes)),
                        Branch::Annotated(path) => Pictures::open_annotated(name, &path, &train.classes),
                    };
                    branch.map(open).transpose()
                };
                let (valid, test) = (held(Split::Valid, valid)?, held(Split::Test, test)?);
                pictures_splits(name, Format::Folder, Parts { train, valid, test }, classes, ignored)
            }
            Self::Listed(root, lists) => {
                let (parts, beside) = lists::open(name, &root, &lists)?;
                ignored.add(beside);
                pictures_splits(name, Format::List, parts, classes, ignored)
            }
            Self::Shards(Parts { train, valid, test }) => {
                let train = Shards::open(format!("{name}/{}", Split::Train), train, classes.as_deref())?;
                let held = |split: Split, paths: Option<Vec<PathBuf>>| {
                    let open = |paths| Shards::open(format!("{name}/{split}"), paths, Some(train.classes()));
                    paths.map(open).transpose()
                };
                let (valid, test) = (held(Split::Valid, valid)?, held(Split::Test, test)?);
                let mut parts = Parts { train, valid, test };
                parts.iter_mut().for_each(|shards| ignored.add(std::mem::take(&mut shards.ignored)));
                lazy(name, Format::Shards, parts)
            }
            Self::Packed(path) => {
                let packed = Packed::open(&path)?;
                let Meta { mean, std, .. } = packed.head.meta.clone();
                Ok(Splits { mean, std, ..lazy(name, Format::Packed, PackedSplit::parts(name, &packed))? })
            }
        }
    }
}

/// Names for classes that have none.
fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|class| class.to_string()).collect()
}

pub(super) fn same_shape(train_path: &Path, train: &Raw, test_path: &Path, test: &Raw) -> Result<(), Error> {
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
    splits(name, format, classes, Parts::tested(train, test))
}

/// Labels are numbers without a gap, or names of classes, which then are in the order of the alphabet.
fn numpy_splits(name: &str, known: Option<Vec<String>>, arrays: Parts<Arrays>) -> Result<Splits, Error> {
    let fault = |place: &Path, index: usize, expected: &str, found: String| {
        malformed(place, 8, format!("label {index}: {expected}"), found)
    };
    let train = &arrays.train;
    let (classes, named) = match &train.labels {
        Labels::Numbers(labels) => {
            let count = count_classes(labels)
                .map_err(|(index, expected)| fault(&train.places[1], index, &expected, labels[index].to_string()))?;
            (known.filter(|classes| classes.len() == count).unwrap_or_else(|| numbered(count)), false)
        }
        Labels::Names(names) => (names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(), true),
    };
    let numbers: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let (first, shape) = (train.places[0].clone(), train.shape);
    let parts = arrays.try_map(|_, Arrays { shape: found, pixels, labels, places: [images, place] }| {
        if found != shape {
            return Err(malformed(&images, 8, format!("images of {shape}, as in {}", Line(&first)), found));
        }
        let labels = match labels {
            Labels::Numbers(_) if named => {
                return Err(malformed(&place, 8, "names of classes, as in train", "numbers"));
            }
            Labels::Numbers(labels) => match labels.iter().position(|&label| label as usize >= classes.len()) {
                None => labels,
                Some(index) => {
                    let expected = format!("one from 0 to {}", classes.len() - 1);
                    return Err(fault(&place, index, &expected, labels[index].to_string()));
                }
            },
            Labels::Names(_) if !named => return Err(malformed(&place, 8, "numbers, as in train", "names of classes")),
            Labels::Names(names) => {
                let number = |(index, class): (usize, &String)| {
                    let found = format!("`{}`", Line(class));
                    numbers.get(class.as_str()).copied().ok_or_else(|| fault(&place, index, "a class of train", found))
                };
                names.iter().enumerate().map(number).collect::<Result<_, _>>()?
            }
        };
        Ok(Raw { shape, labels, pixels })
    })?;
    splits(name, Format::Numpy, classes.clone(), parts)
}

fn stl10_classes(path: &Path) -> Result<Vec<String>, Error> {
    let mut text = String::new();
    file::open(path).and_then(|mut file| file.read_to_string(&mut text)).map_err(Error::io("read", path))?;
    let names: Vec<_> = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    match names.len() == stl10::NAMES.len() {
        true => Ok(names),
        false => Err(malformed(path, 0, format!("{} lines with a name each", stl10::NAMES.len()), names.len())),
    }
}

/// Pictures in files of their own. Their folders or lists say which class each has; `classes` are how these are called.
fn pictures_splits(
    name: &str,
    format: Format,
    mut parts: Parts<Pictures>,
    classes: Option<Vec<String>>,
    ignored: &mut Ignored,
) -> Result<Splits, Error> {
    parts.iter_mut().for_each(|pictures| ignored.add(std::mem::take(&mut pictures.ignored)));
    if let Some(names) = classes.filter(|classes| classes.len() == parts.train.classes.len()) {
        parts = parts.map(|_, pictures| pictures.with_class_names(names.clone()));
    }
    lazy(name, format, parts)
}
