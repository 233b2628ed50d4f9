//! Data sets that consist of a few files with official or usual names.

use std::collections::BTreeSet;
use std::path::Path;

use crate::format::few_files::FewFiles;
use crate::format::listing::Listing;
use crate::{Error, Format};

/// The data set whose files are in a folder; one that is there in part is an error, none at all is `None`.
pub(super) fn find(folder: &Path, listing: &Listing) -> Result<Option<FewFiles>, Error> {
    let names: BTreeSet<String> = listing.file_names().map(str::to_owned).collect();
    let mut found: Vec<_> = Format::FINDERS.iter().filter_map(|find| find(folder, &names).transpose()).collect();
    if found.len() < 2 {
        return found.pop().transpose();
    }
    Err(Error::Unrecognised {
        folder: folder.to_owned(),
        expected: "the files of one data set".to_owned(),
        found: "files of several formats side by side".to_owned(),
    })
}
