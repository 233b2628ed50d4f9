//! Our own format: all splits in one file that is mapped into memory, so that images of decoded pixels are used where they lie.
//!
//! The layout is documented in the book (`docs/src/data-formats.md`), and `tests/read_packed.py` reads it with NumPy. In
//! short: a header of 64 bytes, a JSON text with the names, an index with 24 bytes for each image, then the images.
//! All numbers are little-endian.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memmap2::Mmap;

use super::few_files::{FewFiles, has_ending, one_of};
use super::malformed;
use super::map::map;
use crate::error::{Line, is_printable};
use crate::fingerprint::Fingerprint;
use crate::image::all_rows;
use crate::open::lazy;
use crate::parts::{Parts, Split};
use crate::{Dataset, Error, Format, Image, ImageShape, ImageView, Rows, Splits, decode};

pub(crate) const MAGIC: [u8; 8] = *b"\x89MPD\r\n\x1a\n";
/// The version of files with validation images; those without are of version 1, which earlier releases read, too.
pub(crate) const VERSION: u32 = 2;
pub(crate) const HEADER: usize = 64;
pub(crate) const ENTRY: usize = 24;
/// Where the checksum of header, names and index stands; it counts as 0 in itself.
pub(crate) const CHECKSUM_AT: usize = 28;

/// The texts of a packed file.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Meta {
    /// The name of the data set that was packed.
    pub(crate) name: String,
    /// Class names, in label order.
    pub(crate) classes: Vec<String>,
    /// Channel means.
    pub(crate) mean: Vec<f32>,
    /// Channel deviations.
    pub(crate) std: Vec<f32>,
    /// The number of validation images, whose entries stand last in the index; always 0 in version 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) valid: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What stands before the images.
#[derive(Debug, PartialEq)]
pub(crate) struct Head {
    pub(crate) meta: Meta,
    /// The size of every image, if they are decoded.
    pub(crate) shape: Option<ImageShape>,
    pub(crate) train: usize,
    pub(crate) test: usize,
    pub(crate) valid: usize,
    /// Where the index begins.
    index: usize,
}

/// The place of one image.
pub(crate) struct Entry {
    pub(crate) offset: u64,
    pub(crate) length: u32,
    pub(crate) label: u32,
    pub(crate) checksum: u32,
}

impl Entry {
    pub(crate) fn to_bytes(&self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.length.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.label.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }
}

/// A number at a place that is known to be inside.
fn word(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |word| u32::from_le_bytes(*word))
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].first_chunk().map_or(0, |long| u64::from_le_bytes(*long))
}

/// The checksum of everything before the images, `before`, as if the field of the checksum were 0.
pub(crate) fn head_checksum(before: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(&before[..CHECKSUM_AT]);
    sum.update(&[0; 4]);
    sum.update(&before[CHECKSUM_AT + 4..]);
    sum.finalize()
}

