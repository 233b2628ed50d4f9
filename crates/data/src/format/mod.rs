//! The file formats: each turns bytes into labels and `[B, H, W, C]` pixels, or says exactly what is wrong with them.

pub(crate) mod cifar;
pub(crate) mod digits;
pub(crate) mod idx;

use std::path::Path;

use crate::{Error, ImageShape};

/// The formats a data set can be stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Format {
    /// The embedded digits: records of one label byte and 64 grey levels from 0 to 16.
    Digits,
    /// Four IDX files (the format of MNIST), each plain or compressed with gzip.
    Idx,
    /// Six CIFAR-10 binary files: records of one label byte and 3,072 bytes of pixels.
    Cifar10,
    /// Two CIFAR-100 binary files: records of a coarse and a fine label byte and 3,072 bytes of pixels.
    Cifar100,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Digits => "embedded digits",
            Self::Idx => "IDX",
            Self::Cifar10 => "CIFAR-10 binary",
            Self::Cifar100 => "CIFAR-100 binary",
        })
    }
}

/// The images of one split as they come out of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Raw {
    pub(crate) shape: ImageShape,
    pub(crate) labels: Vec<u8>,
    pub(crate) pixels: Vec<u8>,
}

/// A [`Error::Format`] in few words.
pub(crate) fn malformed(path: &Path, offset: u64, expected: impl Into<String>, found: impl std::fmt::Display) -> Error {
    Error::Format { path: path.to_owned(), offset, expected: expected.into(), found: found.to_string() }
}
