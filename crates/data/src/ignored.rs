//! What lies with the images of a data set and is not used: nothing is left out in silence.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;

/// Endings and parts that are named in one line; the others are counted.
const NAMED: usize = 8;
/// The longest ending that is believed to be one.
const LONGEST: usize = 12;

/// What a data set's folder or file holds beside its images, counted and named. What systems leave behind in every folder
/// (`.DS_Store`, `__MACOSX`, `Thumbs.db`, `desktop.ini` and their like) counts as nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Ignored {
    /// Files that are no pictures by their names: how many of each ending, which is in lower case and has its dot. Files without
    /// one are `no ending`; what is hidden or no regular file is counted under these words.
    pub files: BTreeMap<String, usize>,
    /// Whole folders, files, arrays or columns, each with the reason: `test/ (3 pictures without labels)`.
    pub parts: Vec<String>,
}

impl Ignored {
    /// Whether everything is used.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.parts.is_empty()
    }

    /// Counts a file by its ending.
    pub(crate) fn file(&mut self, name: &OsStr) {
        self.count(&ending(name));
    }

    /// Takes back a file that is used after all.
    pub(crate) fn uncount(&mut self, name: &OsStr) {
        let ending = ending(name);
        if let Some(count) = self.files.get_mut(&ending) {
            *count -= 1;
            if *count == 0 {
                self.files.remove(&ending);
            }
        }
    }

    /// Counts a file under other words than its ending.
    pub(crate) fn count(&mut self, what: &str) {
        *self.files.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn part(&mut self, part: impl Into<String>) {
        self.parts.push(part.into());
    }

    /// Adds what lies elsewhere.
    pub fn add(&mut self, other: Self) {
        other.files.into_iter().for_each(|(ending, count)| *self.files.entry(ending).or_default() += count);
        self.parts.extend(other.parts);
    }
}

impl fmt::Display for Ignored {
    /// `20 .gif, 20 .tif, test/ (3 pictures without labels)`; `nothing`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut files: Vec<_> = self.files.iter().collect();
        files.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let mut all: Vec<String> = files.iter().map(|(ending, count)| format!("{count} {ending}")).collect();
        all.extend(self.parts.iter().cloned());
        if all.is_empty() {
            return f.write_str("nothing");
        }
        let more = all.len().saturating_sub(NAMED);
        all.truncate(NAMED);
        f.write_str(&all.join(", "))?;
        if more > 0 { write!(f, " and {more} more kinds") } else { Ok(()) }
    }
}

/// The ending of a file's name, as it is counted.
fn ending(name: &OsStr) -> String {
    let Some(name) = name.to_str() else { return "no ending".to_owned() };
    match name.rsplit_once('.') {
        Some((stem, ending)) if !stem.is_empty() && (1..=LONGEST).contains(&ending.len()) && is_word(ending) => {
            format!(".{}", ending.to_ascii_lowercase())
        }
        _ => "no ending".to_owned(),
    }
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a file or folder of this name is what a system or program leaves behind, and no part of any data set.
pub(crate) fn is_leftover(name: &OsStr) -> bool {
    const NAMES: [&str; 10] = [
        "__MACOSX",
        "Thumbs.db",
        "ehthumbs.db",
        "desktop.ini",
        "@eaDir",
        "lost+found",
        "$RECYCLE.BIN",
        "System Volume Information",
        "__pycache__",
        "Icon\r",
    ];
    // The second is what macOS leaves beside each file on foreign disks: `._cat.jpg` is no picture.
    const HIDDEN: [&str; 14] = [
        ".DS_Store",
        "._",
        ".git",
        ".ipynb_checkpoints",
        ".Trash",
        ".Spotlight-",
        ".fseventsd",
        ".AppleDouble",
        ".directory",
        ".thumbnails",
        ".cache",
        ".idea",
        ".vscode",
        ".nfs",
    ];
    let Some(name) = name.to_str() else { return name.as_encoded_bytes().starts_with(b"._") };
    NAMES.iter().any(|known| known.eq_ignore_ascii_case(name)) || HIDDEN.iter().any(|known| name.starts_with(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_by_their_endings() {
        let mut ignored = Ignored::default();
        for name in ["a.TIF", "b.tif", "c.gif", "README", "d.", "e.this is no ending", ".hidden"] {
            ignored.file(OsStr::new(name));
        }
        assert_eq!(ignored.to_string(), "4 no ending, 2 .tif, 1 .gif");
        ignored.part("test/ (3 pictures without labels)");
        assert_eq!(ignored.to_string(), "4 no ending, 2 .tif, 1 .gif, test/ (3 pictures without labels)");
        assert_eq!(
            serde_json::to_string(&ignored).unwrap(),
            r#"{"files":{".gif":1,".tif":2,"no ending":4},"parts":["test/ (3 pictures without labels)"]}"#
        );
        assert_eq!(Ignored::default().to_string(), "nothing");
    }

    #[test]
    fn many_kinds_stay_one_line() {
        let mut ignored = Ignored::default();
        (0..12).for_each(|number| ignored.file(OsStr::new(&format!("x.{number}"))));
        assert!(ignored.to_string().ends_with(", 1 .5 and 4 more kinds"), "{ignored}");
    }

    #[test]
    fn leftovers_of_systems_are_nothing() {
        for name in ["__MACOSX", "thumbs.db", "Desktop.ini", ".DS_Store", "._a.jpg", ".ipynb_checkpoints", "@eaDir"] {
            assert!(is_leftover(OsStr::new(name)), "{name}");
        }
        for name in ["cat", ".cat.jpg", "thumbs", "DS_Store", "macosx"] {
            assert!(!is_leftover(OsStr::new(name)), "{name}");
        }
    }
}
