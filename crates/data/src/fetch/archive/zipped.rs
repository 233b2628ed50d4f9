//! `.zip`.

use std::io::{BufRead, Seek};

use super::{Kind, Output};

/// The part of a Unix mode that says what a file is.
const KIND_OF_FILE: u32 = 0o170_000;

/// Hands over every entry.
pub(super) fn unpack(bytes: impl BufRead + Seek, output: &mut Output<'_>) -> Result<(), String> {
    let mut zip = zip::ZipArchive::new(bytes).map_err(|error| error.to_string())?;
    for index in 0..zip.len() {
        let mut entry = zip.by_index(index).map_err(|error| error.to_string())?;
        let kind = match entry.unix_mode().map_or(0, |mode| mode & KIND_OF_FILE) {
            0 | 0o100_000 if entry.is_dir() => Kind::Folder,
            0 | 0o100_000 => Kind::File,
            0o040_000 => Kind::Folder,
            _ => Kind::Other,
        };
        let name = entry.name().map_err(|error| error.to_string())?.into_owned();
        let size = entry.size();
        output.take(&name, kind, size, &mut entry)?;
    }
    Ok(())
}
