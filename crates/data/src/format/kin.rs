//! MNIST's kin: EMNIST and QMNIST, in the files that their authors publish.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::few_files::{FewFiles, complete, same_shape};
use super::idx;
use crate::open::splits;
use crate::parts::Parts;
use crate::{Error, Format, Manifest, Splits};

/// The splits of EMNIST, with the label of the first class.
const EMNIST: [(&str, u8); 6] =
    [("balanced", 0), ("byclass", 0), ("bymerge", 0), ("digits", 0), ("letters", 1), ("mnist", 0)];

/// The files of one of these data sets: images and labels.
pub(crate) struct Kin {
    manifest: &'static Manifest,
    /// The label of the first class.
    first: u8,
    train: [PathBuf; 2],
    test: [PathBuf; 2],
}

impl Kin {
    /// The files that belong to a data set of this kind, in its folder or in one directly below; `None` for others.
    pub(crate) fn named(folder: &Path, manifest: &'static Manifest) -> Result<Option<Self>, Error> {
        if !matches!(manifest.format, Format::Emnist | Format::Qmnist) {
            return Ok(None);
        }
        let names = names(folder)?;
        if let Some(kin) = Self::among(folder, &names, manifest)? {
            return Ok(Some(kin));
        }
        let below = names.iter().map(|name| folder.join(name)).filter(|path| path.is_dir());
        for inner in below {
            if let Some(kin) = Self::among(&inner, &self::names(&inner)?, manifest)? {
                return Ok(Some(kin));
            }
        }
        let [first, ..] = file_names(manifest);
        Err(Error::Missing {
            path: folder.join(first),
            expected: "IDX, plain or with .gz at the end of its name".to_owned(),
        })
    }

    /// All of its files, if one of them is there.
    fn among(folder: &Path, names: &BTreeSet<String>, manifest: &'static Manifest) -> Result<Option<Self>, Error> {
        let spelled = file_names(manifest).map(|name| {
            [name.to_owned(), format!("{name}.gz")].into_iter().find(|name| names.contains(name)).ok_or(name)
        });
        if spelled.iter().all(Result::is_err) {
            return Ok(None);
        }
        let [train_images, train_labels, test_images, test_labels] =
            complete(folder, spelled, "IDX, plain or with .gz at the end of its name")?;
        let split = EMNIST.iter().find(|(split, _)| manifest.name == format!("emnist-{split}"));
        let first = split.map_or(0, |(_, first)| *first);
        Ok(Some(Self { manifest, first, train: [train_images, train_labels], test: [test_images, test_labels] }))
    }

    /// The data set; beside its files lies a list of classes, which says what is known.
    pub(crate) fn files(self) -> FewFiles {
        let paths = self.train.iter().chain(&self.test);
        let mut names: Vec<String> = paths.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
        names.push(format!("{}-mapping.txt", self.manifest.name));
        FewFiles::new(names, move |name, classes, _| self.read(name, classes))
    }

    /// Both splits; classes are called as they are known to be.
    fn read(self, name: &str, classes: Option<Vec<String>>) -> Result<Splits, Error> {
        let Self { manifest, first, train, test } = self;
        let classes = classes.unwrap_or_else(|| manifest.classes.clone());
        let read = |[images, labels]: &[PathBuf; 2]| match manifest.format {
            Format::Qmnist => idx::read_qmnist(images, labels, classes.len()),
            _ => idx::read_emnist(images, labels, first, classes.len()),
        };
        let (train_images, test_images) = (train[0].clone(), test[0].clone());
        let (train, test) = (read(&train)?, read(&test)?);
        same_shape(&train_images, &train, &test_images, &test)?;
        splits(name, manifest.format, classes, Parts::tested(train, test))
    }
}

/// The four files of a manifest: training images and labels, test images and labels.
fn file_names(manifest: &'static Manifest) -> [&'static str; 4] {
    std::array::from_fn(|index| manifest.files.get(index).map_or("", |file| file.name.as_str()))
}

fn names(folder: &Path) -> Result<BTreeSet<String>, Error> {
    let entries = folder.read_dir().map_err(Error::io("read", folder))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

/// The split of EMNIST whose files are in a folder.
pub(crate) fn emnist(folder: &Path, names: &BTreeSet<String>) -> Result<Option<FewFiles>, Error> {
    let mut found = Vec::new();
    for manifest in Manifest::all().iter().filter(|manifest| manifest.format == Format::Emnist) {
        found.extend(Kin::among(folder, names, manifest)?);
    }
    if found.len() < 2 {
        return Ok(found.pop().map(Kin::files));
    }
    let splits: Vec<&str> = found.iter().map(|kin| kin.manifest.name.as_str()).collect();
    Err(Error::Unrecognised {
        folder: folder.to_owned(),
        expected: "the files of one split of EMNIST".to_owned(),
        found: format!("those of {}: move one split into a folder of its own", splits.join(", ")),
    })
}

/// QMNIST's files.
pub(crate) fn qmnist(folder: &Path, names: &BTreeSet<String>) -> Result<Option<FewFiles>, Error> {
    let known = Manifest::all().iter().find(|manifest| manifest.format == Format::Qmnist);
    Ok(known.map(|manifest| Kin::among(folder, names, manifest)).transpose()?.flatten().map(Kin::files))
}
