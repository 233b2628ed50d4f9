//! The checkpoints that a run keeps, and where they are.

use std::path::{Path, PathBuf};

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Which {
    /// After the most accurate epoch.
    #[default]
    Best,
    /// After the last step that was saved.
    Last,
}

impl Which {
    /// Its file in a run folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Best => "checkpoints/best.safetensors",
            Self::Last => "checkpoints/last.safetensors",
        }
    }

    /// What the command line calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Last => "last",
        }
    }

    /// Where it is kept, among the checkpoints of `folder`.
    pub fn path(self, folder: &Path) -> PathBuf {
        match self {
            Self::Best => best(folder),
            Self::Last => last(folder),
        }
    }
}

/// Where the state after the last step is kept, among the checkpoints of `folder`.
pub fn last(folder: &Path) -> PathBuf {
    folder.join("last.safetensors")
}

/// Where the state after the most accurate epoch is kept.
pub fn best(folder: &Path) -> PathBuf {
    folder.join("best.safetensors")
}