impl Head {
    /// Reads and checks everything but the images themselves.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let fault = |offset: u64, expected: String, found: String| malformed(path, offset, expected, found);
        if bytes.len() < HEADER {
            return Err(fault(bytes.len() as u64, format!("a header of {HEADER} bytes"), "the end".to_owned()));
        }
        if bytes[..8] != MAGIC {
            return Err(fault(0, "the mark of a packed file".to_owned(), format!("{:02x?}", &bytes[..8])));
        }
        let version = word(bytes, 8);
        if !(1..=VERSION).contains(&version) {
            let expected =
                format!("version 1 to {VERSION} of the format: pack the images again, or use another release");
            return Err(fault(8, expected, format!("version {version}")));
        }
        let (train, test) = (long(bytes, 32), long(bytes, 40));
        let (meta_size, data) = (long(bytes, 48), long(bytes, 56));
        let index = (HEADER as u64).checked_add(meta_size).and_then(|end| end.checked_next_multiple_of(8));
        let fits = |index: u64, count: Option<u64>| {
            let end = count.and_then(|count| count.checked_mul(ENTRY as u64)).and_then(|size| size.checked_add(index));
            end.is_some_and(|end| end <= data && data <= bytes.len() as u64)
        };
        let count = train.checked_add(test);
        let Some(index) = index.filter(|&index| fits(index, count)) else {
            let expected =
                format!("names of {meta_size} bytes and an index of {train} + {test} images before byte {data}");
            return Err(fault(32, expected, format!("a file of {} bytes", bytes.len())));
        };
        let found = head_checksum(&bytes[..data as usize]);
        if found != word(bytes, CHECKSUM_AT) {
            let expected = format!("the checksum {:#010x} over all before byte {data}", word(bytes, CHECKSUM_AT));
            return Err(fault(CHECKSUM_AT as u64, expected, format!("{found:#010x}: the file is damaged")));
        }
        let text = &bytes[HEADER..HEADER + meta_size as usize];
        let meta: Meta = serde_json::from_slice(text)
            .map_err(|error| fault(HEADER as u64, "names as JSON".to_owned(), error.to_string()))?;
        if let Some(class) = meta.classes.iter().find(|class| !class.chars().all(is_printable)) {
            let expected = "names of classes without control characters".to_owned();
            return Err(fault(HEADER as u64, expected, Line(class).to_string()));
        }
        let valid = if version == 1 { 0 } else { meta.valid };
        if !fits(index, count.and_then(|count| count.checked_add(valid))) {
            let expected = format!("an index of {train} + {test} + {valid} images before byte {data}");
            return Err(fault(HEADER as u64, expected, format!("a file of {} bytes", bytes.len())));
        }
        let [height, width, channels] = [16, 20, 24].map(|at| word(bytes, at) as usize);
        let shape = match word(bytes, 12) {
            0 => Some(ImageShape { channels, height, width }),
            1 if channels == 3 => None,
            1 => return Err(fault(24, "3 channels".to_owned(), channels.to_string())),
            kind => return Err(fault(12, "0 for pixels or 1 for encoded pictures".to_owned(), kind.to_string())),
        };
        if shape.is_some_and(|shape| shape.is_empty() || u32::try_from(shape.len()).is_err()) {
            return Err(fault(16, "images of 1 byte to 4 GiB".to_owned(), format!("{height}x{width}x{channels}")));
        }
        if train == 0 {
            return Err(fault(32, "at least one training image".to_owned(), "none".to_owned()));
        }
        if [meta.mean.len(), meta.std.len()] != [channels; 2] {
            let expected = format!("means and deviations of {channels} channels");
            return Err(fault(HEADER as u64, expected, format!("{} and {}", meta.mean.len(), meta.std.len())));
        }
        let head = Self {
            meta,
            shape,
            train: train as usize,
            test: test as usize,
            valid: valid as usize,
            index: index as usize,
        };
        head.check_index(path, bytes, data)?;
        Ok(head)
    }

    /// Every image must lie behind the index, have the size of all, and a label with a class.
    fn check_index(&self, path: &Path, bytes: &[u8], data: u64) -> Result<(), Error> {
        for number in 0..self.len() {
            let (entry, at) = (self.entry(bytes, number), (self.index + number * ENTRY) as u64);
            let end = entry.offset.saturating_add(entry.length.into());
            if entry.offset < data || end > bytes.len() as u64 {
                let expected = format!("image {number} between byte {data} and the end of the file at {}", bytes.len());
                return Err(malformed(path, at, expected, format!("{} to {end}", entry.offset)));
            }
            if let Some(shape) = self.shape.filter(|shape| shape.len() as u64 != u64::from(entry.length)) {
                return Err(malformed(path, at + 8, format!("{} bytes for {shape}", shape.len()), entry.length));
            }
            if entry.label as usize >= self.meta.classes.len() {
                let expected = format!("a label below {}", self.meta.classes.len());
                return Err(malformed(path, at + 12, expected, entry.label));
            }
        }
        Ok(())
    }

    /// The number of images of all splits.
    fn len(&self) -> usize {
        self.train + self.test + self.valid
    }

    fn entry(&self, bytes: &[u8], number: usize) -> Entry {
        let at = self.index + number * ENTRY;
        Entry {
            offset: long(bytes, at),
            length: word(bytes, at + 8),
            label: word(bytes, at + 12),
            checksum: word(bytes, at + 16),
        }
    }
}

/// An open packed file, shared by its splits.
pub(crate) struct Packed {
    path: PathBuf,
    map: Mmap,
    pub(crate) head: Head,
    /// A bit for each image whose checksum has been found right.
    checked: Vec<AtomicU64>,
}

