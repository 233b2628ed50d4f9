//! NumPy's arrays: `.npy` files, and `.npz` archives of them, with images and labels under their usual names.
//!
//! Layout: NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays".

use std::collections::{BTreeSet, HashMap};
use std::io::{BufReader, ErrorKind, Read, Seek};
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use super::few_files::{FewFiles, has_ending, numbered, one_of};
use super::{Raw, count_classes, malformed};
use crate::error::{Line, is_printable};
use crate::ignored::Ignored;
use crate::open::splits;
use crate::parts::Parts;
use crate::{Error, Format, ImageShape, Splits, file};

const MAGIC: &[u8] = b"\x93NUMPY";
/// No header of an array that is of use is longer.
const LONGEST_HEADER: u64 = 4096;

/// What images and labels may be called, in lower case; the first pair that is there is taken.
const TRAIN: [[&str; 2]; 6] = [
    ["x_train", "y_train"],
    ["train_images", "train_labels"],
    ["train_x", "train_y"],
    ["images", "labels"],
    ["x", "y"],
    ["data", "labels"],
];
/// The same for the validation images.
const VALID: [[&str; 2]; 5] = [
    ["x_val", "y_val"],
    ["val_images", "val_labels"],
    ["val_x", "val_y"],
    ["x_valid", "y_valid"],
    ["valid_images", "valid_labels"],
];
/// The same for the test images.
const TEST: [[&str; 2]; 3] = [["x_test", "y_test"], ["test_images", "test_labels"], ["test_x", "test_y"]];

/// The pairs of images and labels among `names`, in their own spelling; `None` without those of training images.
pub(crate) fn pairs<'a>(names: &[&'a str]) -> Option<Parts<[&'a str; 2]>> {
    let find = |wanted: &str| names.iter().copied().find(|name| name.eq_ignore_ascii_case(wanted));
    let pair = |pairs: &[[&str; 2]]| pairs.iter().find_map(|[images, labels]| Some([find(images)?, find(labels)?]));
    Parts::of([pair(&TRAIN), pair(&VALID), pair(&TEST)])
}

/// The images and labels of one split.
#[derive(Debug, PartialEq)]
pub(crate) struct Arrays {
    pub(crate) shape: ImageShape,
    pub(crate) pixels: Vec<u8>,
    pub(crate) labels: Labels,
    /// Where images and labels stand, for messages.
    pub(crate) places: [PathBuf; 2],
}

/// The class of each image.
#[derive(Debug, PartialEq)]
pub(crate) enum Labels {
    Numbers(Vec<u32>),
    Names(Vec<String>),
}

impl Labels {
    fn len(&self) -> usize {
        match self {
            Self::Numbers(labels) => labels.len(),
            Self::Names(labels) => labels.len(),
        }
    }
}

/// Reads two `.npy` files.
pub(crate) fn read_pair(images: &Path, labels: &Path) -> Result<Arrays, Error> {
    let open = |path: &Path| {
        let file = file::open(path).map_err(Error::io("read", path))?;
        Array::read(path, &mut BufReader::with_capacity(1 << 16, file))
    };
    assemble((images, open(images)?), (labels, open(labels)?))
}

/// Reads all splits of an `.npz` archive; what else is in it is named in `ignored`.
pub(crate) fn read_archive(path: &Path, ignored: &mut Ignored) -> Result<Parts<Arrays>, Error> {
    let file = file::open(path).map_err(Error::io("read", path))?;
    archive(path, BufReader::with_capacity(1 << 16, file), ignored)
}

fn archive(path: &Path, bytes: impl Read + Seek, ignored: &mut Ignored) -> Result<Parts<Arrays>, Error> {
    let damaged = |error: &dyn std::fmt::Display| malformed(path, 0, "an intact zip archive", error);
    let mut zip = ZipArchive::new(bytes).map_err(|error| damaged(&error))?;
    let members: Vec<String> = zip.file_names().filter_map(|name| Some(name.ok()?.into_owned())).collect();
    let names: Vec<&str> = members.iter().filter_map(|name| name.strip_suffix(".npy")).collect();
    let Some(pairs) = pairs(&names) else {
        let expected = TRAIN.map(|[images, labels]| format!("{images} and {labels}")).join(", ");
        let found = if names.is_empty() { "no arrays".to_owned() } else { Line(&names.join(", ")).to_string() };
        return Err(malformed(path, 0, format!("arrays called {expected}"), found));
    };
    let used: Vec<&str> = pairs.iter().flat_map(|(_, pair)| *pair).collect();
    let others = members.iter().map(|name| name.strip_suffix(".npy").unwrap_or(name));
    let others: Vec<_> = others.filter(|name| !used.contains(name)).map(|name| Line(name).to_string()).collect();
    if !others.is_empty() {
        let file = Line(path.file_name().unwrap_or_default()).to_string();
        ignored.part(format!("{} in {file}", others.join(", ")));
    }
    pairs.try_map(|_, pair| {
        let [images, labels] = pair.map(|name| {
            // Named in messages as a file of the archive.
            let place = PathBuf::from(format!("{}/{name}.npy", Line(path)));
            let mut member = zip.by_name(&format!("{name}.npy")).map_err(|error| damaged(&error))?;
            Ok((Array::read(&place, &mut member)?, place))
        });
        let ((images, image_place), (labels, label_place)) = (images?, labels?);
        assemble((&image_place, images), (&label_place, labels))
    })
}

