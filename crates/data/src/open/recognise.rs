//! Which data set a folder holds, recognised by names.

use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::splits::{self, Branch, Named};
use super::{by_files, splits::Outcome};
use crate::error::Line;
use crate::format::cifar;
use crate::format::class_folders::one_class;
use crate::format::few_files::{FewFiles, has_ending};
use crate::format::listing::{Listing, holds_pictures, list, some, walk};
use crate::format::lists::{self, List, Table};
use crate::format::{numpy, packed, shards};
use crate::ignored::Ignored;
use crate::parts::{Parts, Split};
use crate::{Error, file};

/// The files of a data set, recognised by their names.
pub(super) enum Files {
    /// A few files of a format that knows their names.
    Few(FewFiles),
    /// A folder for each class, without folders for splits.
    Classes(PathBuf),
    /// Folders for splits, with a folder for each class in each.
    Folder {
        train: PathBuf,
        valid: Option<Branch>,
        test: Option<Branch>,
    },
    /// Tables of pictures, and the folder in which all lie.
    Listed(PathBuf, Parts<List>),
    Shards(Parts<Vec<PathBuf>>),
}

/// What was recognised, and what lies beside it.
pub(super) struct Found {
    pub(super) files: Files,
    pub(super) ignored: Ignored,
}

/// What looked nearly like a data set on the way.
#[derive(Default)]
struct Nearly {
    /// What spoke against it.
    reason: Option<Error>,
    /// Whether it was a table that names files.
    listed: bool,
}

/// More folders than this are classes; they are not looked into for data sets.
const MOST_FOLDERS: usize = 16;
/// How many levels of single folders are opened.
const DEPTH: usize = 6;

impl Found {
    /// The data set in a folder, or further down where official archives and people put it.
    pub(super) fn find(path: &Path) -> Result<Self, Error> {
        if !path.is_dir() {
            return Ok(Self { files: Files::single(path)?, ignored: Ignored::default() });
        }
        let mut nearly = Nearly::default();
        match Self::below(path, DEPTH, &mut nearly)? {
            Some(found) => Ok(found),
            None => Err(nearly.reason.map_or_else(|| unrecognised(path), Ok)?),
        }
    }

    /// The data set in a folder, or in the only folder there that holds pictures.
    fn below(path: &Path, depth: usize, nearly: &mut Nearly) -> Result<Option<Self>, Error> {
        let listing = list(path)?;
        if let Some(found) = Self::within(path, &listing, 2, nearly)? {
            return Ok(Some(found));
        }
        if let Some(found) = Self::listed(path, &listing, nearly)? {
            return Ok(Some(found));
        }
        let mut holders = Vec::new();
        for name in &listing.folders {
            if holds_pictures(&path.join(name))? {
                holders.push(name);
            }
            if holders.len() > 1 {
                let may_be_classes = !nearly.listed && splits::may_be_classes(&listing);
                return match nearly.reason.take() {
                    Some(reason) if !may_be_classes => Err(reason),
                    _ => Ok(Some(Self { files: Files::Classes(path.to_owned()), ignored: Ignored::default() })),
                };
            }
        }
        if let [only] = holders[..] {
            let inner = path.join(only);
            let inside = list(&inner)?;
            if inside.pictures().next().is_some() {
                return Err(nearly
                    .reason
                    .take()
                    .unwrap_or_else(|| one_class(path.to_owned(), &only.to_string_lossy())));
            }
            if depth > 0 {
                let found = Self::below(&inner, depth - 1, nearly)?;
                return found.map(|found| found.beside(path, &listing, &[only])).transpose();
            }
        }
        Self::archived(path, &listing)
    }

