//! IDX, the format of MNIST: a magic number, the dimensions as big-endian u32, then one byte a value.
//!
//! Layout: <http://yann.lecun.com/exdb/mnist/>, "file formats". Files may be compressed with gzip, whatever their name.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::few_files::{FewFiles, complete, numbered, same_shape};
use super::{Raw, malformed, push_columns};
use crate::error::Line;
use crate::open::splits;
use crate::parts::Parts;
use crate::{Error, Format, ImageShape, file};

const NAMES: [&str; 4] =
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];

/// The four files, each plain or compressed, with a hyphen or a dot before `idx`.
pub(crate) fn find(folder: &Path, names: &BTreeSet<String>) -> Result<Option<FewFiles>, Error> {
    let spelled = NAMES.map(|name| {
        let dotted = name.replacen("-idx", ".idx", 1);
        let spellings = [name.to_owned(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
        spellings.into_iter().find(|spelling| names.contains(spelling)).ok_or(name)
    });
    if spelled.iter().all(Result::is_err) {
        return Ok(None);
    }
    let used: Vec<String> = spelled.iter().flatten().cloned().collect();
    let [train_images, train_labels, test_images, test_labels] =
        complete(folder, spelled, "IDX, plain or with .gz at the end of its name")?;
    Ok(Some(FewFiles::new(used, move |name, classes, _| {
        let train = read(&train_images, &train_labels, classes.as_ref().map(Vec::len))?;
        let classes = match classes {
            Some(classes) => classes,
            None => numbered(count_classes(&train_labels, &train.labels)?),
        };
        let test = read(&test_images, &test_labels, Some(classes.len()))?;
        same_shape(&train_images, &train, &test_images, &test)?;
        splits(name, Format::Idx, classes, Parts::tested(train, test))
    })))
}

/// Deflate cannot expand a byte to more than this many (zlib manual, "Maximum expansion factor").
const MOST_EXPANSION: u64 = 1032;

/// Reads an image file and its label file; with `classes`, labels must be below it.
pub(crate) fn read(images: &Path, labels: &Path, classes: Option<usize>) -> Result<Raw, Error> {
    let (shape, pixels) = images_from(images, open(images)?)?;
    let found = labels_from(labels, open(labels)?)?;
    same_count(images, shape, &pixels, labels, found.len())?;
    if let Some(classes) = classes {
        check_labels(labels, &found, 0, classes)?;
    }
    Ok(Raw { shape, labels: found.into_iter().map(u32::from).collect(), pixels })
}

/// As [`read`], for a split of EMNIST: rows and columns of its images are exchanged, and the labels of some splits start
/// at 1 (Cohen et al., arXiv 1702.05373).
pub(crate) fn read_emnist(images: &Path, labels: &Path, first: u8, classes: usize) -> Result<Raw, Error> {
    let (stored, pixels) = images_from(images, open(images)?)?;
    let found = labels_from(labels, open(labels)?)?;
    same_count(images, stored, &pixels, labels, found.len())?;
    check_labels(labels, &found, first, classes)?;
    let shape = ImageShape { height: stored.width, width: stored.height, ..stored };
    let mut upright = Vec::with_capacity(pixels.len());
    pixels.chunks_exact(shape.len()).for_each(|image| push_columns(image, shape, &mut upright));
    Ok(Raw { shape, labels: found.into_iter().map(|label| u32::from(label - first)).collect(), pixels: upright })
}

/// As [`read`], for QMNIST: of the eight numbers of a label, the first is the class
/// (<https://github.com/facebookresearch/qmnist>, "Extended labels").
pub(crate) fn read_qmnist(images: &Path, labels: &Path, classes: usize) -> Result<Raw, Error> {
    let (shape, pixels) = images_from(images, open(images)?)?;
    let ([count, columns], bytes) = parse::<2>(labels, open(labels)?, INT, "labels")?;
    same_count(images, shape, &pixels, labels, count)?;
    let mut found = Vec::with_capacity(count);
    for (index, row) in bytes.chunks_exact(4 * columns).enumerate() {
        match u32::from_be_bytes([row[0], row[1], row[2], row[3]]) {
            label if (label as usize) < classes => found.push(label),
            label => {
                let offset = 12 + (index * 4 * columns) as u64;
                return Err(malformed(
                    labels,
                    offset,
                    format!("a label from 0 to {}", classes.saturating_sub(1)),
                    label,
                ));
            }
        }
    }
    Ok(Raw { shape, labels: found, pixels })
}

fn same_count(images: &Path, shape: ImageShape, pixels: &[u8], labels: &Path, found: usize) -> Result<(), Error> {
    let count = pixels.len() / shape.len();
    if found == count {
        return Ok(());
    }
    Err(malformed(labels, 4, format!("{count} labels, one for each image of {}", Line(images)), found))
}

/// Refuses the first label that is not one of `classes`, counted from `first`.
fn check_labels(path: &Path, labels: &[u8], first: u8, classes: usize) -> Result<(), Error> {
    let valid = |label: u8| (usize::from(first)..usize::from(first) + classes).contains(&usize::from(label));
    match labels.iter().position(|&label| !valid(label)) {
        Some(index) => Err(malformed(
            path,
            8 + index as u64,
            format!("a label from {first} to {}", (usize::from(first) + classes).saturating_sub(1)),
            labels[index],
        )),
        None => Ok(()),
    }
}

/// How many classes the labels of a training set of unknown origin have.
pub(crate) fn count_classes(path: &Path, labels: &[u32]) -> Result<usize, Error> {
    super::count_classes(labels).map_err(|(index, expected)| malformed(path, 8 + index as u64, expected, labels[index]))
}

/// A file's content, unpacked if it is compressed, with the most bytes that can come out of it.
struct Content<R> {
    bytes: R,
    most: u64,
}

fn open(path: &Path) -> Result<Content<Box<dyn Read>>, Error> {
    let read = || Error::io("read", path);
    let file = file::open(path).map_err(read())?;
    let size = file.metadata().map_err(read())?.len();
    let mut file = BufReader::with_capacity(1 << 16, file);
    let compressed = file.fill_buf().map_err(read())?.starts_with(&[0x1f, 0x8b]);
    Ok(if compressed {
        Content { bytes: Box::new(MultiGzDecoder::new(file)), most: size.saturating_mul(MOST_EXPANSION) }
    } else {
        Content { bytes: Box::new(file), most: size }
    })
}

fn images_from(path: &Path, content: Content<impl Read>) -> Result<(ImageShape, Vec<u8>), Error> {
    let ([_, height, width], pixels) = parse(path, content, BYTE, "images")?;
    Ok((ImageShape { channels: 1, height, width }, pixels))
}

fn labels_from(path: &Path, content: Content<impl Read>) -> Result<Vec<u8>, Error> {
    parse::<1>(path, content, BYTE, "labels").map(|(_, labels)| labels)
}

/// The type of a file's values.
struct Element {
    /// How the magic number calls it.
    mark: u32,
    /// Its bytes.
    width: u64,
}

const BYTE: Element = Element { mark: 0x08, width: 1 };
/// Big-endian.
const INT: Element = Element { mark: 0x0c, width: 4 };

/// Reads `D` dimensions and exactly as many values as their product.
fn parse<const D: usize>(
    path: &Path,
    Content { mut bytes, most }: Content<impl Read>,
    element: Element,
    what: &str,
) -> Result<([usize; D], Vec<u8>), Error> {
    let header_size = 4 + 4 * D as u64;
    let header = take(path, &mut bytes, 0, header_size)?;
    if header.len() as u64 != header_size {
        return Err(malformed(path, header.len() as u64, format!("a header of {header_size} bytes"), "the end"));
    }
    let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let magic = (element.mark << 8) + D as u32;
    if word(0) != magic {
        let expected = format!("{magic:#010x}, the mark of an IDX file of {what}");
        return Err(malformed(path, 0, expected, format!("{:#010x}", word(0))));
    }
    let dimensions: [usize; D] = std::array::from_fn(|d| word(4 + 4 * d) as usize);
    if let Some(zero) = dimensions.iter().position(|&size| size == 0) {
        return Err(malformed(path, 4 + 4 * zero as u64, "at least 1", "0"));
    }

    let promised = dimensions.iter().try_fold(element.width, |product, &size| product.checked_mul(size as u64));
    let Some(promised) = promised.filter(|&promised| promised <= most.saturating_sub(header_size)) else {
        let sizes: Vec<_> = dimensions.iter().map(usize::to_string).collect();
        let expected = format!("{} bytes of {what}, as the header says", sizes.join("x"));
        return Err(malformed(path, header_size, expected, format!("at most {}", most.saturating_sub(header_size))));
    };
    let body = take(path, &mut bytes, header_size, promised + 1)?;
    if body.len() as u64 == promised {
        return Ok((dimensions, body));
    }
    let (end, whole) = (header_size + body.len() as u64, header_size + promised);
    Err(if end > whole {
        malformed(path, whole, format!("the end after {whole} bytes, as the header says"), "more bytes")
    } else {
        malformed(path, end, format!("{whole} bytes, as the header says"), "the end")
    })
}

/// Reads up to `count` bytes; less means that the content has ended. `offset` is where they start.
fn take(path: &Path, bytes: &mut impl Read, offset: u64, count: u64) -> Result<Vec<u8>, Error> {
    let mut taken = Vec::new();
    match bytes.take(count).read_to_end(&mut taken) {
        Ok(_) => Ok(taken),
        Err(error) if is_broken_stream(&error) => {
            Err(malformed(path, offset + taken.len() as u64, "an intact gzip stream", error))
        }
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// How flate2 reports damaged input, as opposed to a disk that fails.
fn is_broken_stream(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    /// An IDX file: the last byte of the magic number says how many dimensions follow.
    fn idx(dimensions: &[u32], body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, dimensions.len() as u8];
        dimensions.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(body);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    /// Writes both files and reads them back; the folder's name is cut from messages.
    fn round(images: &[u8], labels: &[u8], classes: Option<usize>) -> Result<Raw, String> {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["images", "labels"].map(|name| folder.path().join(name));
        std::fs::write(&paths[0], images).unwrap();
        std::fs::write(&paths[1], labels).unwrap();
        read(&paths[0], &paths[1], classes)
            .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn plain_and_compressed_files_give_the_same_images() {
        let (images, labels) = (idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]), idx(&[2], &[0, 1]));
        let plain = round(&images, &labels, Some(2)).unwrap();
        assert_eq!(plain.shape, ImageShape { channels: 1, height: 1, width: 3 });
        assert_eq!((&plain.labels[..], &plain.pixels[..]), (&[0, 1][..], &[1, 2, 3, 4, 5, 6][..]));
        assert_eq!(round(&gzip(&images), &gzip(&labels), Some(2)).unwrap(), plain);
    }

    #[test]
    fn every_fault_names_its_place() {
        let images = idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        let labels = idx(&[2], &[0, 1]);
        let cut = |bytes: &[u8], by: usize| bytes[..bytes.len() - by].to_vec();
        let with = |bytes: &[u8], more: u8| [bytes, &[more]].concat();
        let packed = gzip(&images);
        for (images, labels, message) in [
            (vec![0, 0], labels.clone(), "images: byte 2: expected a header of 16 bytes, found the end"),
            (labels.clone(), labels.clone(), "images: byte 10: expected a header of 16 bytes, found the end"),
            (
                b"\x89PNG\r\n\x1a\n and so on and on".to_vec(),
                labels.clone(),
                "images: byte 0: expected 0x00000803, the mark of an IDX file of images, found 0x89504e47",
            ),
            (idx(&[0, 1, 3], &[]), labels.clone(), "images: byte 4: expected at least 1, found 0"),
            (idx(&[2, 1, 0], &[]), labels.clone(), "images: byte 12: expected at least 1, found 0"),
            (
                cut(&images, 1),
                labels.clone(),
                "images: byte 16: expected 2x1x3 bytes of images, as the header says, found at most 5",
            ),
            (
                idx(&[u32::MAX, u32::MAX, u32::MAX], &[0]),
                labels.clone(),
                "images: byte 16: expected 4294967295x4294967295x4294967295 bytes of images, as the header says, found at most 1",
            ),
            (
                with(&images, 0),
                labels.clone(),
                "images: byte 22: expected the end after 22 bytes, as the header says, found more bytes",
            ),
            (
                gzip(&cut(&images, 2)),
                labels.clone(),
                "images: byte 20: expected 22 bytes, as the header says, found the end",
            ),
            (
                cut(&packed, 9),
                labels.clone(),
                "images: byte 22: expected an intact gzip stream, found incomplete deflate stream",
            ),
            (
                with(&packed, 7),
                labels.clone(),
                "images: byte 22: expected an intact gzip stream, found unexpected end of file",
            ),
            (
                images.clone(),
                idx(&[1], &[0]),
                "labels: byte 4: expected 2 labels, one for each image of images, found 1",
            ),
            (images.clone(), idx(&[2], &[0, 7]), "labels: byte 9: expected a label from 0 to 1, found 7"),
        ] {
            assert_eq!(round(&images, &labels, Some(2)).unwrap_err(), message);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_images_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..64), marked: bool) {
            let bytes = if marked { [&[0, 0, 8, 3], &body[..]].concat() } else { body };
            let content = Content { bytes: &bytes[..], most: bytes.len() as u64 };
            if let Ok((shape, pixels)) = images_from(Path::new("any"), content) {
                prop_assert_eq!(pixels.len() + 16, bytes.len());
                prop_assert_eq!(pixels.len() % shape.len(), 0);
            }
        }

        #[test]
        fn any_damage_to_a_compressed_file_is_noticed_or_harmless(at in 0usize..60, value: u8) {
            let images = idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
            let mut bytes = gzip(&images);
            let at = at % bytes.len();
            bytes[at] = value;
            if let Ok(raw) = round(&bytes, &idx(&[2], &[0, 1]), Some(2)) {
                prop_assert_eq!(raw.pixels, [1, 2, 3, 4, 5, 6]);
            }
        }
    }
}
