//! What is in a folder: links are followed, files that systems leave behind are ignored, and all that are not pictures counted.

use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::decode::Codec;
use crate::error::Line;
use crate::ignored::{Ignored, is_leftover};

/// How deep pictures are looked for to find out whether a folder holds any.
const DEPTH: usize = 6;

/// What a folder holds, sorted.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) files: Vec<OsString>,
    pub(crate) folders: Vec<OsString>,
    /// Hidden pictures and folders, pipes and devices.
    pub(crate) ignored: Ignored,
}

impl Listing {
    pub(crate) fn pictures(&self) -> impl Iterator<Item = &OsString> {
        self.files.iter().filter(|name| Codec::is_named(name))
    }

    /// The names of the files that are text; one that is none is no name that is looked for.
    pub(crate) fn file_names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter_map(|name| name.to_str())
    }
}

/// Lists a folder, without asking for the state of each file: the directory says what is what, except for links.
pub(crate) fn list(folder: &Path) -> Result<Listing, Error> {
    let mut listing = Listing::default();
    for entry in folder.read_dir().map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        match kind(&entry, &mut listing.ignored)? {
            Kind::File => listing.files.push(entry.file_name()),
            Kind::Folder { .. } => listing.folders.push(entry.file_name()),
            Kind::Nothing => {}
        }
    }
    listing.files.sort_unstable();
    listing.folders.sort_unstable();
    Ok(listing)
}

/// What was found below a folder.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Pictures, as paths that begin with what was given as `below`; unsorted.
    pub(crate) pictures: Vec<Box<Path>>,
    pub(crate) ignored: Ignored,
}

/// Collects what lies in a folder, at any depth.
pub(crate) fn walk(folder: &Path, below: &Path) -> Result<Found, Error> {
    let mut found = Found::default();
    walk_into(folder, below, &mut Vec::new(), &mut found)?;
    Ok(found)
}

/// `links` are the real places of the folders whose links are being followed.
fn walk_into(folder: &Path, below: &Path, links: &mut Vec<PathBuf>, found: &mut Found) -> Result<(), Error> {
    for entry in folder.read_dir().map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let name = entry.file_name();
        match kind(&entry, &mut found.ignored)? {
            Kind::File if Codec::is_named(&name) => found.pictures.push(below.join(name).into_boxed_path()),
            Kind::File => found.ignored.file(&name),
            Kind::Nothing => {}
            Kind::Folder { linked: false } => walk_into(&folder.join(&name), &below.join(&name), links, found)?,
            Kind::Folder { linked: true } => {
                let path = folder.join(&name);
                let target = path.canonicalize().map_err(Error::io("read", &path))?;
                links.push(folder.canonicalize().map_err(Error::io("read", folder))?);
                if links.iter().any(|place| place.starts_with(&target)) {
                    return Err(Error::Unrecognised {
                        folder: path,
                        expected: "a folder of pictures".to_owned(),
                        found: format!("a link that leads back to {}", Line(&target)),
                    });
                }
                walk_into(&path, &below.join(&name), links, found)?;
                links.pop();
            }
        }
    }
    Ok(())
}

/// Whether there is a picture in a folder, or not too deep below it.
pub(crate) fn holds_pictures(folder: &Path) -> Result<bool, Error> {
    holds_within(folder, DEPTH)
}

fn holds_within(folder: &Path, depth: usize) -> Result<bool, Error> {
    let listing = list(folder)?;
    if listing.pictures().next().is_some() {
        return Ok(true);
    }
    if depth > 0 {
        for inner in &listing.folders {
            if holds_within(&folder.join(inner), depth - 1)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

pub(crate) enum Kind {
    File,
    Folder {
        linked: bool,
    },
    /// What is not looked at: leftovers; and, once they are counted, what is hidden, and pipes and devices, which one must
    /// not open: they may never answer.
    Nothing,
}

pub(crate) fn kind(entry: &DirEntry, ignored: &mut Ignored) -> Result<Kind, Error> {
    let name = entry.file_name();
    if is_leftover(&name) {
        return Ok(Kind::Nothing);
    }
    let read = || Error::io("read", entry.path());
    let direct = entry.file_type().map_err(read())?;
    if name.as_encoded_bytes().starts_with(b".") {
        if direct.is_dir() {
            ignored.part(format!("{}/ (hidden)", Line(&name)));
        } else if Codec::is_named(&name) {
            ignored.count("hidden");
        }
        return Ok(Kind::Nothing);
    }
    let linked = direct.is_symlink();
    let kind = match linked {
        false => direct,
        true => match fs::metadata(entry.path()) {
            Ok(target) => target.file_type(),
            // Reading it will say so, if anybody does.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kind::File),
            Err(error) => return Err(read()(error)),
        },
    };
    Ok(if kind.is_dir() {
        Kind::Folder { linked }
    } else if kind.is_file() {
        Kind::File
    } else {
        ignored.count("pipe or device");
        Kind::Nothing
    })
}

/// The first few of many names.
pub(crate) fn some<T: AsRef<std::ffi::OsStr>>(names: &[T]) -> String {
    let first: Vec<_> = names.iter().take(3).map(|name| Line(name).to_string()).collect();
    first.join(", ") + if names.len() > 3 { ", ..." } else { "" }
}
