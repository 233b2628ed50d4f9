//! Everything that can go wrong with data, each said in one line.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::decode::DecodeError;

/// What failed, where, what was expected, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name is neither a known data set nor a folder.
    #[error("unknown data set `{name}`: {hint}")]
    UnknownName {
        /// What was asked for.
        name: String,
        /// The nearest known names, or all of them.
        hint: String,
    },

    /// A known data set that is in none of the folders where it could be.
    #[error("`{name}` is not downloaded (looked in {looked_in}): run `mp-train data fetch {name}`{here}")]
    NotFetched {
        /// The data set's name.
        name: String,
        /// The folders that were looked in.
        looked_in: String,
        /// What to write for the folder of this name that is right here, if one is.
        here: String,
    },

    /// A data set that is part of this crate and needs no download.
    #[error("`{name}` is built in: there is nothing to fetch, use it by its name")]
    BuiltIn {
        /// The data set's name.
        name: String,
    },

    /// A known data set that its owners give only to those who ask.
    #[error("`{name}` cannot be fetched: {how}")]
    ByHand {
        /// The data set's name.
        name: String,
        /// Where to get it, where to put it, and how it must lie there.
        how: String,
    },

    /// The operating system refused to read, write or start something.
    #[error("cannot {action} {}", Line(path))]
    Io {
        /// What was being done, as a verb: `read`, `write`, `rename`.
        action: &'static str,
        /// The file or folder it was done to.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },

    /// A file of the data set that is not there.
    #[error("{} is missing: expected {expected}", Line(path))]
    Missing {
        /// The file that was looked for.
        path: PathBuf,
        /// What it should hold.
        expected: String,
    },

    /// A folder whose files belong to no known format, or to several.
    #[error("{}: expected {expected}, found {}", Line(folder), Line(found))]
    Unrecognised {
        /// The folder that was looked at.
        folder: PathBuf,
        /// The file names that would have been recognised.
        expected: String,
        /// What is there instead.
        found: String,
    },

    /// Bytes that are not what the format says they must be.
    #[error("{}: byte {offset}: expected {expected}, found {}", Line(path), Line(found))]
    Format {
        /// The file.
        path: PathBuf,
        /// Where in the file (in its unpacked content, if it is compressed), from 0.
        offset: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A line of a list of pictures that cannot be used.
    #[error("{}: line {line}: expected {expected}, found {found}", Line(path))]
    List {
        /// The list.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },

    /// A picture that cannot be decoded.
    #[error("cannot decode {}{}{}", Line(path), if member.is_empty() { "" } else { ": " }, Line(member))]
    Picture {
        /// The file.
        path: PathBuf,
        /// Which picture of the file it is; empty if the file is the picture.
        member: String,
        /// What is wrong with it.
        source: DecodeError,
    },

    /// A setting that cannot work.
    #[error("{0}")]
    Config(String),

    /// A [`Dataset`](crate::Dataset) that contradicts itself: an image of another size, a label without a class.
    #[error("data set `{name}`: image {index}: expected {expected}, found {found}")]
    Inconsistent {
        /// The data set's name.
        name: String,
        /// The image's position.
        index: usize,
        /// What the data set promises.
        expected: String,
        /// What it gave.
        found: String,
    },

    /// So many images in a row cannot be read that something else must be wrong.
    #[error("data set `{name}`: {count} images in a row cannot be read, the first: {reason}")]
    AllDamaged {
        /// The data set's name.
        name: String,
        /// How many.
        count: usize,
        /// What is wrong with the first.
        reason: String,
    },

    /// The thread that prepares batches could not start or ended early.
    #[error("the loader's background thread stopped: {0}")]
    Worker(String),

    /// No source of a data set could be used.
    #[error("cannot fetch `{name}`: {attempts}; to do it by hand, put {wanted} into {}", Line(folder))]
    Fetch {
        /// The data set's name.
        name: String,
        /// Each source with the reason why it failed.
        attempts: String,
        /// The files that are needed.
        wanted: String,
        /// The folder they belong in.
        folder: PathBuf,
    },
}

impl Error {
    /// The error with its causes, as it is shown where no chain can be.
    pub fn on_one_line(&self) -> String {
        let causes = std::iter::successors(std::error::Error::source(self), |cause| cause.source());
        let text = causes.fold(self.to_string(), |text, cause| format!("{text}: {cause}"));
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// For `map_err`: `cannot ACTION PATH`, with the system's reason as the source.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}

/// A path, or text out of a file, as a part of a line: what would break the line, is not seen or turns the text around, or is not
/// UTF-8, is escaped, as `\n`, `\u{202e}` and `\xff`.
///
/// ```
/// assert_eq!(mp_data::Line("cat\u{202e}gpj.exe").to_string(), "cat\\u{202e}gpj.exe");
/// ```
pub struct Line<'a, T: ?Sized>(pub &'a T);

impl<T: AsRef<OsStr> + ?Sized> std::fmt::Display for Line<'_, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for chunk in self.0.as_ref().as_encoded_bytes().utf8_chunks() {
            for character in chunk.valid().chars() {
                match is_printable(character) {
                    true => write!(f, "{character}")?,
                    false => write!(f, "{}", character.escape_default())?,
                }
            }
            chunk.invalid().iter().try_for_each(|byte| write!(f, "\\x{byte:02x}"))?;
        }
        Ok(())
    }
}

/// Whether a character can be shown for what it is. Control characters cannot, nor can those that are not seen and change how
/// others are read: marks and overrides of the direction (Unicode's bidirectional algorithm, UAX #9), breaks, fillers, tags.
pub(crate) fn is_printable(character: char) -> bool {
    let unseen = matches!(
        character,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    );
    !character.is_control() && !unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_one_line_whatever_the_name() {
        let path = PathBuf::from("a\nb\tc\u{85}é");
        let error = Error::Missing { path, expected: "a file".to_owned() };
        assert_eq!(error.to_string(), "a\\nb\\tc\\u{85}é is missing: expected a file");
    }

    #[test]
    fn a_message_stays_one_line_whatever_a_file_holds() {
        let error = crate::format::malformed("a.tar".as_ref(), 0, "a number", "5]}\n\u{1b}");
        assert_eq!(error.to_string(), "a.tar: byte 0: expected a number, found 5]}\\n\\u{1b}");
    }

    #[test]
    fn what_is_not_seen_or_turns_text_around_is_shown() {
        for (text, shown) in [
            ("a\u{202e}gpj.exe", "a\\u{202e}gpj.exe"),
            ("\u{2066}x\u{2069}", "\\u{2066}x\\u{2069}"),
            ("\u{200e}\u{200f}\u{61c}\u{feff}", "\\u{200e}\\u{200f}\\u{61c}\\u{feff}"),
            ("ca\u{200b}t\u{2028}", "ca\\u{200b}t\\u{2028}"),
            // Letters of any script, joiners that Persian and emoji need, and combining marks are text.
            ("گربه\u{200c}ها 猫 e\u{301} 👩\u{200d}🔬", "گربه\u{200c}ها 猫 e\u{301} 👩\u{200d}🔬"),
        ] {
            assert_eq!(Line(text).to_string(), shown);
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_are_shown() {
        use std::os::unix::ffi::OsStrExt;
        let path = OsStr::from_bytes(b"caf\xe9.png");
        assert_eq!(Line(path).to_string(), "caf\\xe9.png");
    }
}
