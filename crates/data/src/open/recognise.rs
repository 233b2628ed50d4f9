//! Which data set a folder holds, told from names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Splits, lazy, splits};
use crate::decode::Codec;
use crate::error::Line;
use crate::format::pictures::{ANNOTATIONS, Listing, Pictures, list};
use crate::format::{cifar, idx, stl10, svhn};
use crate::{Dataset, Error, Format, Manifest};

/// The files of a data set, recognised by their names.
pub(super) enum Files {
    Idx { train: [PathBuf; 2], test: [PathBuf; 2] },
    Cifar { layout: cifar::Layout, train: Vec<PathBuf>, test: PathBuf },
    Folder { train: PathBuf, test: Option<Test> },
    Stl10 { train: [PathBuf; 2], test: [PathBuf; 2] },
    Svhn { train: PathBuf, test: PathBuf },
}

const IDX_NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
const CIFAR10_NAMES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
const CIFAR100_NAMES: [&str; 2] = ["train.bin", "test.bin"];
const STL10_NAMES: [&str; 4] = ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"];
const SVHN_NAMES: [&str; 2] = ["train_32x32.mat", "test_32x32.mat"];

/// The test images of a folder for each class.
pub(super) enum Test {
    /// Below a folder for each class, too.
    Classes(PathBuf),
    /// In one folder, with a list of their classes.
    Annotated(PathBuf),
}

const TRAIN_FOLDERS: [&str; 2] = ["train", "training"];
/// The best first: a `test` beside a `val` often lacks its labels.
const TEST_FOLDERS: [&str; 5] = ["val", "valid", "validation", "test", "testing"];
/// More folders than this are classes; they are not looked into for data sets.
const MOST_FOLDERS: usize = 16;

impl Files {
    /// The data set in a folder, in a folder of that, or in one of that again: official archives unpack to such.
    pub(super) fn find(path: &Path) -> Result<Self, Error> {
        if !path.is_dir() {
            return Err(Error::Unrecognised {
                folder: path.to_owned(),
                expected: "a folder with a data set's files".to_owned(),
                found: "a single file".to_owned(),
            });
        }
        let listing = list(path)?;
        if let Some(files) = Self::within(path, &listing, 2)? {
            return Ok(files);
        }
        if Self::holds_classes(path, &listing)? {
            return Ok(Self::Folder { train: path.to_owned(), test: None });
        }
        let found = match &listing.files[..] {
            [] if listing.folders.is_empty() => "no files".to_owned(),
            [] => format!("folders without a data set ({})", some(&listing.folders)),
            files => format!("{} other files ({})", files.len(), some(files)),
        };
        let expected = "a folder of pictures for each class (also below train/ and val/), IDX files \
                        (train-images-idx3-ubyte[.gz], ...), CIFAR-10 (data_batch_1.bin, ...), CIFAR-100 (train.bin, \
                        test.bin) or STL-10 (train_X.bin, ...) binary files, or SVHN's (train_32x32.mat, ...)";
        Err(Error::Unrecognised { folder: path.to_owned(), expected: expected.to_owned(), found })
    }

    /// The data set in this folder, or in one at most `depth` below it.
    fn within(folder: &Path, listing: &Listing, depth: usize) -> Result<Option<Self>, Error> {
        let names = listing.files.iter().map(|name| name.to_string_lossy().into_owned()).collect();
        if let Some(files) = Self::among(folder, &names)? {
            return Ok(Some(files));
        }
        if let Some(files) = Self::in_split_folders(folder, listing)? {
            return Ok(Some(files));
        }
        if depth == 0 || listing.folders.len() > MOST_FOLDERS {
            return Ok(None);
        }
        let mut inner = Vec::new();
        for name in &listing.folders {
            let path = folder.join(name);
            if let Some(files) = Self::within(&path, &list(&path)?, depth - 1)? {
                inner.push((name, files));
            }
        }
        if inner.len() < 2 {
            return Ok(inner.pop().map(|(_, files)| files));
        }
        let folders: Vec<_> = inner.into_iter().map(|(name, _)| Line(Path::new(name)).to_string()).collect();
        Err(Error::Unrecognised {
            folder: folder.to_owned(),
            expected: "the files of one data set".to_owned(),
            found: format!("several data sets ({}): name one of these folders", folders.join(", ")),
        })
    }

