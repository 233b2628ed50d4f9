//! Whole files: written so that their final name never shows half of one.
//!
//! A file is written as a [`Draft`] beside its place, brought to the disk, and only then given its name. A process that is
//! killed in between leaves the draft, under a name that follows from the file's own: the next draft of the same file takes
//! its place, and [`remove_leftovers`] clears a folder of them.
//!
//! What is read as a file is [`open`]ed as one: a pipe or a device in its place is refused at once.
//!
//! ```
//! use mp_files::{Existing, write};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("notes.txt");
//! write(&path, b"one", Existing::Keep)?;
//! assert!(write(&path, b"two", Existing::Keep).is_err()); // it is there already
//! write(&path, b"two", Existing::Replace)?;
//! assert_eq!(std::fs::read(&path)?, b"two");
//! # Ok::<(), std::io::Error>(())
//! ```

mod draft;
mod leftovers;
mod regular;
mod same;

use std::io::{self, Write};
use std::path::Path;

pub use draft::Draft;
pub use leftovers::remove_leftovers;
pub use regular::{open, read};
pub use same::{is_at, is_same};

/// Whether a file that is already there may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Replace it.
    Replace,
    /// Leave it and fail with [`io::ErrorKind::AlreadyExists`].
    Keep,
}

/// Writes `bytes` under `path`: into a draft beside it, to the disk, then under its name.
///
/// # Errors
/// The system's; an earlier file of that name is then as it was.
pub fn write(path: &Path, bytes: &[u8], existing: Existing) -> io::Result<()> {
    let mut draft = Draft::beside(path)?;
    draft.write_all(bytes)?;
    draft.publish(existing)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_or_keeps_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write(&path, b"one", Existing::Keep).unwrap();
        write(&path, b"two", Existing::Replace).unwrap();
        assert_eq!(write(&path, b"three", Existing::Keep).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut draft = Draft::beside(&folder.path().join("a.txt")).unwrap();
        draft.write_all(b"half").unwrap();
        assert_eq!(names(folder.path()), [".a.txt.writing"]);
        drop(draft);
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn what_a_killed_process_left_is_replaced_by_the_next_write() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".a.txt.writing"), "half of something much longer than what follows").unwrap();
        write(&folder.path().join("a.txt"), b"whole", Existing::Replace).unwrap();
        assert_eq!(names(folder.path()), ["a.txt"]);
        assert_eq!(fs::read(folder.path().join("a.txt")).unwrap(), b"whole");
    }

    #[test]
    fn writers_of_one_file_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        let text = |writer: u8| vec![b'a' + writer; 100_000];
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let (path, text) = (&path, text(writer));
                scope.spawn(move || (0..20).for_each(|_| write(path, &text, Existing::Replace).unwrap()));
            }
        });
        let found = fs::read(&path).unwrap();
        assert!((0..4).any(|writer| found == text(writer)), "a mixture of two writers");
        assert_eq!(names(folder.path()), ["a.txt"]);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_in_the_drafts_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a.txt"), folder.path().join("other"));
        fs::write(&other, "mine").unwrap();
        std::os::unix::fs::symlink(&other, folder.path().join(".a.txt.writing")).unwrap();
        write(&path, b"whole", Existing::Replace).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"mine");
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    /// What a plain file gets, whatever the umask of this process is.
    #[cfg(unix)]
    #[test]
    fn permissions_are_those_of_a_plain_file() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        fs::write(folder.path().join("plain"), "").unwrap();
        write(&folder.path().join("whole"), b"", Existing::Keep).unwrap();
        write(&folder.path().join("whole"), b"again", Existing::Replace).unwrap();
        assert_eq!(mode("whole"), mode("plain"));
    }

    #[test]
    fn a_name_as_long_as_the_system_allows_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n".repeat(255));
        write(&path, b"whole", Existing::Keep).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&folder.path().join("none/a.txt"), b"", Existing::Replace).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
