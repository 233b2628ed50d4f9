//! The form before PyTorch 1.6: five pickles, then the storages, each as the count of its numbers and the numbers.

use std::collections::HashMap;

use mp_pickle::{Item, Pickle};

use super::storage::{Storage, Storages};
use super::{Fault, fault, is_known, shown};

/// The number that the first pickle is, 0x1950a86a20f9469cfc6c, the lowest byte first.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// The number that the second pickle is.
const PROTOCOL: i64 = 1001;

/// The bytes of each storage by its key.
pub(super) struct Plain<'a>(HashMap<&'a str, &'a [u8]>);

impl Storages for Plain<'_> {
    fn bytes(&self, key: &str) -> Result<&[u8], Fault> {
        let bytes = self.0.get(key).copied();
        bytes.ok_or_else(|| format!("is damaged: its storage `{}` is missing", shown(key)))
    }
}

/// The pickle that describes the tensors, and the storages.
pub(super) fn open(bytes: &[u8]) -> Result<(Pickle<'_>, Plain<'_>), Fault> {
    let next = |bytes| Pickle::parse_first(bytes, is_known).map_err(|error| fault(&error));
    let (magic, rest) = next(bytes)?;
    if magic.root().long() != Some(&MAGIC) {
        return Err(
            "is a Python pickle, but none that torch.save writes: expected PyTorch's number at its start".to_owned()
        );
    }
    let (protocol, rest) = next(rest)?;
    if protocol.root().int() != Some(PROTOCOL) {
        return Err(format!("is damaged, or of an unknown version of PyTorch: expected the protocol {PROTOCOL}"));
    }
    let (system, rest) = next(rest)?;
    if system.root().get("little_endian").and_then(Item::bool) != Some(true) {
        return Err("has its numbers' highest bytes first: write it anew on a common computer".to_owned());
    }
    let (pickle, rest) = next(rest)?;
    let (keys, mut rest) = next(rest)?;

    // How wide the numbers of each storage are stands only where tensors use it.
    let mut widths = HashMap::new();
    for item in pickle.persistent() {
        let storage = Storage::read(item)?;
        let width = storage.kind.elt_size_in_bytes();
        if widths.insert(storage.key, width).is_some_and(|before| before != width) {
            return Err(format!("is damaged: its storage `{}` is of two types", shown(storage.key)));
        }
    }
    let mut storages = HashMap::new();
    for key in keys.root().list().ok_or("is damaged: expected a list of storages")? {
        let key = key.text().ok_or("is damaged: expected the name of a storage")?;
        let width = widths.get(key).ok_or_else(|| format!("is damaged: nothing uses storage `{}`", shown(key)))?;
        let part = |bytes: usize| {
            rest.split_at_checked(bytes).ok_or_else(|| {
                let (key, found) = (shown(key), rest.len());
                format!("is cut short: expected {bytes} bytes for storage `{key}`, found {found}")
            })
        };
        let (count, _) = part(8)?;
        let count = count.iter().rev().fold(0_u64, |count, &byte| count << 8 | u64::from(byte));
        let length = usize::try_from(count).ok().and_then(|count| count.checked_mul(*width)?.checked_add(8));
        let length = length.ok_or_else(|| format!("is damaged: storage `{}` of {count} numbers", shown(key)))?;
        let (storage, after) = part(length)?;
        storages.insert(key, &storage[8..]);
        rest = after;
    }
    Ok((pickle, Plain(storages)))
}
