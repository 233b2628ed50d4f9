//! The files of a data set out of a `.tar.gz`.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::GzDecoder;

use super::cannot;
use crate::manifest::Content;

/// Unpacked bytes that an archive may hold besides the wanted files.
const SLACK: u64 = 64 << 20;

/// Writes the wanted files, which lie in `folder` of the archive, into `ready`.
///
/// Only names from the manifest are ever written, at their known size, so an archive cannot place anything elsewhere; one that
/// tries (a path that leads outside, a link in place of a file) is refused as a whole.
pub(super) fn unpack(archive: &Path, folder: &Path, files: &[Content], ready: &Path) -> Result<(), String> {
    let read = || cannot("unpack", archive);
    let file = File::open(archive).map_err(read())?;
    let most = files.iter().map(|file| file.bytes).sum::<u64>() + SLACK;
    let mut tar = tar::Archive::new(GzDecoder::new(BufReader::new(file)).take(most));
    for entry in tar.entries().map_err(read())? {
        let mut entry = entry.map_err(read())?;
        let path = inside(&entry.path().map_err(read())?)?;
        let Ok(name) = path.strip_prefix(folder) else { continue };
        let Some(wanted) = files.iter().find(|file| Path::new(&file.name) == name) else { continue };
        if !entry.header().entry_type().is_file() {
            return Err(format!("{} in the archive is not a regular file", path.display()));
        }
        if entry.size() != wanted.bytes {
            return Err(format!(
                "{} in the archive has {} bytes: expected {}",
                path.display(),
                entry.size(),
                wanted.bytes
            ));
        }
        let target = ready.join(&wanted.name);
        let mut file = File::create_new(&target).map_err(cannot("create", &target))?;
        io::copy(&mut entry, &mut file).and_then(|_| file.sync_all()).map_err(cannot("write", &target))?;
    }
    Ok(())
}

/// The path without `.` components; one that leads out of the archive is refused.
fn inside(path: &Path) -> Result<PathBuf, String> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(format!("the archive holds {}, which leads outside", path.display()));
            }
        }
    }
    Ok(clean)
}
