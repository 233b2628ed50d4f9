//! The files of a data set out of an archive that may be broken, or made to do harm.

mod tarball;
mod zipped;

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use super::cannot;
use crate::manifest::{Content, Limits};

/// What is taken out of an archive.
#[derive(Clone, Copy)]
pub(super) enum Wanted<'a> {
    /// These files, at their known sizes; others are passed over.
    Files(&'a [Content]),
    /// Every file.
    Everything,
}

/// Writes what is wanted, which lies in `folder` of the archive, into `ready`, and reports the bytes that are written.
///
/// An archive is refused as a whole at the first entry that is neither a file nor a folder, that leads outside, or that
/// exceeds the limits. As no link is ever made, no file can be written through one.
pub(super) fn unpack(
    archive: &Path,
    folder: &Path,
    wanted: Wanted<'_>,
    limits: Limits,
    ready: &Path,
    report: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let read = || cannot("unpack", archive);
    let mut file = File::open(archive).map_err(read())?;
    let mut magic = [0; 4];
    file.read_exact(&mut magic).map_err(read())?;
    let file = File::open(archive).map_err(read())?;
    let mut output = Output { folder, wanted, limits, left: limits, ready, written: 0, report };
    match magic {
        [0x1f, 0x8b, ..] => tarball::unpack(BufReader::new(file), &mut output),
        [b'P', b'K', ..] => zipped::unpack(BufReader::new(file), &mut output),
        _ => Err("it is neither a .tar.gz nor a .zip".to_owned()),
    }
    .map_err(|reason| format!("cannot unpack {}: {reason}", archive.display()))
}

/// What an entry of an archive is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Folder,
    /// A link, a device, a pipe.
    Other,
}

/// Where unpacked files go, and what guards it.
struct Output<'a> {
    folder: &'a Path,
    wanted: Wanted<'a>,
    limits: Limits,
    left: Limits,
    ready: &'a Path,
    written: u64,
    report: &'a mut dyn FnMut(u64),
}

impl Output<'_> {
    /// Takes an entry of `size` unpacked bytes, which `content` gives, and writes it if it is wanted.
    fn take(&mut self, name: &str, kind: Kind, size: u64, content: &mut dyn Read) -> Result<(), String> {
        let path = inside(Path::new(name))?;
        self.count(size)?;
        if kind == Kind::Other {
            return Err(format!("{name:?} is neither a file nor a folder"));
        }
        let Ok(path) = path.strip_prefix(self.folder) else { return Ok(()) };
        match (self.wanted, kind) {
            (Wanted::Files(_), Kind::Folder) => Ok(()),
            (Wanted::Files(files), _) => match files.iter().find(|file| is_called(path, &file.name)) {
                None => Ok(()),
                // What a compressed file holds is looked at once all files are here.
                Some(file) if file.bytes != size && path == Path::new(&file.name) => {
                    Err(format!("{name:?} has {size} bytes: expected {}", file.bytes))
                }
                Some(_) => self.write(path, size, content)?.sync_all().map_err(cannot("write", path)),
            },
            (Wanted::Everything, Kind::Folder) => self.create_folder(path),
            (Wanted::Everything, _) => {
                self.create_folder(path.parent().unwrap_or(Path::new("")))?;
                // Tens of thousands of small files, each waited for, would take longer than the download.
                self.write(path, size, content).map(drop)
            }
        }
    }

    /// Counts an entry against the limits, before a byte of it is unpacked.
    fn count(&mut self, size: u64) -> Result<(), String> {
        self.left.entries = self
            .left
            .entries
            .checked_sub(1)
            .ok_or_else(|| format!("it holds more than the expected {} entries", self.limits.entries))?;
        self.left.bytes = self
            .left
            .bytes
            .checked_sub(size)
            .ok_or_else(|| format!("it unpacks to more than the expected {} bytes", self.limits.bytes))?;
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> Result<(), String> {
        let path = self.ready.join(path);
        fs::create_dir_all(&path).map_err(cannot("create", &path))
    }

    /// Writes a file that is not there yet, and refuses content of another size than the entry promised.
    fn write(&mut self, path: &Path, size: u64, content: &mut dyn Read) -> Result<File, String> {
        let target = self.ready.join(path);
        let mut file = File::create_new(&target).map_err(cannot("create", &target))?;
        let written =
            io::copy(&mut content.take(size.saturating_add(1)), &mut file).map_err(cannot("write", &target))?;
        if written != size {
            let found = if written > size { "more".to_owned() } else { written.to_string() };
            return Err(format!("{:?} promises {size} bytes: found {found}", path.display().to_string()));
        }
        self.written += written;
        (self.report)(self.written);
        Ok(file)
    }
}

/// Whether a path is the name of a file, or that of the same file compressed.
fn is_called(path: &Path, name: &str) -> bool {
    path == Path::new(name) || path == Path::new(&format!("{name}.gz"))
}

/// The path without `.` components; one that leads out of the archive is refused.
fn inside(path: &Path) -> Result<PathBuf, String> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(format!("it holds {:?}, which leads outside", path.display().to_string()));
            }
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests;
