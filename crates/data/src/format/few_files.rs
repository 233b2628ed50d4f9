//! Data sets that consist of a few files with official or usual names: what their formats share.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::listing::some;
use super::{Raw, malformed};
use crate::error::Line;
use crate::ignored::Ignored;
use crate::{Error, Splits};

/// Finds the data set of a format among the names of the files in a folder. One that is there in part is an error, none at all
/// is `None`.
pub(crate) type Finder = fn(&Path, &BTreeSet<String>) -> Result<Option<FewFiles>, Error>;

/// Reads what has to be read to open a data set of the given name; class names that are known are what labels are checked
/// against.
pub(crate) type Reader = Box<dyn FnOnce(&str, Option<Vec<String>>, &mut Ignored) -> Result<Splits, Error>>;

/// A data set of a few files.
pub(crate) struct FewFiles {
    /// The names of its files.
    pub(crate) used: Vec<String>,
    pub(crate) read: Reader,
}

impl FewFiles {
    /// A data set that `read` opens.
    pub(crate) fn new(
        used: impl IntoIterator<Item = impl Into<String>>,
        read: impl FnOnce(&str, Option<Vec<String>>, &mut Ignored) -> Result<Splits, Error> + 'static,
    ) -> Self {
        FewFiles { used: used.into_iter().map(Into::into).collect(), read: Box::new(read) }
    }
}

pub(crate) fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// All of `wanted` if one of them is there.
pub(crate) fn whole<const K: usize>(
    folder: &Path,
    names: &BTreeSet<String>,
    wanted: [&'static str; K],
    what: &str,
) -> Result<Option<[PathBuf; K]>, Error> {
    if !wanted.iter().any(|name| names.contains(*name)) {
        return Ok(None);
    }
    complete(folder, wanted.map(|name| names.get(name).cloned().ok_or(name)), what).map(Some)
}

/// The error for several files that are a data set each.
pub(crate) fn one_of(folder: &Path, names: &[&String]) -> Error {
    Error::Unrecognised {
        folder: folder.to_owned(),
        expected: "one data set".to_owned(),
        found: format!("several ({}): name one of these files", some(names)),
    }
}

/// Joins the names to the folder, or says which one is not there.
pub(crate) fn complete<const K: usize>(
    folder: &Path,
    names: [Result<String, &'static str>; K],
    expected: &str,
) -> Result<[PathBuf; K], Error> {
    if let Some(missing) = names.iter().find_map(|name| name.as_ref().err()) {
        return Err(Error::Missing { path: folder.join(missing), expected: expected.to_owned() });
    }
    Ok(names.map(|name| folder.join(name.unwrap_or_else(str::to_owned))))
}

/// Names for classes that have none.
pub(crate) fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|class| class.to_string()).collect()
}

pub(crate) fn same_shape(train_path: &Path, train: &Raw, test_path: &Path, test: &Raw) -> Result<(), Error> {
    if train.shape == test.shape {
        return Ok(());
    }
    let expected = format!("images of {}, as in {}", train.shape, Line(train_path));
    Err(malformed(test_path, 8, expected, test.shape))
}