/// An array as it is stored.
#[derive(Debug, PartialEq)]
pub(crate) struct Array {
    /// The type of its elements: byte order, kind, size.
    descr: String,
    /// Whether the first index is the fastest.
    fortran_order: bool,
    shape: Vec<usize>,
    /// Where the values begin, for messages.
    start: u64,
    values: Vec<u8>,
}

impl Array {
    /// Reads a `.npy` file; takes no more memory than there are bytes, whatever its header says.
    pub(crate) fn read(path: &Path, bytes: &mut impl Read) -> Result<Self, Error> {
        let mut take = |count: u64| {
            let mut taken = Vec::new();
            match bytes.take(count).read_to_end(&mut taken) {
                Ok(_) => Ok(taken),
                Err(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
                    Err(malformed(path, taken.len() as u64, "an intact array", error))
                }
                Err(error) => Err(Error::io("read", path)(error)),
            }
        };
        let start = take(8)?;
        if !start.starts_with(MAGIC) || start.len() < 8 {
            return Err(malformed(
                path,
                0,
                "the mark of a NumPy array",
                format!("{:02x?}", &start[..start.len().min(6)]),
            ));
        }
        let width = if start[6] == 1 { 2 } else { 4 };
        let length = take(width)?.iter().rev().fold(0, |length, &byte| length << 8 | u64::from(byte));
        if length > LONGEST_HEADER {
            return Err(malformed(path, 8, format!("a header of at most {LONGEST_HEADER} bytes"), length));
        }
        let header = take(length)?;
        let start = 8 + width + length;
        let text = String::from_utf8_lossy(&header);
        let (descr, fortran_order, shape) = describe(&text).ok_or_else(|| {
            let found = Line(text.trim()).to_string();
            malformed(path, 8 + width, "a header with descr, fortran_order and shape of a plain array", found)
        })?;
        if descr.starts_with("|O") {
            let expected = "numbers or text: save labels as numbers, or as text with .astype(str)";
            return Err(malformed(path, 8 + width, expected, "Python objects (dtype=object)"));
        }
        // The last digits of the type are the size of an element, in characters of four bytes where it is text.
        let size: Option<u64> = descr.get(2..).and_then(|digits| digits.parse().ok());
        let size = size.and_then(|size| if descr[1..].starts_with('U') { size.checked_mul(4) } else { Some(size) });
        let total = shape.iter().try_fold(size.unwrap_or(0), |total, &size| total.checked_mul(size as u64));
        let total = total.filter(|&total| total > 0 && total < u64::MAX).ok_or_else(|| {
            malformed(path, 8 + width, "at least one element of a known size", format!("{shape:?} of {descr}"))
        })?;
        let values = take(total + 1)?;
        match values.len() as u64 {
            found if found < total => {
                Err(malformed(path, start + found, format!("{total} bytes of values"), "the end"))
            }
            found if found > total => Err(malformed(path, start + total, "the end, as the header says", "more bytes")),
            _ => Ok(Self { descr, fortran_order, shape, start, values }),
        }
    }

    /// Pixels in `[B, H, W, C]` order.
    fn pixels(self, path: &Path) -> Result<(usize, ImageShape, Vec<u8>), Error> {
        if self.descr != "|u1" {
            return Err(malformed(path, 8, "images of bytes (uint8)", format!("elements of the type {}", self.descr)));
        }
        let strides = strides(&self.shape, self.fortran_order);
        let is_channels = |size: usize| matches!(size, 1 | 3 | 4);
        // Sizes and steps of [B, H, W, C].
        let order = match self.shape[..] {
            [_, _, _] => [0, 1, 2, usize::MAX],
            [_, _, _, last] if is_channels(last) => [0, 1, 2, 3],
            [_, first, _, _] if is_channels(first) => [0, 2, 3, 1],
            _ => {
                let expected = "images as [B, H, W], [B, H, W, C] or [B, C, H, W] with 1, 3 or 4 channels";
                return Err(malformed(path, 8, expected, format!("{:?}", self.shape)));
            }
        };
        let [count, height, width, channels] = order.map(|axis| self.shape.get(axis).copied().unwrap_or(1));
        let steps = order.map(|axis| strides.get(axis).copied().unwrap_or(1));
        let shape = ImageShape { channels, height, width };
        if steps == [shape.len(), width * channels, channels, 1] {
            return Ok((count, shape, self.values));
        }
        let mut pixels = Vec::with_capacity(self.values.len());
        for image in 0..count {
            for row in 0..height {
                for column in 0..width {
                    let at = image * steps[0] + row * steps[1] + column * steps[2];
                    pixels.extend((0..channels).map(|channel| self.values[at + channel * steps[3]]));
                }
            }
        }
        Ok((count, shape, pixels))
    }

