//! Folders for the splits of a data set, recognised by their names, and what such a folder holds.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::recognise::Files;
use crate::Error;
use crate::error::Line;
use crate::format::annotated::ANNOTATIONS;
use crate::format::class_folders::one_class;
use crate::format::few_files::has_ending;
use crate::format::listing::{Listing, holds_pictures, list, some, walk};
use crate::format::pictures::nothing;
use crate::ignored::Ignored;
use crate::parts::{Parts, Split, Spoken, is_neutral_name, spoken};

/// The folders of the splits.
pub(super) type Named = Parts<OsString>;

/// The images of a split.
#[derive(Debug)]
pub(super) enum Branch {
    /// In a folder for each class.
    Classes(PathBuf),
    /// In one folder, with a list of their classes.
    Annotated(PathBuf),
}

/// Whether a folder holds the folders of splits.
pub(super) enum Outcome {
    Found(Box<(Files, Named, Ignored)>),
    /// It does by its names, but what they hold does not go with it.
    Nearly(Error),
    No,
}

/// A data set in folders for its splits.
pub(super) fn find(folder: &Path, listing: &Listing) -> Result<Outcome, Error> {
    let Some(named) = by_name(folder, listing)? else { return Ok(Outcome::No) };
    let train = folder.join(&named.train);
    let (train, classes) = match Inside::of(&train)? {
        Inside::Classes(path) => {
            let classes = list(&path)?.folders;
            (path, classes)
        }
        Inside::Tars(train) => return shards(folder, named, train),
        Inside::Flat(count) => {
            let found =
                format!("{count} pictures side by side: move them into folders of their classes, or add a list");
            let expected = "a folder for each class, or beside it a list of the pictures (train.csv)".to_owned();
            return Ok(Outcome::Nearly(Error::Unrecognised { folder: train, expected, found }));
        }
        Inside::Lone(class) => return Ok(Outcome::Nearly(one_class(train, &class.to_string_lossy()))),
        Inside::Annotated | Inside::Nothing => {
            let ignored = walk(&train, Path::new(""))?.ignored;
            return Ok(Outcome::Nearly(nothing(train, &ignored)));
        }
    };
    if named.valid.is_none() && named.test.is_none() {
        let mut others = Vec::new();
        for name in listing.folders.iter().filter(|name| **name != named.train) {
            if holds_pictures(&folder.join(name))? {
                others.push(name);
            }
        }
        if others.len() > 1 {
            return Err(Error::Unrecognised {
                folder: folder.to_owned(),
                expected: "folders of splits, or a folder for each class".to_owned(),
                found: format!(
                    "`{}` beside {}, which may be either: name it if it holds the training images, rename it if it is a class",
                    Line(&named.train),
                    some(&others)
                ),
            });
        }
    }
    let mut ignored = Ignored::default();
    let mut held = |split: Split, name: &Option<OsString>| -> Result<Option<Branch>, Error> {
        let Some(name) = name else { return Ok(None) };
        let path = folder.join(name);
        let unlabelled = |found: String| match split {
            Split::Test => Ok(found),
            _ => Err(Error::Unrecognised {
                folder: path.clone(),
                expected: "a folder for each class, as in train".to_owned(),
                found: format!("{found}: move them into folders of their classes"),
            }),
        };
        let left = match Inside::of(&path)? {
            Inside::Classes(path) => return Ok(Some(Branch::Classes(path))),
            Inside::Lone(class) if classes.contains(&class) => return Ok(Some(Branch::Classes(path))),
            Inside::Annotated => return Ok(Some(Branch::Annotated(path))),
            Inside::Flat(count) => unlabelled(format!("{count} pictures without labels"))?,
            Inside::Lone(class) => {
                let count = walk(&path.join(&class), Path::new(""))?.pictures.len();
                unlabelled(format!("{count} pictures without labels"))?
            }
            Inside::Tars(_) => unlabelled("tar files, where train has folders".to_owned())?,
            Inside::Nothing => unlabelled("no pictures".to_owned())?,
        };
        ignored.part(format!("{}/ ({left})", Line(name)));
        Ok(None)
    };
    let (valid, test) = (held(Split::Valid, &named.valid)?, held(Split::Test, &named.test)?);
    Ok(Outcome::Found(Box::new((Files::Folder { train, valid, test }, named, ignored))))
}

