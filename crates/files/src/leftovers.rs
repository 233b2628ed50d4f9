//! What killed processes leave behind.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::{fs, io};

/// How the names of drafts end.
const ENDING: &str = ".writing";

/// The greatest length of a name that a draft's name holds whole; with a dot and the ending it is below the usual limit of 255.
const LONGEST: usize = 240;

/// The name of the draft of `name`.
pub(crate) fn name_of(name: &OsStr) -> OsString {
    let mut draft = OsString::from(".");
    // Files with names that long share one place, and wait for each other there.
    draft.push(if name.len() <= LONGEST { name } else { OsStr::new("long-name") });
    draft.push(ENDING);
    draft
}

/// Whether a file of this name is a draft, of today's form or of those before: `.NAME.writing`, `.writing-RANDOM`, `.tmpRANDOM`.
fn is_draft(name: &str) -> bool {
    let is_random = |text: &str| text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    name.strip_prefix('.').is_some_and(|name| {
        name.strip_suffix(ENDING).is_some_and(|name| !name.is_empty())
            || ["writing-", "tmp"].iter().any(|prefix| name.strip_prefix(prefix).is_some_and(is_random))
    })
}

/// Removes the drafts in `folder`, and returns how many there were. Whoever calls must know that nobody is writing there.
///
/// # Errors
/// A folder that cannot be read, a file that cannot be removed.
pub fn remove_leftovers(folder: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_draft) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_of_every_form_go_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let drafts = [".last.safetensors.writing", ".recipe.toml.writing", ".tmpAb3dE9", ".writing-x1Y2z3"];
        let others = ["a.writing", ".writing", ".tmp", ".tmpfiles", ".tmp-notes", ".lock", "last.safetensors"];
        for name in drafts.iter().chain(&others) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        fs::create_dir(folder.path().join(".tmpFolder")).unwrap();
        fs::create_dir(folder.path().join(".tmpDirect")).unwrap();
        assert_eq!(remove_leftovers(folder.path()).unwrap(), drafts.len());
        assert!(others.iter().all(|name| folder.path().join(name).exists()));
        assert_eq!(remove_leftovers(folder.path()).unwrap(), 0);
    }

    #[test]
    fn a_drafts_name_follows_from_the_files() {
        assert_eq!(name_of(OsStr::new("a.txt")), OsStr::new(".a.txt.writing"));
        assert_eq!(name_of(OsStr::new(&"n".repeat(LONGEST))).len(), LONGEST + 9);
        assert_eq!(name_of(OsStr::new(&"n".repeat(LONGEST + 1))), OsStr::new(".long-name.writing"));
        assert!(is_draft(name_of(OsStr::new("a")).to_str().unwrap()));
    }
}
