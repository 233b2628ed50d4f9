//! Which images a network is judged by: what is asked for, and what a data set has for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which images are asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Split {
    /// Those that the run was validated on.
    #[default]
    Valid,
    /// The test images of the data set.
    Test,
}

/// Which images of a data set a network is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidSplit {
    /// The test images of the data set: it has no validation images, and none are kept aside.
    Test,
    /// The validation images of the data set.
    Valid,
    /// Training images kept aside: `data.holdout`.
    Holdout,
    /// All images of a data set without splits, which somebody else's network is judged by.
    All,
}

impl fmt::Display for ValidSplit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::Valid => "valid",
            Self::Holdout => "holdout",
            Self::All => "all",
        })
    }
}
