//! The one error type of this crate.

use std::io;
use std::path::{Path, PathBuf};

/// What can go wrong between a recipe and a finished run; every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither a recipe in the binary nor a file has this name.
    #[error("no recipe named \"{name}\" and no such file; recipes: {}; or give the path of a .toml file", known.join(", "))]
    UnknownRecipe {
        /// What was asked for.
        name: String,
        /// The names of the embedded recipes.
        known: Vec<String>,
    },
    /// The text of a recipe is not TOML, or holds a key or a type that no recipe has.
    #[error("{origin}: {message}")]
    Recipe {
        /// Where the text stands: a file with line and column, or the `--set` argument.
        origin: String,
        /// What is wrong, with the valid keys where one is unknown.
        message: String,
    },
    /// A value of a recipe is out of its range.
    #[error("{key} is {value}, expected {expected}")]
    Invalid {
        /// The key, with its table: `train.epochs`.
        key: &'static str,
        /// The value as written.
        value: String,
        /// What would be accepted.
        expected: String,
    },
    /// A new run was to be written where one already lies.
    #[error("{} already holds a run ({found}): name another folder with --out, or continue it with --resume", path.display())]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// The file that shows it.
        found: &'static str,
    },
    /// A folder that should hold a run does not.
    #[error("{} holds no run: {missing} is missing; expected the folder that `mp-train train` printed", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// The first file that is missing.
        missing: &'static str,
    },
    /// A run cannot be continued under another recipe.
    #[error(
        "{}: the run was started with {key} = {stored}, not {asked}: drop the difference to continue it, or start a new run with --out",
        path.display()
    )]
    OtherRecipe {
        /// The run folder.
        path: PathBuf,
        /// The first key that differs.
        key: String,
        /// Its value in the run folder.
        stored: String,
        /// The value asked for.
        asked: String,
    },
    /// A file of a run folder cannot be understood.
    #[error("{}: {message}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong and what was expected.
        message: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done: "write", "create".
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The report's template does not fit its data: a fault of this crate.
    #[error("cannot render the report")]
    Report(#[from] minijinja::Error),
}

impl Error {
    /// Wraps an I/O error with what was being done to which path; for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}