    /// The data set in this folder, or in one at most `depth` below it: one of few files, or in folders for its splits.
    fn within(folder: &Path, listing: &Listing, depth: usize, nearly: &mut Nearly) -> Result<Option<Self>, Error> {
        if let Some(files) = by_files::find(folder, listing)? {
            let used = &files.used;
            let mut ignored = Ignored::default();
            let others = listing.files.iter().filter(|name| !used.iter().any(|used| **used == ***name));
            others.for_each(|name| lists::count(name, &mut ignored));
            return Self { files: Files::Few(files), ignored }.with_folders(folder, listing, &[]).map(Some);
        }
        match splits::find(folder, listing)? {
            Outcome::Found(found) => {
                let (files, named, mut ignored) = *found;
                listing.files.iter().for_each(|name| lists::count(name, &mut ignored));
                let found = Self { files, ignored };
                return found.with_folders(folder, listing, &named.names()).map(Some);
            }
            Outcome::Nearly(error) => {
                nearly.reason = Some(error);
                return Ok(None);
            }
            Outcome::No => {}
        }
        if depth == 0 || listing.folders.len() > MOST_FOLDERS {
            return Ok(None);
        }
        let mut inner = Vec::new();
        for name in &listing.folders {
            let path = folder.join(name);
            if let Some(found) = Self::within(&path, &list(&path)?, depth - 1, nearly)? {
                inner.push((name, found));
            }
        }
        if inner.len() < 2 {
            let Some((name, found)) = inner.pop() else { return Ok(None) };
            *nearly = Nearly::default();
            return found.beside(folder, listing, &[name]).map(Some);
        }
        let folders: Vec<_> = inner.into_iter().map(|(name, _)| Line(name).to_string()).collect();
        Err(Error::Unrecognised {
            folder: folder.to_owned(),
            expected: "the files of one data set".to_owned(),
            found: format!("several data sets ({}): name one of these folders", folders.join(", ")),
        })
    }

    /// Tables of pictures in this folder.
    fn listed(folder: &Path, listing: &Listing, nearly: &mut Nearly) -> Result<Option<Self>, Error> {
        let mut ignored = Ignored::default();
        let mut found: [Option<List>; 3] = [None, None, None];
        for name in listing.file_names().filter(|name| lists::is_named(name)) {
            if name.to_lowercase().contains("submission") {
                ignored.part(format!("{} (an answer sheet)", Line(name)));
                continue;
            }
            match List::of(&folder.join(name))? {
                Table::List(list) => {
                    let place = &mut found[list.split().unwrap_or(Split::Train) as usize];
                    if let Some(other) = place {
                        let other = other.path().file_name().unwrap_or_default();
                        return Err(Error::Unrecognised {
                            folder: folder.to_owned(),
                            expected: "one list of pictures, or one for each split (train.csv, val.csv, test.csv)"
                                .to_owned(),
                            found: format!("{} and {}: move one away", Line(other), Line(name)),
                        });
                    }
                    *place = Some(list);
                }
                Table::Other { reason: why, names_files } => {
                    ignored.part(format!("{} (no list of pictures and labels)", Line(name)));
                    // Folders beside a table that names files are hardly classes.
                    nearly.listed |= names_files;
                    nearly.reason.get_or_insert(why);
                }
            }
        }
        if let [None, held, other] = &found {
            let Some(list) = held.as_ref().or(other.as_ref()) else { return Ok(None) };
            return Err(Error::Unrecognised {
                folder: folder.to_owned(),
                expected: "a list of the training images, such as train.csv".to_owned(),
                found: format!("only {}", Line(list.path().file_name().unwrap_or_default())),
            });
        }
        let parts = Parts::of(found);
        Ok(parts.map(|parts| Self { files: Files::Listed(folder.to_owned(), parts), ignored }))
    }

    /// Counts what lies in a folder beside the one in which the data set was found.
    fn beside(mut self, folder: &Path, listing: &Listing, used: &[&OsString]) -> Result<Self, Error> {
        listing.files.iter().for_each(|name| lists::count(name, &mut self.ignored));
        self.with_folders(folder, listing, used)
    }

    /// Names the folders that hold anything and are not used.
    fn with_folders(mut self, folder: &Path, listing: &Listing, used: &[&OsString]) -> Result<Self, Error> {
        self.ignored.add(listing.ignored.clone());
        for name in listing.folders.iter().filter(|name| !used.contains(name)) {
            // What is not used need not be in order.
            match walk(&folder.join(name), Path::new("")).map_or(0, |found| found.pictures.len()) {
                0 => self.ignored.part(format!("{}/", Line(name))),
                count => self.ignored.part(format!("{}/ ({count} pictures)", Line(name))),
            }
        }
        Ok(self)
    }

