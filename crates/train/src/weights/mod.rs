//! Weights of files, ours and public ones, and how a network starts from them.

mod fit;
mod heads;
mod upcycle;

use std::path::{Path, PathBuf};

use mp_nn::nearest::nearest;
use mp_zoo::schemes::{SCHEMES, Scheme, scheme};

pub use fit::Fit;
pub use upcycle::upcycle;

use crate::Error;

/// A file of weights: safetensors, or one of PyTorch's (`.pth`, `.pt`, `.th`), with the names under which they lie in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFile {
    path: PathBuf,
    scheme: Option<String>,
}

impl WeightFile {
    /// A file whose names are found by trying.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), scheme: None }
    }

    /// A file with the names of a [scheme](mp_zoo::schemes); an empty one is found by trying.
    ///
    /// # Errors
    /// [`Error::UnknownScheme`].
    pub fn under(path: impl Into<PathBuf>, scheme: &str) -> Result<Self, Error> {
        let named = (!scheme.is_empty()).then(|| find(scheme)).transpose()?;
        Ok(Self { path: path.into(), scheme: named.map(|scheme| scheme.name.to_owned()) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The scheme that was named.
    fn scheme(&self) -> Option<&'static Scheme> {
        self.scheme.as_deref().and_then(scheme)
    }
}

/// The scheme of a name.
///
/// # Errors
/// [`Error::UnknownScheme`] with the nearest names.
pub(crate) fn find(name: &str) -> Result<&'static Scheme, Error> {
    let all = || SCHEMES.iter().map(|scheme| scheme.name);
    scheme(name).ok_or_else(|| {
        let near = nearest(name, all(), 3);
        let hint = match near.is_empty() {
            true => format!("expected one of {}", all().collect::<Vec<_>>().join(", ")),
            false => format!("the nearest are {}", near.join(", ")),
        };
        Error::UnknownScheme { name: name.to_owned(), hint }
    })
}
