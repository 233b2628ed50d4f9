//! From recognised files to the splits.

use std::path::PathBuf;

use super::recognise::{Files, Found};
use super::splits::Branch;
use super::{Splits, lazy};
use crate::format::class_folders::Place;
use crate::format::lists;
use crate::format::pictures::Pictures;
use crate::format::shards::Shards;
use crate::ignored::Ignored;
use crate::parts::{Parts, Split};
use crate::{Dataset, Error, Format};

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
            Self::Few(files) => (files.read)(name, classes, ignored),
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
        }
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
