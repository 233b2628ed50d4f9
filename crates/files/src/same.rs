//! Which names lead to one file.

use std::fs::{File, Metadata};
use std::path::Path;

/// Whether `path` itself, no link on it followed, is a name of the open `file`. Where a system numbers no files, any file
/// there counts.
pub fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(file), Ok(there)) = (file.metadata(), path.symlink_metadata()) else { return false };
    is_one(&file, &there).unwrap_or(true)
}

/// Whether both paths lead to one file, links followed. Where a system numbers no files, none do.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let (Ok(one), Ok(other)) = (one.metadata(), other.metadata()) else { return false };
    is_one(&one, &other).unwrap_or(false)
}

#[cfg(unix)]
fn is_one(one: &Metadata, other: &Metadata) -> Option<bool> {
    use std::os::unix::fs::MetadataExt;
    Some((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

#[cfg(not(unix))]
fn is_one(_one: &Metadata, _other: &Metadata) -> Option<bool> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_second_name_is_one_file_and_a_link_only_leads_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("a"), "x").unwrap();
        fs::hard_link(path("a"), path("twin")).unwrap();
        std::os::unix::fs::symlink("a", path("link")).unwrap();
        fs::write(path("b"), "x").unwrap();
        let file = File::open(path("a")).unwrap();
        assert_eq!(
            ["a", "twin", "link", "b", "none"].map(|name| is_at(&file, &path(name))),
            [true, true, false, false, false]
        );
        let same = |name: &str| is_same(&path("a"), &path(name));
        assert_eq!(["a", "twin", "link", "b", "none"].map(same), [true, true, true, false, false]);
        fs::remove_file(path("a")).unwrap();
        assert!(!is_at(&file, &path("a")));
    }
}
