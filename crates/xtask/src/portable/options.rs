//! What `cargo xtask portable` is asked for.

use std::path::PathBuf;

use super::pytorch::{KNOWN, Pytorch};
use super::site::PYTHON_TAGS;
use crate::failure::Failure;

const TAKES: &str = "--torch VERSION, --python-tag TAG, --site DIR, --work DIR, --out FILE, --xz and --test";

/// The options after `portable`. Paths are absolute.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// The PyTorch of the other machine, if it is named.
    pub(super) torch: Option<&'static Pytorch>,
    /// The Python whose wheel is fetched. Only the wheel depends on it: no library of Python's is linked.
    pub(super) python_tag: String,
    /// An unpacked PyTorch, in place of one that is fetched.
    pub(super) site: Option<PathBuf>,
    /// The folder for everything that is built.
    pub(super) work: Option<PathBuf>,
    /// The binary.
    pub(super) out: Option<PathBuf>,
    /// Whether it is compressed too.
    pub(super) xz: bool,
    /// Whether tests run against that PyTorch first.
    pub(super) test: bool,
}

impl Options {
    /// Reads the arguments after `portable`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            torch: None,
            python_tag: "cp312".to_owned(),
            site: None,
            work: None,
            out: None,
            xz: false,
            test: false,
        };
        let mut tag_is_given = false;
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = |expected: &str| {
                rest.next().ok_or_else(|| Failure::setup(format!("`{argument}` has no value, expected {expected}")))
            };
            match argument.as_str() {
                "--torch" => options.torch = Some(torch(value(&Pytorch::names())?)?),
                "--python-tag" => {
                    options.python_tag = python_tag(value(&format!("one of {}", PYTHON_TAGS.join(", ")))?)?;
                    tag_is_given = true;
                }
                "--site" => options.site = Some(path(value("a site-packages folder")?)?),
                "--work" => options.work = Some(path(value("a folder")?)?),
                "--out" => options.out = Some(path(value("a file")?)?),
                "--xz" => options.xz = true,
                "--test" => options.test = true,
                _ => {
                    return Err(Failure::setup(format!("`cargo xtask portable` takes {TAKES}, found `{argument}`")));
                }
            }
        }
        if tag_is_given && options.site.is_some() {
            return Err(Failure::setup("--python-tag says which wheel is fetched, and with --site none is: drop one"));
        }
        Ok(options)
    }

    /// The PyTorch that is fetched: as asked, or the workspace's own.
    pub(super) fn pytorch(&self) -> &'static Pytorch {
        self.torch.unwrap_or(&KNOWN[KNOWN.len() - 1])
    }
}

fn torch(text: &str) -> Result<&'static Pytorch, Failure> {
    Pytorch::find(text).ok_or_else(|| {
        Failure::setup(format!("--torch is `{text}`, expected {}: tch is known for these", Pytorch::names()))
    })
}

fn python_tag(text: &str) -> Result<String, Failure> {
    match PYTHON_TAGS.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(Failure::setup(format!("--python-tag is `{text}`, expected one of {}", PYTHON_TAGS.join(", ")))),
    }
}

/// Commands run in other folders than the user does.
fn path(text: &str) -> Result<PathBuf, Failure> {
    std::path::absolute(text).map_err(|error| Failure::setup(format!("`{text}` names no file or folder: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, Failure> {
        Options::parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_has_to_be_said() {
        let options = parse("").expect("defaults");
        assert_eq!((options.pytorch().short, options.python_tag.as_str()), ("2.13", "cp312"));
        assert_eq!((options.torch, options.site, options.xz, options.test), (None, None, false, false));
    }

    #[test]
    fn options_are_read_in_any_order_and_paths_are_absolute() {
        let options = parse("--xz --out /a/mp --torch 2.11 --test --work here").expect("options");
        assert_eq!(options.torch, Pytorch::find("2.11"));
        assert_eq!(options.out, Some(PathBuf::from("/a/mp")));
        assert_eq!(options.work, Some(std::env::current_dir().expect("a folder").join("here")));
        assert!(options.xz && options.test);
        assert_eq!(parse("--python-tag cp310").expect("a tag").python_tag, "cp310");
    }

    #[test]
    fn other_options_are_refused_in_one_line() {
        for (line, message) in [
            ("--torch 2.12", "--torch is `2.12`, expected 2.11 or 2.13: tch is known for these"),
            ("--torch", "`--torch` has no value, expected 2.11 or 2.13"),
            ("--python-tag 3.12", "--python-tag is `3.12`, expected one of cp310, cp311, cp312, cp313, cp314"),
            (
                "--site / --python-tag cp312",
                "--python-tag says which wheel is fetched, and with --site none is: drop one",
            ),
            (
                "--zx",
                "`cargo xtask portable` takes --torch VERSION, --python-tag TAG, --site DIR, --work DIR, --out FILE, --xz and --test, found `--zx`",
            ),
            ("--out ", "`--out` has no value, expected a file"),
        ] {
            assert_eq!(parse(line), Err(Failure::setup(message)));
        }
    }
}