    /// What is used where there is nothing else: archives are often left beside what was unpacked from them.
    fn archived(folder: &Path, listing: &Listing) -> Result<Option<Self>, Error> {
        let names: Vec<_> = listing.file_names().map(str::to_owned).collect();
        let tars: Vec<_> = names.iter().filter(|name| has_ending(name, "tar")).cloned().collect();
        let mut ignored = listing.ignored.clone();
        if !tars.is_empty() {
            let parts = shards::by_split(folder, &tars)?;
            names.iter().filter(|name| !tars.contains(name)).for_each(|name| ignored.file(name.as_ref()));
            return Ok(Some(Self { files: Files::Shards(parts), ignored }));
        }
        let mut archives = names.iter().filter(|name| name.contains("cifar") && name.ends_with(".tar.gz"));
        match (archives.next(), archives.next()) {
            (Some(name), None) => {
                names.iter().filter(|other| *other != name).for_each(|name| ignored.file(name.as_ref()));
                Ok(Some(Self { files: Files::single(&folder.join(name))?, ignored }))
            }
            (Some(one), Some(two)) => Err(Error::Unrecognised {
                folder: folder.to_owned(),
                expected: "one data set".to_owned(),
                found: format!("several archives ({one}, {two}): name one of them"),
            }),
            _ => Ok(None),
        }
    }
}

impl Files {
    /// The data set in one file.
    fn single(path: &Path) -> Result<Self, Error> {
        let mut start = Vec::new();
        let file = file::open(path).map_err(Error::io("read", path))?;
        file.take(512).read_to_end(&mut start).map_err(Error::io("read", path))?;
        match &start[..] {
            bytes if bytes.starts_with(&packed::MAGIC) => Ok(Self::Few(packed::in_file(path))),
            [b'P', b'K', 3, 4, ..] => Ok(Self::Few(numpy::in_archive(path))),
            bytes if bytes.get(257..262) == Some(b"ustar") => Ok(Self::Shards(Parts::train(vec![path.to_owned()]))),
            [0x1f, 0x8b, ..] => match cifar::identify(path)? {
                Some((layout, version)) => Ok(Self::Few(cifar::in_archive(path, layout, version))),
                None => Err(Error::Unrecognised {
                    folder: path.to_owned(),
                    expected: "an official archive of CIFAR-10 or CIFAR-100".to_owned(),
                    found: "another .tar.gz: unpack it, and name the folder".to_owned(),
                }),
            },
            _ => Err(Error::Unrecognised {
                folder: path.to_owned(),
                expected: "a folder with a data set's files, or a packed file, .npz, .tar or CIFAR's .tar.gz"
                    .to_owned(),
                found: match path.file_name().and_then(|name| name.to_str()).is_some_and(lists::is_named) {
                    true => "a table: name the folder in which it lies with its pictures".to_owned(),
                    false => "another file".to_owned(),
                },
            }),
        }
    }
}

/// The error for a folder in which nothing is known, with what is there.
fn unrecognised(path: &Path) -> Result<Error, Error> {
    let listing = list(path)?;
    let found = match &listing.files[..] {
        [] if listing.folders.is_empty() => "no files".to_owned(),
        [] => {
            let held = walk(path, Path::new(""))?.ignored;
            format!("folders without a data set ({}) that hold {held}", some(&listing.folders))
        }
        files => format!("{} other files ({})", files.len(), some(files)),
    };
    let expected = "a folder of pictures for each class (also below train/ and val/), a list of pictures (.csv) with its \
                    pictures, a packed file (.mpd), tar files with KEY.jpg and KEY.cls, x_train.npy and y_train.npy or an \
                    .npz of such, or the files of MNIST (train-images-idx3-ubyte[.gz], ...), CIFAR (data_batch_1[.bin], ...), \
                    SVHN (train_32x32.mat, ...) or STL-10 (train_X.bin, ...)";
    Ok(Error::Unrecognised { folder: path.to_owned(), expected: expected.to_owned(), found })
}

impl Named {
    fn names(&self) -> Vec<&OsString> {
        self.iter().map(|(_, name)| name).collect()
    }
}