/// Whether the folders here may be classes although one is called like the training images: it holds pictures of its own, as they
/// do, and there are two others at least whose names say something.
pub(super) fn may_be_classes(listing: &Listing) -> bool {
    let speaks = |name: &OsString| name.to_str().is_some_and(|name| spoken(name).is_some_and(|found| found.is_plain()));
    let (splits, others): (Vec<_>, Vec<_>) = listing.folders.iter().partition(|name| speaks(name));
    let telling = others.iter().filter(|name| !is_neutral_name(&name.to_string_lossy())).count();
    splits.len() < 2 && telling > 1
}

/// Tar files in the folders of the splits.
fn shards(folder: &Path, named: Named, train: Vec<PathBuf>) -> Result<Outcome, Error> {
    let mut ignored = Ignored::default();
    let mut held = |name: &Option<OsString>| -> Result<Option<Vec<PathBuf>>, Error> {
        let Some(name) = name else { return Ok(None) };
        match Inside::of(&folder.join(name))? {
            Inside::Tars(paths) => Ok(Some(paths)),
            _ => {
                ignored.part(format!("{}/ (no tar files)", Line(name)));
                Ok(None)
            }
        }
    };
    let parts = Parts { train, valid: held(&named.valid)?, test: held(&named.test)? };
    Ok(Outcome::Found(Box::new((Files::Shards(parts), named, ignored))))
}

/// The folders whose names say nothing but a split; or, without one of training images among them, those whose names say the
/// same beside it, as `seg_train` and `seg_test` do.
fn by_name(folder: &Path, listing: &Listing) -> Result<Option<Named>, Error> {
    let names = listing.folders.iter().filter_map(|name| Some((name, spoken(name.to_str()?)?)));
    let mut groups: BTreeMap<String, Vec<(&OsString, Split)>> = BTreeMap::new();
    names.for_each(|(name, Spoken { split, rest })| groups.entry(rest).or_default().push((name, split)));
    let has =
        |group: &[(&OsString, Split)], train: bool| group.iter().any(|(_, split)| (*split == Split::Train) == train);
    let plain = groups.remove("").unwrap_or_default();
    let group = match has(&plain, true) {
        true => plain,
        false => {
            let mut pairs: Vec<_> =
                groups.into_values().filter(|group| has(group, true) && has(group, false)).collect();
            if pairs.len() > 1 || !plain.is_empty() {
                return Ok(None);
            }
            let Some(pair) = pairs.pop() else { return Ok(None) };
            pair
        }
    };
    let mut parts = [None, None, None];
    for (name, split) in group {
        if let Some(other) = parts[split as usize].replace(name.clone()) {
            return Err(Error::Unrecognised {
                folder: folder.to_owned(),
                expected: format!("one folder called {split}, or like it"),
                found: format!("{} and {}: rename or move one of them", Line(&other), Line(name)),
            });
        }
    }
    Ok(Parts::of(parts))
}

/// What the folder of a split holds.
enum Inside {
    /// Folders of classes, here or in a folder that is alone.
    Classes(PathBuf),
    /// Pictures side by side: so many.
    Flat(usize),
    /// One folder, with pictures side by side.
    Lone(OsString),
    Annotated,
    Tars(Vec<PathBuf>),
    Nothing,
}

impl Inside {
    fn of(path: &Path) -> Result<Self, Error> {
        let listing = list(path)?;
        if listing.file_names().any(|name| name == ANNOTATIONS) {
            return Ok(Self::Annotated);
        }
        let mut holders = Vec::new();
        for name in &listing.folders {
            if holds_pictures(&path.join(name))? {
                holders.push(name);
            }
            if holders.len() > 1 {
                return Ok(Self::Classes(path.to_owned()));
            }
        }
        let pictures = listing.pictures().count();
        match holders[..] {
            [] if pictures > 0 => Ok(Self::Flat(pictures)),
            [] => {
                let tars = listing.file_names().filter(|name| has_ending(name, "tar"));
                let tars: Vec<_> = tars.map(|name| path.join(name)).collect();
                Ok(if tars.is_empty() { Self::Nothing } else { Self::Tars(tars) })
            }
            // The others are classes without pictures, which will be said.
            [_] if listing.folders.len() > 1 => Ok(Self::Classes(path.to_owned())),
            [only] if list(&path.join(only))?.pictures().next().is_some() => Ok(Self::Lone(only.clone())),
            [only] => match Self::of(&path.join(only))? {
                Self::Flat(_) | Self::Lone(_) => Ok(Self::Lone(only.clone())),
                inside => Ok(inside),
            },
            _ => Ok(Self::Classes(path.to_owned())),
        }
    }
}
