//! The embedded digits: 1,797 real 8x8 images, so that tests and examples learn something real in seconds.
//!
//! `datasets/digits/write.py` writes the file and says where the images come from.

use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::{Raw, malformed};
use crate::{Error, ImageShape};

const PACKED: &[u8] = include_bytes!("../../../../datasets/digits/digits.bin.gz");
const SHAPE: ImageShape = ImageShape { channels: 1, height: 8, width: 8 };
const COUNT: usize = 1797;
/// The last images are the test split: a fixed rule, as the set has no official one.
const TEST: usize = 360;

/// The training split (the first 1,437 images) and the test split (the last 360).
pub(crate) fn read() -> Result<(Raw, Raw), Error> {
    let mut records = Vec::with_capacity(COUNT * (1 + SHAPE.len()));
    GzDecoder::new(PACKED).read_to_end(&mut records).map_err(Error::io("unpack", "the embedded digits"))?;
    parse(&records)
}

fn parse(records: &[u8]) -> Result<(Raw, Raw), Error> {
    let path = Path::new("the embedded digits");
    let record = 1 + SHAPE.len();
    if records.len() != COUNT * record {
        let expected = format!("{COUNT} records of {record} bytes each");
        return Err(malformed(path, 0, expected, format!("{} bytes", records.len())));
    }
    let split = |records: &[u8]| {
        let labels = records.chunks_exact(record).map(|record| u32::from(record[0])).collect();
        let pixels =
            records.chunks_exact(record).flat_map(|record| &record[1..]).map(|&level| to_byte(level)).collect();
        Raw { shape: SHAPE, labels, pixels }
    };
    let (train, test) = records.split_at((COUNT - TEST) * record);
    Ok((split(train), split(test)))
}

/// Scales a grey level from 0..=16 to 0..=255, rounding to the nearest.
fn to_byte(level: u8) -> u8 {
    ((u16::from(level.min(16)) * 255 + 8) / 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_levels_fill_the_byte() {
        // 1 * 255 / 16 = 15.94, 8 * 255 / 16 = 127.5
        assert_eq!([0, 1, 8, 15, 16].map(to_byte), [0, 16, 128, 239, 255]);
    }

    #[test]
    fn the_first_image_is_scikit_learns_zero() {
        let (train, test) = read().unwrap();
        assert_eq!((train.labels.len(), test.labels.len()), (1437, 360));
        // load_digits().images[0][0] is 0 0 5 13 9 1 0 0, its target 0.
        assert_eq!(train.labels[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(train.pixels[..8], [0, 0, 5, 13, 9, 1, 0, 0].map(to_byte));
    }

    #[test]
    fn a_wrong_file_is_refused() {
        let error = parse(&[0; 65]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the embedded digits: byte 0: expected 1797 records of 65 bytes each, found 65 bytes"
        );
    }
}
