//! The form since PyTorch 1.6: a zip archive, whose members are not compressed.

use std::collections::HashMap;
use std::io::Cursor;

use zip::{CompressionMethod, ZipArchive};

use super::storage::Storages;
use super::{Fault, shown};

/// What holds a network's code beside its tensors.
pub(super) const SCRIPT: &str =
    "is a TorchScript archive, which holds code: save the network's state_dict() with torch.save instead";

/// The members of an archive, none of which is copied.
pub(super) struct Archive<'a> {
    members: HashMap<String, &'a [u8]>,
    /// The folder in which all members lie, with its slash.
    folder: String,
}

impl<'a> Archive<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Fault> {
        let members = members(bytes)?;
        let folders: Vec<&str> = members.keys().filter_map(|name| name.strip_suffix("data.pkl")).collect();
        let folder = match folders[..] {
            [folder] if folder.is_empty() || folder.ends_with('/') => folder.to_owned(),
            [] => return Err("is a zip archive without data.pkl, which every file of PyTorch has".to_owned()),
            _ => return Err("is a zip archive with more than one data.pkl: expected one, as PyTorch writes".to_owned()),
        };
        let archive = Self { members, folder };
        if archive.find("constants.pkl").is_some() {
            return Err(SCRIPT.to_owned());
        }
        match archive.find("byteorder") {
            // Older files say nothing, and were written on the same computers.
            None | Some(b"little") => Ok(archive),
            Some(b"big") => Err("has its numbers' highest bytes first: write it anew on a common computer".to_owned()),
            Some(_) => Err("is damaged: its byte order is neither `little` nor `big`".to_owned()),
        }
    }

    /// The pickle that describes the tensors.
    pub(super) fn pickle(&self) -> Result<&'a [u8], Fault> {
        self.member("data.pkl")
    }

    fn find(&self, name: &str) -> Option<&'a [u8]> {
        self.members.get(&format!("{}{name}", self.folder)).copied()
    }

    fn member(&self, name: &str) -> Result<&'a [u8], Fault> {
        self.find(name).ok_or_else(|| format!("is damaged: its `{}` is missing", shown(name)))
    }
}

impl Storages for Archive<'_> {
    fn bytes(&self, key: &str) -> Result<&[u8], Fault> {
        self.member(&format!("data/{key}"))
    }
}

/// The members by their names, each as it was written.
fn members(bytes: &[u8]) -> Result<HashMap<String, &[u8]>, Fault> {
    let broken = |error: zip::result::ZipError| format!("is damaged or cut short: as a zip archive, {error}");
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(broken)?;
    let mut members = HashMap::new();
    let mut left = bytes.len();
    for number in 0..zip.len() {
        let member = zip.by_index_raw(number).map_err(broken)?;
        let name = member.name().map_err(broken)?.into_owned();
        let shown = shown(&name);
        if member.compression() != CompressionMethod::Stored || member.encrypted() {
            return Err(format!(
                "holds `{shown}` compressed, which PyTorch never does: unpack it and pack it as it is"
            ));
        }
        let content = || {
            let start = usize::try_from(member.data_start()?).ok()?;
            bytes.get(start..)?.get(..usize::try_from(member.size()).ok()?)
        };
        let content = content().ok_or_else(|| format!("is damaged or cut short: `{shown}` goes beyond its end"))?;
        // Or the time for their checksums would have no bounds.
        left = left.checked_sub(content.len()).ok_or("is damaged: its members overlap")?;
        // PyTorch writes 0 where it is told to compute none.
        if member.crc32() != 0 && crc32fast::hash(content) != member.crc32() {
            return Err(format!("is damaged: the checksum of its `{shown}` is wrong"));
        }
        members.insert(name, content);
    }
    Ok(members)
}
