//! Storages: the plain rows of numbers that tensors look into.

use mp_pickle::{Item, Name};
use tch::Kind;

use super::{Fault, shown};

/// Where a file keeps the bytes of its storages.
pub(super) trait Storages {
    /// The bytes of a storage.
    fn bytes(&self, key: &str) -> Result<&[u8], Fault>;
}

/// What a pickle says of a storage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Storage<'a> {
    pub(super) key: &'a str,
    pub(super) kind: Kind,
    /// How many numbers the whole of it holds.
    pub(super) count: usize,
    /// The numbers of it that are meant, where files before PyTorch 0.4 mean a part: the first, and how many.
    part: Option<(usize, usize)>,
}

impl<'a> Storage<'a> {
    /// Reads `('storage', torch.FloatStorage, key, device, count)`, after which old files have `(key, first, count)` or None.
    pub(super) fn read(item: Item<'_, 'a>) -> Result<Self, Fault> {
        let storage = || {
            let parts: Vec<_> = item.persistent()?.tuple()?.collect();
            let [tag, class, key, _device, count, rest @ ..] = &parts[..] else { return None };
            let part = match rest.first() {
                Some(view) if !view.is_none() => {
                    let mut view = view.tuple()?.skip(1).map(size);
                    Some((view.next()??, view.next()??))
                }
                _ => None,
            };
            let kind = kind(class.name()?)?;
            (tag.text()? == "storage").then_some(Self { key: key.text()?, kind, count: size(*count)?, part })
        };
        storage().ok_or_else(|| format!("is damaged: expected a storage, found {}", item.kind()))
    }

    /// The bytes of the part that is meant.
    pub(super) fn bytes<'s>(&self, storages: &'s dyn Storages) -> Result<&'s [u8], Fault> {
        let bytes = storages.bytes(self.key)?;
        let width = self.kind.elt_size_in_bytes();
        if self.count.checked_mul(width).is_none_or(|said| said > bytes.len()) {
            let (key, count, kind) = (shown(self.key), self.count, self.kind);
            let found = bytes.len();
            return Err(format!(
                "is damaged or cut short: expected {count} numbers ({kind:?}) in storage `{key}`, found {found} bytes"
            ));
        }
        let (first, count) = self.part.unwrap_or((0, self.count));
        match first.checked_add(count) {
            Some(end) if end <= self.count => Ok(&bytes[first * width..end * width]),
            _ => Err(format!("is damaged: a part of storage `{}` lies beyond its end", shown(self.key))),
        }
    }
}

/// The type of numbers that a class of storages holds.
pub(super) fn kind(class: Name<'_>) -> Option<Kind> {
    if !matches!(class.module, "torch" | "torch.cuda") {
        return None;
    }
    match class.name {
        "FloatStorage" => Some(Kind::Float),
        "DoubleStorage" => Some(Kind::Double),
        "HalfStorage" => Some(Kind::Half),
        "BFloat16Storage" => Some(Kind::BFloat16),
        "LongStorage" => Some(Kind::Int64),
        "IntStorage" => Some(Kind::Int),
        "ShortStorage" => Some(Kind::Int16),
        "CharStorage" => Some(Kind::Int8),
        "ByteStorage" => Some(Kind::Uint8),
        "BoolStorage" => Some(Kind::Bool),
        _ => None,
    }
}

/// A whole number that is a size.
pub(super) fn size(item: Item<'_, '_>) -> Option<usize> {
    usize::try_from(item.int()?).ok()
}
