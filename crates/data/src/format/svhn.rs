//! SVHN's cropped digits: MATLAB files (level 5) with the images `X`, `[32, 32, 3, N]`, and the labels `y`, `[N, 1]`, where 10 is
//! the digit 0.
//!
//! Layouts: <http://ufldl.stanford.edu/housenumbers/>, "Format 2", and MathWorks, "MAT-File Format", level 5. Of the latter this is
//! what such files need: little-endian numeric arrays, plain or compressed.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;

use super::few_files::{FewFiles, numbered, same_shape, whole};
use super::{Raw, malformed, push_columns};
use crate::open::splits;
use crate::parts::Parts;
use crate::{Error, Format, ImageShape, file};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
/// Deflate cannot expand a byte to more than this many (zlib manual, "Maximum expansion factor").
const MOST_EXPANSION: u64 = 1032;
/// Bytes that may follow an array, to fill up a multiple of eight.
const PADDING: u64 = 8;

/// Data types of elements.
const INT8: u32 = 1;
const UINT8: u32 = 2;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const DOUBLE: u32 = 9;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Reads one split.
pub(crate) fn find(folder: &Path, names: &BTreeSet<String>) -> Result<Option<FewFiles>, Error> {
    let wanted = ["train_32x32.mat", "test_32x32.mat"];
    let files = whole(folder, names, wanted, "SVHN's cropped digits")?;
    Ok(files.map(|[train_path, test_path]| {
        FewFiles::new(wanted, move |name, classes, _| {
            let (train, test) = (read(&train_path)?, read(&test_path)?);
            same_shape(&train_path, &train, &test_path, &test)?;
            splits(name, Format::Svhn, classes.unwrap_or_else(|| numbered(10)), Parts::tested(train, test))
        })
    }))
}

