//! A file as memory.

use std::path::Path;

use memmap2::Mmap;

use crate::{Error, file};

/// Maps a whole file for reading.
#[allow(unsafe_code)]
pub(crate) fn map(path: &Path) -> Result<Mmap, Error> {
    let file = file::open(path).map_err(Error::io("read", path))?;
    // SAFETY: what is read from the map is never trusted to stay the same: lengths and places are checked whenever a slice is
    // taken, and pixels may have any value. Somebody who shortens the file while it is mapped ends the process with a
    // bus error, as with every program that maps files; the page on data formats says so.
    unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))
}
