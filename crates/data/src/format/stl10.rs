//! STL-10's binary files: images of three 96x96 planes, written column by column, and one label byte each, from 1.
//!
//! Layout: <https://cs.stanford.edu/~acoates/stl10/>, "Binary files".

use std::fs;
use std::path::Path;

use super::{Raw, malformed, push_columns};
use crate::error::Line;
use crate::{Error, ImageShape};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 96, width: 96 };
const CLASSES: u8 = 10;

/// Reads an image file and its label file.
pub(crate) fn read(images: &Path, labels: &Path) -> Result<Raw, Error> {
    let label_bytes = fs::read(labels).map_err(Error::io("read", labels))?;
    let expected = label_bytes.len() as u64 * SHAPE.len() as u64;
    // Compared before it is read: the labels say how much there is to read.
    let found = images.metadata().map_err(Error::io("read", images))?.len();
    if label_bytes.is_empty() || found != expected {
        let wanted = match label_bytes.len() {
            0 => format!("images of {SHAPE} with labels in {}", Line(labels)),
            count => format!("{expected} bytes, {count} images of {SHAPE} as in {}", Line(labels)),
        };
        return Err(malformed(images, found.min(expected), wanted, format!("{found} bytes")));
    }
    if let Some(index) = label_bytes.iter().position(|label| !(1..=CLASSES).contains(label)) {
        return Err(malformed(labels, index as u64, format!("a label from 1 to {CLASSES}"), label_bytes[index]));
    }
    let bytes = fs::read(images).map_err(Error::io("read", images))?;
    let mut pixels = Vec::with_capacity(bytes.len());
    bytes.chunks_exact(SHAPE.len()).for_each(|image| push_columns(image, SHAPE, &mut pixels));
    let labels: Vec<u32> =
        label_bytes.iter().take(pixels.len() / SHAPE.len()).map(|&label| u32::from(label) - 1).collect();
    match pixels.len() == label_bytes.len() * SHAPE.len() {
        true => Ok(Raw { shape: SHAPE, labels, pixels }),
        false => Err(malformed(images, bytes.len() as u64, format!("{expected} bytes"), "the end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(images: &[u8], labels: &[u8]) -> Result<Raw, String> {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["X", "y"].map(|name| folder.path().join(name));
        fs::write(&paths[0], images).unwrap();
        fs::write(&paths[1], labels).unwrap();
        read(&paths[0], &paths[1])
            .map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
    }

    #[test]
    fn planes_of_columns_become_rows_of_pixels() {
        // Byte c * 96 * 96 + x * 96 + y is channel c of the pixel in row y and column x.
        let image: Vec<u8> =
            (0..SHAPE.len()).map(|at| (at / 9216 * 80 + at / 96 % 96 / 2 + at % 96 / 3) as u8).collect();
        let raw = round(&[image, vec![7; SHAPE.len()]].concat(), &[10, 1]).unwrap();
        assert_eq!((raw.shape, &raw.labels[..]), (SHAPE, &[9, 0][..]));
        for (y, x) in [(0, 0), (1, 0), (0, 95), (95, 3), (40, 41)] {
            let value = |c: usize| (c * 80 + x / 2 + y / 3) as u8;
            assert_eq!(raw.pixels[(y * 96 + x) * 3..][..3], [value(0), value(1), value(2)]);
        }
        assert!(raw.pixels[SHAPE.len()..].iter().all(|&pixel| pixel == 7));
    }

    #[test]
    fn every_fault_names_its_place() {
        let one = vec![7; SHAPE.len()];
        for (images, labels, message) in [
            (&one[..], &[0][..], "y: byte 0: expected a label from 1 to 10, found 0"),
            (&one, &[11], "y: byte 0: expected a label from 1 to 10, found 11"),
            (&one[1..], &[1], "X: byte 27647: expected 27648 bytes, 1 images of 96x96x3 as in y, found 27647 bytes"),
            (&one, &[1, 2], "X: byte 27648: expected 55296 bytes, 2 images of 96x96x3 as in y, found 27648 bytes"),
            (&one, &[], "X: byte 0: expected images of 96x96x3 with labels in y, found 27648 bytes"),
        ] {
            assert_eq!(round(images, labels).unwrap_err(), message);
        }
    }
}
