//! A folder for each class, as ImageNet has them: which folders are classes, and which only look like it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::listing::{Found, Listing, list, some, walk};
use super::lists;
use super::pictures::{Pictures, nothing};
use crate::Error;
use crate::error::{Line, is_printable};
use crate::ignored::Ignored;
use crate::parts::{Split, Spoken, is_neutral_name, spoken};

/// Where a folder of classes stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// On its own: a class that is called like a split is hardly one.
    Alone,
    /// The training images of a data set with folders for its splits.
    Train,
    /// Other images of such a data set, whose classes these are.
    Held(&'a [String]),
}

impl Pictures {
    /// All pictures below `root/CLASS`, at any depth, in the order of the classes, then of the paths. The classes are `root`'s
    /// folders in the order of their names, or the given ones, of which each folder must be one.
    pub(crate) fn open(name: String, root: &Path, place: Place<'_>) -> Result<Self, Error> {
        let Listing { files: beside, folders, mut ignored } = list(root)?;
        let folders = folders.into_iter().map(|folder| class_name(root, folder)).collect::<Result<Vec<_>, _>>()?;
        check_case(root, &folders)?;
        let classes = match place {
            Place::Held(classes) => classes,
            Place::Alone | Place::Train => {
                check_names(root, &folders, place)?;
                &folders
            }
        };
        let labels: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
        if let Some(unknown) = folders.iter().find(|folder| !labels.contains_key(folder.as_str())) {
            return Err(Error::Unrecognised {
                folder: root.join(unknown),
                expected: "a class that the training images have too".to_owned(),
                found: "a folder of another name".to_owned(),
            });
        }
        let found = folders.par_iter().map(|folder| {
            let mut found = walk(&root.join(folder), Path::new(folder))?;
            found.pictures.sort_unstable();
            Ok(found)
        });
        let found: Vec<Found> = found.collect::<Result<_, Error>>()?;
        if !matches!(place, Place::Held(_)) {
            check_pictures(root, &folders, &found)?;
        }
        count_beside(root, &beside, &mut ignored);
        let mut files = Vec::with_capacity(found.iter().map(|found| found.pictures.len()).sum());
        for (folder, found) in folders.iter().zip(found) {
            let label = labels[folder.as_str()];
            files.extend(found.pictures.into_iter().map(|path| (label, path)));
            ignored.add(found.ignored);
        }
        if files.is_empty() {
            return Err(nothing(root.to_owned(), &ignored));
        }
        Ok(Self { name, root: root.to_owned(), classes: classes.to_vec(), files, ignored })
    }
}

/// A folder's name as the name of a class, which ends up in tables and file names.
fn class_name(root: &Path, folder: OsString) -> Result<String, Error> {
    let unfit = |folder: &OsString| Error::Unrecognised {
        folder: root.join(folder),
        expected: "a class, named in UTF-8 without control characters".to_owned(),
        found: "another name: rename the folder".to_owned(),
    };
    let name = folder.into_string().map_err(|folder| unfit(&folder))?;
    if name.chars().all(is_printable) { Ok(name) } else { Err(unfit(&name.into())) }
}

/// Refuses two classes that would be one on a disk that does not tell upper from lower case.
fn check_case(root: &Path, classes: &[String]) -> Result<(), Error> {
    let mut seen = HashMap::new();
    for class in classes {
        if let Some(other) = seen.insert(class.to_lowercase(), class) {
            return Err(Error::Unrecognised {
                folder: root.to_owned(),
                expected: "classes that differ in more than upper and lower case".to_owned(),
                found: format!("`{other}` and `{class}`: rename or merge them"),
            });
        }
    }
    Ok(())
}

