//! The folders that this program writes to.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use serde::Serialize;

/// A folder, which need not be there yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// What lies in it, such as `data`.
    pub holds: String,
    /// Where it is.
    pub path: PathBuf,
    /// Whether it is there.
    pub exists: bool,
    /// Why nothing can be written there, if so.
    pub unwritable: Option<String>,
    /// Bytes of room on its file system.
    pub free: Option<u64>,
}

impl Folder {
    /// Looks at `path`; where it is not there yet, at the folder that it would be made in. Nothing is written.
    pub fn look(holds: &str, path: &Path) -> Self {
        // A name of no folder is one in the current folder.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let nearest = path.ancestors().find(|folder| folder.exists()).unwrap_or(&path).to_path_buf();
        Self {
            holds: holds.to_owned(),
            exists: path.exists(),
            unwritable: writable(&nearest).err().map(|error| error.to_string()),
            free: statvfs(&nearest).ok().map(|system| system.f_bavail.saturating_mul(system.f_frsize)),
            path,
        }
    }
}

fn writable(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return Err(io::Error::other(format!("{} is not a folder", folder.display())));
    }
    Ok(access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_judged_by_the_one_that_it_would_be_made_in() {
        let root = tempfile::tempdir().unwrap();
        let there = Folder::look("data", root.path());
        let absent = Folder::look("data", &root.path().join("a").join("b"));
        assert_eq!((there.exists, absent.exists), (true, false));
        assert_eq!((&there.unwritable, &absent.unwritable), (&None, &None));
        assert!(there.free.unwrap() > 0);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("data")] {
            let found = Folder::look("data", &path);
            assert_eq!(found.unwritable, Some(format!("{} is not a folder", file.display())));
        }
    }
}