    /// A folder for each class below `train`, and below one for the test images.
    fn in_split_folders(folder: &Path, listing: &Listing) -> Result<Option<Self>, Error> {
        let find = |names: &[&str]| {
            let found = names.iter().find(|name| listing.folders.iter().any(|folder| folder == **name));
            found.map(|name| folder.join(name))
        };
        let Some(train) = find(&TRAIN_FOLDERS) else { return Ok(None) };
        if list(&train)?.folders.is_empty() {
            return Ok(None);
        }
        let mut flat = None;
        for name in TEST_FOLDERS {
            let Some(path) = find(&[name]) else { continue };
            let inside = list(&path)?;
            if inside.files.iter().any(|file| file == ANNOTATIONS) {
                return Ok(Some(Self::Folder { train, test: Some(Test::Annotated(path)) }));
            }
            if !inside.folders.is_empty() {
                return Ok(Some(Self::Folder { train, test: Some(Test::Classes(path)) }));
            }
            flat = flat.or(Some((path, inside.files.len())));
        }
        match flat {
            None => Ok(Some(Self::Folder { train, test: None })),
            Some((folder, count)) => Err(Error::Unrecognised {
                folder,
                expected: "a folder for each class, as in train".to_owned(),
                found: format!("{count} files side by side: move them into folders of their classes"),
            }),
        }
    }

