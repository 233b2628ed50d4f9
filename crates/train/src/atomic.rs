//! Whole files, written so that their final name never shows half of one: [`mp_files`], with this crate's error.

use std::path::Path;

pub use mp_files::Existing;

use crate::Error;

/// Writes `bytes` under `path`: into a draft beside it, to the disk, then under its name.
///
/// # Errors
/// [`Error::Io`]; an earlier file of that name is then as it was.
pub fn write(path: &Path, bytes: &[u8], existing: Existing) -> Result<(), Error> {
    mp_files::write(path, bytes, existing).map_err(Error::io("write", path))
}