    /// Labels, as `[B]` or `[B, 1]`: whole numbers of any type, or the names of classes.
    fn labels(&self, path: &Path) -> Result<Labels, Error> {
        if !matches!(self.shape[..], [_] | [_, 1]) {
            return Err(malformed(path, 8, "labels as [B] or [B, 1]", format!("{:?}", self.shape)));
        }
        let (order, kind) = self.descr.split_at(1);
        match kind.split_at(1) {
            ("S", _) => self.names(path, |bytes| str::from_utf8(bytes).ok().map(str::to_owned)).map(Labels::Names),
            ("U", _) => self.names(path, |bytes| utf32(bytes, order == ">")).map(Labels::Names),
            _ => self.numbers(path).map(Labels::Numbers),
        }
    }

    /// Texts of fixed length, filled up with zeros.
    fn names(&self, path: &Path, read: impl Fn(&[u8]) -> Option<String>) -> Result<Vec<String>, Error> {
        let count: usize = self.shape.iter().product();
        let size = self.values.len() / count;
        let name = |(index, bytes): (usize, &[u8])| {
            let name = read(bytes).map(|name| name.trim_end_matches('\0').to_owned());
            name.filter(|name| !name.is_empty() && name.chars().all(is_printable)).ok_or_else(|| {
                let found = format!("`{}`", bytes.escape_ascii());
                malformed(path, self.start + (index * size) as u64, "the name of a class", found)
            })
        };
        self.values.chunks_exact(size).enumerate().map(name).collect()
    }

    fn numbers(&self, path: &Path) -> Result<Vec<u32>, Error> {
        let (order, kind) = self.descr.split_at(1);
        let (big, size) = (order == ">", kind.get(1..).and_then(|size| size.parse::<usize>().ok()).unwrap_or(0));
        if !matches!(kind, "u1" | "u2" | "u4" | "u8" | "i1" | "i2" | "i4" | "i8") {
            let expected = "labels of whole numbers, or names of classes as text (dtype U or S)";
            return Err(malformed(path, 8, expected, format!("elements of the type {}", self.descr)));
        }
        let label = |(index, bytes): (usize, &[u8])| {
            let ordered = bytes.iter().rev();
            let read = |word: i128, &byte: &u8| word << 8 | i128::from(byte);
            let value = if big { bytes.iter().fold(0, read) } else { ordered.fold(0, read) };
            let value =
                if kind.starts_with('i') && value >> (8 * size - 1) == 1 { value - (1 << (8 * size)) } else { value };
            u32::try_from(value)
                .map_err(|_| malformed(path, self.start + (index * size) as u64, "a label from 0 to 4294967295", value))
        };
        self.values.chunks_exact(size).enumerate().map(label).collect()
    }
}

/// Text of four bytes a character.
fn utf32(bytes: &[u8], big: bool) -> Option<String> {
    let word = |word: &[u8; 4]| if big { u32::from_be_bytes(*word) } else { u32::from_le_bytes(*word) };
    bytes.as_chunks().0.iter().map(|bytes| char::from_u32(word(bytes))).collect()
}

fn assemble((image_path, images): (&Path, Array), (label_path, labels): (&Path, Array)) -> Result<Arrays, Error> {
    let (count, shape, pixels) = images.pixels(image_path)?;
    let labels = labels.labels(label_path)?;
    if labels.len() != count {
        let expected = format!("{count} labels, one for each image of {}", Line(image_path));
        return Err(malformed(label_path, 8, expected, labels.len()));
    }
    Ok(Arrays { shape, labels, pixels, places: [image_path.to_owned(), label_path.to_owned()] })
}

/// How many elements lie between neighbours along each axis.
fn strides(shape: &[usize], fortran_order: bool) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    let mut step = 1;
    let axes: Vec<usize> = if fortran_order { (0..shape.len()).collect() } else { (0..shape.len()).rev().collect() };
    for axis in axes {
        strides[axis] = step;
        step *= shape[axis];
    }
    strides
}