impl Packed {
    pub(crate) fn open(path: &Path) -> Result<Arc<Self>, Error> {
        let map = map(path)?;
        let head = Head::parse(path, &map)?;
        let checked = (0..head.len().div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(Arc::new(Self { path: path.to_owned(), map, head, checked }))
    }

    /// The bytes of an image, whose checksum is looked at when they are asked for the first time.
    fn record(&self, number: usize) -> Result<&[u8], Error> {
        let entry = self.head.entry(&self.map, number);
        let place = entry.offset as usize..(entry.offset as usize).saturating_add(entry.length as usize);
        // The index was checked, but the file may have changed since.
        let bytes = self.map.get(place).unwrap_or_default();
        if self.head.shape.is_some_and(|shape| shape.len() != bytes.len()) {
            return Err(malformed(&self.path, entry.offset, format!("image {number}"), "a file that has changed"));
        }
        let (checked, bit) = (&self.checked[number / 64], 1 << (number % 64));
        if checked.load(Ordering::Relaxed) & bit == 0 {
            let found = crc32fast::hash(bytes);
            if found != entry.checksum {
                let expected = format!("image {number} with the checksum {:#010x}", entry.checksum);
                let found = format!("{found:#010x}: the file is damaged, pack the images again");
                return Err(malformed(&self.path, entry.offset, expected, found));
            }
            checked.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(bytes)
    }
}

/// One split of a packed file.
pub(crate) struct PackedSplit {
    name: String,
    packed: Arc<Packed>,
    first: usize,
    count: usize,
}

impl PackedSplit {
    /// The images of each split that has any.
    pub(crate) fn parts(name: &str, packed: &Arc<Packed>) -> Parts<Self> {
        let Head { train, test, valid, .. } = packed.head;
        let part = |split: Split, first, count| Self {
            name: format!("{name}/{split}"),
            packed: Arc::clone(packed),
            first,
            count,
        };
        let held = |split, first, count| (count > 0).then(|| part(split, first, count));
        Parts {
            train: part(Split::Train, 0, train),
            valid: held(Split::Valid, train + test, valid),
            test: held(Split::Test, train, test),
        }
    }
}

impl Dataset for PackedSplit {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.count
    }

    fn channels(&self) -> usize {
        self.packed.head.shape.map_or(3, |shape| shape.channels)
    }

    fn shape(&self) -> Option<ImageShape> {
        self.packed.head.shape
    }

    fn classes(&self) -> &[String] {
        &self.packed.head.meta.classes
    }

    fn label(&self, index: usize) -> usize {
        assert!(index < self.count, "image {index} of {}", self.count);
        self.packed.head.entry(&self.packed.map, self.first + index).label as usize
    }

    /// Of the stored checksum over names and index, in which the checksum of every image stands.
    fn fingerprint(&self) -> Result<String, Error> {
        let mut fingerprint = Fingerprint::new("packed", self.classes());
        fingerprint.number(word(&self.packed.map, CHECKSUM_AT).into());
        [self.first, self.count].iter().for_each(|&number| fingerprint.number(number as u64));
        Ok(fingerprint.finish())
    }

    fn encoded<'a>(&'a self, index: usize, _buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, Error> {
        assert!(index < self.count, "image {index} of {}", self.count);
        match self.packed.head.shape {
            Some(_) => Ok(None),
            None => self.packed.record(self.first + index).map(Some),
        }
    }

    fn image<'a>(&'a self, index: usize, buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        self.first_rows(index, buffer, &all_rows)
    }

    fn first_rows<'a>(&'a self, index: usize, buffer: &'a mut Image, rows: Rows<'_>) -> Result<ImageView<'a>, Error> {
        assert!(index < self.count, "image {index} of {}", self.count);
        let bytes = self.packed.record(self.first + index)?;
        if let Some(shape) = self.packed.head.shape {
            return Ok(ImageView::new(shape, bytes));
        }
        decode::decode_rows(bytes, buffer, rows).map_err(|source| Error::Picture {
            path: self.packed.path.clone(),
            member: format!("image {index} of {}", self.name),
            source,
        })?;
        Ok(buffer.view())
    }
}

/// The packed file in a folder.
pub(crate) fn find(folder: &Path, names: &BTreeSet<String>) -> Result<Option<FewFiles>, Error> {
    let packed: Vec<_> = names.iter().filter(|name| has_ending(name, "mpd")).collect();
    match packed[..] {
        [] => Ok(None),
        [name] => Ok(Some(in_file(&folder.join(name)))),
        _ => Err(one_of(folder, &packed)),
    }
}

/// The data set in a packed file.
pub(crate) fn in_file(path: &Path) -> FewFiles {
    let used = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let path = path.to_owned();
    FewFiles::new(used, move |name, _, _| {
        let packed = Packed::open(&path)?;
        let Meta { mean, std, .. } = packed.head.meta.clone();
        Ok(Splits { mean, std, ..lazy(name, Format::Packed, PackedSplit::parts(name, &packed))? })
    })
}