    /// Whether the folders here are classes: one of them holds pictures, itself or in a folder of its own.
    fn holds_classes(folder: &Path, listing: &Listing) -> Result<bool, Error> {
        let is_split = |name: &OsString| TRAIN_FOLDERS.iter().chain(&TEST_FOLDERS).any(|split| name == *split);
        if listing.folders.iter().any(is_split) {
            return Ok(false);
        }
        let pictures = |listing: &Listing| listing.files.iter().any(|name| Codec::is_named(name));
        for class in listing.folders.iter().map(|name| folder.join(name)) {
            let inside = list(&class)?;
            if pictures(&inside) {
                return Ok(true);
            }
            for nested in inside.folders.iter().map(|name| class.join(name)) {
                if pictures(&list(&nested)?) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The data set whose files are among `names`; one that is there in part is an error, none at all is `None`.
    fn among(folder: &Path, names: &BTreeSet<String>) -> Result<Option<Self>, Error> {
        let idx = IDX_NAMES.map(|name| {
            let dotted = name.replacen("-idx", ".idx", 1);
            let spellings = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
            spellings.into_iter().find(|spelling| names.contains(spelling)).ok_or(name)
        });
        let plain = |name: &'static str| names.get(name).cloned().ok_or(name);
        let (ten, hundred) = (CIFAR10_NAMES.map(plain), CIFAR100_NAMES.map(plain));
        let (stl10, svhn) = (STL10_NAMES.map(plain), SVHN_NAMES.map(plain));

        let sets = [&idx[..], &ten[..], &hundred[..], &stl10[..], &svhn[..]];
        match sets.map(|names| names.iter().any(Result::is_ok)) {
            [false, false, false, false, false] => Ok(None),
            [true, false, false, false, false] => {
                let [train_images, train_labels, test_images, test_labels] =
                    complete(folder, idx, "IDX, plain or with .gz at the end of its name")?;
                Ok(Some(Self::Idx { train: [train_images, train_labels], test: [test_images, test_labels] }))
            }
            [false, true, false, false, false] => {
                let [train @ .., test] = complete(folder, ten, "CIFAR-10 binary")?;
                Ok(Some(Self::Cifar { layout: cifar::Layout::Cifar10, train: train.to_vec(), test }))
            }
            [false, false, true, false, false] => {
                let [train, test] = complete(folder, hundred, "CIFAR-100 binary")?;
                Ok(Some(Self::Cifar { layout: cifar::Layout::Cifar100, train: vec![train], test }))
            }
            [false, false, false, true, false] => {
                let [train_images, train_labels, test_images, test_labels] = complete(folder, stl10, "STL-10 binary")?;
                Ok(Some(Self::Stl10 { train: [train_images, train_labels], test: [test_images, test_labels] }))
            }
            [false, false, false, false, true] => {
                let [train, test] = complete(folder, svhn, "SVHN's cropped digits")?;
                Ok(Some(Self::Svhn { train, test }))
            }
            _ => Err(Error::Unrecognised {
                folder: folder.to_owned(),
                expected: "the files of one data set".to_owned(),
                found: "files of several formats side by side".to_owned(),
            }),
        }
    }

    /// Reads everything; `classes` are the known class names, which labels are checked against.
    pub(super) fn read(self, name: &str, classes: Option<Vec<String>>) -> Result<Splits, Error> {
        match self {
            Self::Idx { train: [train_images, train_labels], test: [test_images, test_labels] } => {
                let train = idx::read(&train_images, &train_labels, classes.as_ref().map(Vec::len))?;
                let classes = match classes {
                    Some(classes) => classes,
                    None => (0..idx::count_classes(&train_labels, &train.labels)?).map(|c| c.to_string()).collect(),
                };
                let test = idx::read(&test_images, &test_labels, Some(classes.len()))?;
                if train.shape != test.shape {
                    return Err(Error::Format {
                        path: test_images,
                        offset: 8,
                        expected: format!("images of {}, as in {}", train.shape, Line(&train_images)),
                        found: test.shape.to_string(),
                    });
                }
                splits(name, Format::Idx, classes, train, Some(test))
            }
            Self::Cifar { layout, train, test } => {
                let format = match layout {
                    cifar::Layout::Cifar10 => Format::Cifar10,
                    cifar::Layout::Cifar100 => Format::Cifar100,
                };
                let classes = classes.unwrap_or_else(|| official_classes(format));
                splits(name, format, classes, cifar::read(&train, layout)?, Some(cifar::read(&[test], layout)?))
            }
            Self::Folder { train, test } => folder(name, &train, test, classes),
            Self::Stl10 { train: [train_images, train_labels], test: [test_images, test_labels] } => {
                let classes = classes.unwrap_or_else(|| official_classes(Format::Stl10));
                let test = stl10::read(&test_images, &test_labels)?;
                splits(name, Format::Stl10, classes, stl10::read(&train_images, &train_labels)?, Some(test))
            }
            Self::Svhn { train, test } => {
                let classes = classes.unwrap_or_else(|| official_classes(Format::Svhn));
                splits(name, Format::Svhn, classes, svhn::read(&train)?, Some(svhn::read(&test)?))
            }
        }
    }
}

/// The class names of the one known data set that has a format of its own.
fn official_classes(format: Format) -> Vec<String> {
    let official = Manifest::all().iter().find(|manifest| manifest.format == format);
    official.map(|manifest| manifest.classes.clone()).unwrap_or_default()
}

/// Joins the names to the folder, or says which one is not there.
fn complete<const K: usize>(
    folder: &Path,
    names: [Result<String, &'static str>; K],
    expected: &str,
) -> Result<[PathBuf; K], Error> {
    if let Some(missing) = names.iter().find_map(|name| name.as_ref().err()) {
        return Err(Error::Missing { path: folder.join(missing), expected: expected.to_owned() });
    }
    Ok(names.map(|name| folder.join(name.unwrap_or_else(str::to_owned))))
}

/// The first few of many names.
fn some(names: &[OsString]) -> String {
    let first: Vec<_> = names.iter().take(3).map(|name| Line(Path::new(name)).to_string()).collect();
    first.join(", ") + if names.len() > 3 { ", ..." } else { "" }
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