/// Refuses classes that are called like what holds them, and like splits. `train` alone may be one, beside two classes or more of other names: it is
/// something that people take pictures of. Below a folder that is a split, any one name may be a class.
fn check_names(root: &Path, folders: &[String], place: Place<'_>) -> Result<(), Error> {
    const NONE: [&str; 10] =
        ["images", "image", "imgs", "img", "pictures", "photos", "data", "dataset", "labels", "annotations"];
    let is_none = |name: &&String| NONE.iter().any(|known| known.eq_ignore_ascii_case(name));
    if let (Place::Alone, Some(name)) = (place, folders.iter().find(is_none)) {
        return Err(Error::Unrecognised {
            folder: root.to_owned(),
            expected: "a folder for each class".to_owned(),
            found: format!(
                "`{name}`, which is the name of no class, beside others: rename it if it is one, or move it away"
            ),
        });
    }
    let named: Vec<(&String, Spoken)> = folders.iter().filter_map(|name| Some((name, spoken(name)?))).collect();
    let plain: Vec<_> = named.iter().filter(|(_, spoken)| spoken.is_plain()).collect();
    let same_rest = |a: &Spoken, b: &Spoken| a.split != b.split && a.rest == b.rest;
    let pair = named.iter().find(|(_, a)| named.iter().any(|(_, b)| same_rest(a, b)));
    let telling = |but: &str| folders.iter().filter(|name| *name != but && !is_neutral_name(name)).count();
    let suspect = match plain[..] {
        _ if pair.is_some() => pair,
        [] => None,
        [(name, _)] if name.eq_ignore_ascii_case("train") && telling(name) > 1 => None,
        [_] if place == Place::Train => None,
        [first, ..] => Some(first),
    };
    let Some((suspect, Spoken { split, .. })) = suspect else { return Ok(()) };
    let others: Vec<_> = folders.iter().filter(|name| name != suspect).collect();
    let remedy = match split {
        Split::Train => {
            "rename it if it is a class; if it holds the training images, put a folder for each class into it"
        }
        Split::Valid | Split::Test => {
            "rename it if it is a class; if it is a split, put the training images into train/, a folder for each class"
        }
    };
    Err(Error::Unrecognised {
        folder: root.to_owned(),
        expected: "a folder for each class".to_owned(),
        found: format!("`{suspect}`, which is called like a split, beside {}: {remedy}", some(&others)),
    })
}

/// Refuses what has a folder for each class only by its looks: a single one, one without pictures, folders that hold the same
/// folders again.
fn check_pictures(root: &Path, folders: &[String], found: &[Found]) -> Result<(), Error> {
    if let Some((folder, found)) = folders.iter().zip(found).find(|(_, found)| found.pictures.is_empty()) {
        return Err(nothing(root.join(folder), &found.ignored));
    }
    if let [only] = folders {
        return Err(one_class(root.to_owned(), only));
    }
    let inner: Vec<BTreeSet<&str>> = found.iter().map(inner_folders).collect();
    let classes: BTreeSet<&str> = folders.iter().map(String::as_str).collect();
    let again = folders.iter().zip(&inner).find(|(_, inner)| inner.intersection(&classes).count() > 1);
    if let Some((folder, _)) = again {
        return Err(Error::Unrecognised {
            folder: root.to_owned(),
            expected: "a folder for each class".to_owned(),
            found: format!("`{folder}`, which holds folders of the same names as those beside it: move it away"),
        });
    }
    let mut holders: BTreeMap<&str, usize> = BTreeMap::new();
    inner.iter().flatten().for_each(|name| *holders.entry(name).or_default() += 1);
    let shared: Vec<&str> = holders.into_iter().filter(|(_, count)| *count > 1).map(|(name, _)| name).collect();
    let pair = inner.iter().filter(|inner| shared.iter().filter(|name| inner.contains(**name)).count() > 1).count() > 1;
    if shared.len() > 1 && pair {
        return Err(Error::Unrecognised {
            folder: root.to_owned(),
            expected: "a folder for each class".to_owned(),
            found: format!(
                "folders ({}) that hold folders of the same names ({}): if they are splits, call them train, val and test; \
                 otherwise name the one to use",
                some(folders),
                some(&shared)
            ),
        });
    }
    Ok(())
}

/// The error for pictures of one class, of which nothing can be learnt.
pub(crate) fn one_class(folder: PathBuf, class: &str) -> Error {
    Error::Unrecognised {
        folder,
        expected: "pictures of two classes or more, a folder for each".to_owned(),
        found: format!("those of `{}` alone", Line(class)),
    }
}

/// The folders right below a class that hold pictures.
fn inner_folders(found: &Found) -> BTreeSet<&str> {
    let inner = found.pictures.iter().filter_map(|path| {
        let mut parts = path.iter().skip(1);
        let inner = parts.next()?;
        parts.next()?;
        inner.to_str()
    });
    inner.collect()
}

/// What lies beside the folders of the classes.
fn count_beside(root: &Path, files: &[OsString], ignored: &mut Ignored) {
    let (pictures, others): (Vec<_>, Vec<_>) = files.iter().partition(|name| crate::decode::Codec::is_named(name));
    others.iter().for_each(|name| lists::count(name, ignored));
    if !pictures.is_empty() {
        let folder = root.file_name().unwrap_or(root.as_os_str());
        ignored.part(format!("{} pictures beside the classes in {}/", pictures.len(), Line(folder)));
    }
}