pub(crate) fn read(path: &Path) -> Result<Raw, Error> {
    parse(path, &file::read(path).map_err(Error::io("read", path))?)
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Raw, Error> {
    if bytes.len() < 128 || bytes[124..128] != [0, 1, b'I', b'M'] {
        let found = if bytes.len() < 128 { "the end" } else { "something else" };
        return Err(malformed(
            path,
            bytes.len().min(124) as u64,
            "the version and byte order of a MATLAB 5 file",
            found,
        ));
    }
    let (mut images, mut labels) = (None, None);
    let mut at = 128;
    while at < bytes.len() {
        let fault = |expected: &str| malformed(path, at as u64, expected, "something else, or the end");
        let (kind, size) = bytes.get(at..at + 8).map(tag).ok_or_else(|| fault("an element of 8 bytes or more"))?;
        let body = bytes.get(at + 8..).and_then(|rest| rest.get(..size as usize));
        let body = body.ok_or_else(|| fault(&format!("an element of {size} bytes")))?;
        let matrix = match kind {
            COMPRESSED => unpack(body),
            MATRIX => Matrix::read(&mut &body[..], body.len() as u64),
            _ => None,
        };
        let matrix = matrix.ok_or_else(|| fault("a numeric array of bytes or doubles"))?;
        match &matrix.name[..] {
            b"X" => images = Some((at, matrix)),
            b"y" => labels = Some((at, matrix)),
            _ => {}
        }
        at += 8 + size as usize;
    }
    let missing = |what: &str| malformed(path, bytes.len() as u64, format!("the array {what}"), "the end");
    let ((images_at, images), (labels_at, labels)) =
        (images.ok_or_else(|| missing("X"))?, labels.ok_or_else(|| missing("y"))?);
    let count = labels.values.len();
    if images.dimensions != [32, 32, 3, count as u32] || count == 0 {
        let expected = format!("images `X` of 32x32x3x{count}, one for each label, at least one");
        return Err(malformed(path, images_at as u64, expected, format!("{:?}", images.dimensions)));
    }
    if let Some(wrong) = labels.values.iter().find(|label| !(1..=10).contains(*label)) {
        return Err(malformed(path, labels_at as u64, "labels `y` from 1 to 10", wrong));
    }
    let mut pixels = Vec::with_capacity(images.values.len());
    images.values.chunks_exact(SHAPE.len()).for_each(|image| push_columns(image, SHAPE, &mut pixels));
    Ok(Raw { shape: SHAPE, labels: labels.values.iter().map(|&label| u32::from(label) % 10).collect(), pixels })
}

/// An array of numbers that are bytes, whatever they are stored as.
struct Matrix {
    name: Vec<u8>,
    dimensions: Vec<u32>,
    values: Vec<u8>,
}

/// The array in a compressed element.
fn unpack(body: &[u8]) -> Option<Matrix> {
    let most = (body.len() as u64).saturating_mul(MOST_EXPANSION);
    let mut bytes = ZlibDecoder::new(body);
    let (kind, size) = tag(&take(&mut bytes, 8)?);
    let matrix = (kind == MATRIX && u64::from(size) <= most).then(|| Matrix::read(&mut bytes, most))??;
    // The sum over the values comes after them; the decoder looks at it where they end.
    let rest = std::io::copy(&mut bytes.take(PADDING + 1), &mut std::io::sink()).ok()?;
    (rest <= PADDING).then_some(matrix)
}

impl Matrix {
    /// Reads the body of an array that has at most so many bytes; `None` if it is anything else.
    fn read(bytes: &mut dyn Read, most: u64) -> Option<Self> {
        let (UINT32, flags) = element(bytes, 8)? else { return None };
        let (INT32, sizes) = element(bytes, 64)? else { return None };
        let (INT8, name) = element(bytes, 64)? else { return None };
        if flags.len() != 8 {
            return None;
        }
        let dimensions: Vec<u32> =
            sizes.chunks_exact(4).map(|size| u32::from_le_bytes([size[0], size[1], size[2], size[3]])).collect();
        let count = dimensions.iter().try_fold(1, |product: u64, &size| product.checked_mul(size.into()))?;
        let (kind, stored) = element(bytes, most)?;
        let values = match kind {
            INT8 | UINT8 => stored,
            DOUBLE => stored.chunks_exact(8).map(byte_of_double).collect::<Option<_>>()?,
            _ => return None,
        };
        (values.len() as u64 == count).then_some(Self { name, dimensions, values })
    }
}

/// A double that is a whole number of one byte.
fn byte_of_double(bytes: &[u8]) -> Option<u8> {
    let value = f64::from_le_bytes(bytes.try_into().ok()?);
    (value.fract() == 0.0 && (0.0..=255.0).contains(&value)).then_some(value as u8)
}

/// Type and size of an element.
fn tag(bytes: &[u8]) -> (u32, u32) {
    let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    (word(0), word(4))
}

/// The type and the data of the next element, of at most so many bytes, without the padding to a multiple of eight.
fn element(bytes: &mut dyn Read, most: u64) -> Option<(u32, Vec<u8>)> {
    let start = take(bytes, 8)?;
    let (kind, size) = tag(&start);
    // Up to four bytes lie in the tag itself, whose upper half of the first word is then their number.
    if kind >> 16 != 0 {
        let size = (kind >> 16) as usize;
        return (size <= 4).then(|| (kind & 0xffff, start[4..4 + size].to_vec()));
    }
    let data = (u64::from(size) <= most).then(|| take(bytes, u64::from(size)))??;
    take(bytes, u64::from(size.wrapping_neg() % 8))?;
    Some((kind, data))
}

/// Exactly so many bytes; memory is taken for those that are there.
fn take(bytes: &mut dyn Read, count: u64) -> Option<Vec<u8>> {
    let mut taken = Vec::new();
    bytes.take(count).read_to_end(&mut taken).ok()?;
    (taken.len() as u64 == count).then_some(taken)
}

#[cfg(test)]
mod tests;