/// The three entries of a header, which is a dictionary as Python would print it.
fn describe(header: &str) -> Option<(String, bool, Vec<usize>)> {
    let after = |key: &str| {
        let quoted = [format!("'{key}'"), format!("\"{key}\"")];
        let rest = quoted.iter().find_map(|key| header.split_once(key.as_str()))?.1;
        Some(rest.trim_start().strip_prefix(':')?.trim_start())
    };
    let descr = after("descr")?;
    let quote = descr.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
    let (descr, _) = descr[1..].split_once(quote)?;
    let plain = (descr.len() >= 3 || descr == "|O") && descr.starts_with(['<', '>', '|', '=']) && descr.is_ascii();
    let fortran_order = match after("fortran_order")? {
        text if text.starts_with("True") => true,
        text if text.starts_with("False") => false,
        _ => return None,
    };
    let (shape, _) = after("shape")?.strip_prefix('(')?.split_once(')')?;
    let sizes = shape.split(',').map(str::trim).filter(|size| !size.is_empty());
    let shape = sizes.map(|size| size.trim_end_matches('L').parse().ok()).collect::<Option<Vec<usize>>>()?;
    plain.then(|| (descr.to_owned(), fortran_order, shape))
}

/// Pairs of `.npy` files, or one archive of them.
pub(crate) fn find(folder: &Path, names: &BTreeSet<String>) -> Result<Option<FewFiles>, Error> {
    let archives: Vec<_> = names.iter().filter(|name| has_ending(name, "npz")).collect();
    if let [name] = archives[..] {
        return Ok(Some(in_archive(&folder.join(name))));
    }
    let stems: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".npy")).collect();
    if let Some(pairs) = pairs(&stems) {
        let file = |stem: &str| format!("{stem}.npy");
        let used: Vec<String> = pairs.iter().flat_map(|(_, pair)| pair.map(file)).collect();
        let pairs = pairs.map(|_, pair| pair.map(|stem| folder.join(file(stem))));
        return Ok(Some(FewFiles::new(used, move |name, classes, _| {
            all(name, classes, pairs.try_map(|_, [images, labels]| read_pair(&images, &labels))?)
        })));
    }
    match &archives[..] {
        [] => Ok(None),
        several => Err(one_of(folder, several)),
    }
}

/// The data set in an archive.
pub(crate) fn in_archive(path: &Path) -> FewFiles {
    let used = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let path = path.to_owned();
    FewFiles::new(used, move |name, classes, ignored| all(name, classes, read_archive(&path, ignored)?))
}

/// Labels are numbers without a gap, or names of classes, which then are in the order of the alphabet.
fn all(name: &str, known: Option<Vec<String>>, arrays: Parts<Arrays>) -> Result<Splits, Error> {
    let fault = |place: &Path, index: usize, expected: &str, found: String| {
        malformed(place, 8, format!("label {index}: {expected}"), found)
    };
    let train = &arrays.train;
    let (classes, named) = match &train.labels {
        Labels::Numbers(labels) => {
            let count = count_classes(labels)
                .map_err(|(index, expected)| fault(&train.places[1], index, &expected, labels[index].to_string()))?;
            (known.filter(|classes| classes.len() == count).unwrap_or_else(|| numbered(count)), false)
        }
        Labels::Names(names) => (names.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect(), true),
    };
    let numbers: HashMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let (first, shape) = (train.places[0].clone(), train.shape);
    let parts = arrays.try_map(|_, Arrays { shape: found, pixels, labels, places: [images, place] }| {
        if found != shape {
            return Err(malformed(&images, 8, format!("images of {shape}, as in {}", Line(&first)), found));
        }
        let labels = match labels {
            Labels::Numbers(_) if named => {
                return Err(malformed(&place, 8, "names of classes, as in train", "numbers"));
            }
            Labels::Numbers(labels) => match labels.iter().position(|&label| label as usize >= classes.len()) {
                None => labels,
                Some(index) => {
                    let expected = format!("one from 0 to {}", classes.len() - 1);
                    return Err(fault(&place, index, &expected, labels[index].to_string()));
                }
            },
            Labels::Names(_) if !named => return Err(malformed(&place, 8, "numbers, as in train", "names of classes")),
            Labels::Names(names) => {
                let number = |(index, class): (usize, &String)| {
                    let found = format!("`{}`", Line(class));
                    numbers.get(class.as_str()).copied().ok_or_else(|| fault(&place, index, "a class of train", found))
                };
                names.iter().enumerate().map(number).collect::<Result<_, _>>()?
            }
        };
        Ok(Raw { shape, labels, pixels })
    })?;
    splits(name, Format::Numpy, classes.clone(), parts)
}

#[cfg(test)]
mod tests;
