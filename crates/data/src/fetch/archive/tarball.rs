//! `.tar.gz`.

use std::io::{BufRead, Read};

use flate2::bufread::MultiGzDecoder;
use tar::EntryType;

use super::{Kind, Output};

/// The longest name that is believed; Linux allows no longer path.
const LONGEST_NAME: u64 = 4096;

/// Hands over every entry.
///
/// Entries are read raw, because the `tar` crate would hold a long name in memory whatever its length.
pub(super) fn unpack(bytes: impl BufRead, output: &mut Output<'_>) -> Result<(), String> {
    let mut tar = tar::Archive::new(MultiGzDecoder::new(bytes));
    let mut long_name = None;
    for entry in tar.entries().map_err(|error| error.to_string())?.raw(true) {
        let mut entry = entry.map_err(|error| error.to_string())?;
        let size = entry.size();
        match entry.header().entry_type() {
            EntryType::GNULongName => long_name = Some(name(&extension(&mut entry, output)?)?),
            EntryType::XHeader => long_name = pax_name(&extension(&mut entry, output)?)?.or(long_name),
            // Neither names a file: the target of a link, which is refused, and comments on the whole archive.
            EntryType::GNULongLink | EntryType::XGlobalHeader => output.count(size)?,
            kind => {
                let short = || name(&entry.path_bytes());
                let name = long_name.take().map_or_else(short, Ok)?;
                let kind = match kind {
                    // Old archives have no mark of their own for folders.
                    EntryType::Regular | EntryType::Continuous if name.ends_with('/') && size == 0 => Kind::Folder,
                    EntryType::Regular | EntryType::Continuous => Kind::File,
                    EntryType::Directory => Kind::Folder,
                    _ => Kind::Other,
                };
                output.take(&name, kind, size, &mut entry)?;
            }
        }
    }
    Ok(())
}

/// What an entry says about the next one.
fn extension(entry: &mut tar::Entry<'_, impl Read>, output: &mut Output<'_>) -> Result<Vec<u8>, String> {
    output.count(entry.size())?;
    let mut bytes = Vec::new();
    entry.take(LONGEST_NAME + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    match bytes.len() as u64 {
        0..=LONGEST_NAME => Ok(bytes),
        _ => Err(format!("it holds a name of more than {LONGEST_NAME} bytes")),
    }
}

/// The `path` of a pax header.
fn pax_name(bytes: &[u8]) -> Result<Option<String>, String> {
    let mut path = None;
    for record in tar::PaxExtensions::new(bytes) {
        let record = record.map_err(|error| error.to_string())?;
        match record.key_bytes() {
            b"path" => path = Some(name(record.value_bytes())?),
            b"size" => return Err("it holds a file of more than 8 GiB".to_owned()),
            _ => {}
        }
    }
    Ok(path)
}

fn name(bytes: &[u8]) -> Result<String, String> {
    let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    match str::from_utf8(bytes) {
        Ok(name) => Ok(name.to_owned()),
        Err(_) => Err(format!("it holds a name that is not UTF-8: {:?}", String::from_utf8_lossy(bytes))),
    }
}
