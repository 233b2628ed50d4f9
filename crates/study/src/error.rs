//! The one error type of this crate.

use std::path::{Path, PathBuf};

/// What can stand in the way of a study; every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The study's file is not what a study is.
    #[error("{}: {message}", path.display())]
    Study {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        message: String,
    },
    /// A file in the folder of a study does not belong there.
    #[error("{}: {message}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        message: String,
    },
    /// No size of a family costs what it should.
    #[error(transparent)]
    NoMatch(Box<NoMatch>),
    /// A run ended in a way that no run of a study may.
    #[error("run {id} failed: {reason}; its output is in {}", log.display())]
    Run {
        /// Which.
        id: String,
        /// The last line that it said.
        reason: String,
        /// All that it said.
        log: PathBuf,
    },
    /// Another process works on the study.
    #[error("{} is in use by another compare ({holder}): wait for it, or name another folder with --out", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Who has it.
        holder: String,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A page could not be made.
    #[error("cannot make the report: {0}")]
    Report(#[from] minijinja::Error),
    /// What the training library says.
    #[error(transparent)]
    Train(#[from] mp_train::Error),
    /// What the zoo says.
    #[error(transparent)]
    Zoo(#[from] mp_zoo::Error),
}

/// The size of a family that comes nearest, and is not near enough.
#[derive(Debug, thiserror::Error)]
#[error(
    "entrant `{entrant}`: no size of `{family}` comes within {tolerance}% of {to} by {by}: the nearest, `{nearest}`, has {ratio:.3} of it; \
     raise match.tolerance, or name a model"
)]
pub struct NoMatch {
    /// The entrant.
    pub entrant: String,
    /// Its family.
    pub family: String,
    /// What it is matched to.
    pub to: String,
    /// By which cost.
    pub by: &'static str,
    /// How far off it may be, in percent.
    pub tolerance: f64,
    /// The nearest model.
    pub nearest: String,
    /// Its cost over that of what it is matched to.
    pub ratio: f64,
}

impl Error {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    }

    pub(crate) fn study(path: &Path, message: impl Into<String>) -> Self {
        Error::Study { path: path.to_owned(), message: message.into() }
    }

    pub(crate) fn record(path: &Path, message: impl Into<String>) -> Self {
        Error::Record { path: path.to_owned(), message: message.into() }
    }
}
