//! CIFAR-10 and CIFAR-100 binary files: records of one or two label bytes and a 32x32 image as three planes.
//!
//! Layout: <https://www.cs.toronto.edu/~kriz/cifar.html>, "Binary version".

use std::path::{Path, PathBuf};

use super::{Raw, malformed};
use crate::{Error, ImageShape};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
const PLANE: usize = 32 * 32;

/// Which of the two record layouts a file has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    /// One label byte.
    Cifar10,
    /// A coarse label, then the fine label, which is the one that is used.
    Cifar100,
}

impl Layout {
    /// The number of classes behind each label byte, with the name of the label.
    fn labels(self) -> &'static [(&'static str, u8)] {
        match self {
            Self::Cifar10 => &[("label", 10)],
            Self::Cifar100 => &[("coarse label", 20), ("fine label", 100)],
        }
    }

    fn record(self) -> usize {
        self.labels().len() + SHAPE.len()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "CIFAR-10",
            Self::Cifar100 => "CIFAR-100",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Cifar10 => Self::Cifar100,
            Self::Cifar100 => Self::Cifar10,
        }
    }
}

/// Reads the files one after the other into one split.
pub(crate) fn read(paths: &[PathBuf], layout: Layout) -> Result<Raw, Error> {
    let mut raw = Raw { shape: SHAPE, labels: Vec::new(), pixels: Vec::new() };
    for path in paths {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        parse(path, &bytes, layout, &mut raw)?;
    }
    Ok(raw)
}

/// Adds the records of one file to `raw`.
fn parse(path: &Path, bytes: &[u8], layout: Layout, raw: &mut Raw) -> Result<(), Error> {
    let record = layout.record();
    let rest = bytes.len() % record;
    if bytes.is_empty() || rest != 0 {
        let expected = format!("{} records of {record} bytes each", layout.name());
        let found = match layout.other() {
            _ if bytes.is_empty() => "an empty file".to_owned(),
            other if bytes.len().is_multiple_of(other.record()) => {
                format!("{} bytes, which is whole records of {} instead", bytes.len(), other.name())
            }
            _ => format!("the end after {rest} bytes of the last record"),
        };
        return Err(malformed(path, (bytes.len() - rest) as u64, expected, found));
    }

    raw.labels.reserve(bytes.len() / record);
    raw.pixels.reserve(bytes.len() / record * SHAPE.len());
    for (index, record_bytes) in bytes.chunks_exact(record).enumerate() {
        let (labels, planes) = record_bytes.split_at(layout.labels().len());
        for (position, (&label, &(name, classes))) in labels.iter().zip(layout.labels()).enumerate() {
            if label >= classes {
                let offset = (index * record + position) as u64;
                return Err(malformed(path, offset, format!("a {name} from 0 to {}", classes - 1), label));
            }
        }
        raw.labels.extend(labels.last().map(|&label| u32::from(label)));
        let (red, rest) = planes.split_at(PLANE);
        let (green, blue) = rest.split_at(PLANE);
        raw.pixels.extend(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(bytes: &[u8], layout: Layout) -> Result<Raw, String> {
        let mut raw = Raw { shape: SHAPE, labels: Vec::new(), pixels: Vec::new() };
        parse(Path::new("batch.bin"), bytes, layout, &mut raw).map_err(|error| error.to_string())?;
        Ok(raw)
    }

    /// A record whose red plane is 1s, green 2s and blue 3s.
    fn record(labels: &[u8]) -> Vec<u8> {
        [labels, &[1; PLANE], &[2; PLANE], &[3; PLANE]].concat()
    }

    #[test]
    fn planes_become_pixels() {
        let raw = parsed(&[record(&[4]), record(&[9])].concat(), Layout::Cifar10).unwrap();
        assert_eq!(raw.labels, [4, 9]);
        assert_eq!(raw.pixels.len(), 2 * 3072);
        assert!(raw.pixels.chunks(3).all(|pixel| pixel == [1, 2, 3]));
    }

    #[test]
    fn the_fine_label_is_the_label() {
        assert_eq!(parsed(&record(&[19, 99]), Layout::Cifar100).unwrap().labels, [99]);
    }

    #[test]
    fn every_fault_names_its_place() {
        let two = [record(&[4]), record(&[10])].concat();
        for (bytes, layout, message) in [
            (&[][..], Layout::Cifar10, "byte 0: expected CIFAR-10 records of 3073 bytes each, found an empty file"),
            (
                &two[..6145],
                Layout::Cifar10,
                "byte 3073: expected CIFAR-10 records of 3073 bytes each, found the end after 3072 bytes of the last record",
            ),
            (
                &record(&[1, 2]),
                Layout::Cifar10,
                "byte 3073: expected CIFAR-10 records of 3073 bytes each, found 3074 bytes, which is whole records of CIFAR-100 instead",
            ),
            (&two, Layout::Cifar10, "byte 3073: expected a label from 0 to 9, found 10"),
            (&record(&[20, 0]), Layout::Cifar100, "byte 0: expected a coarse label from 0 to 19, found 20"),
            (&record(&[0, 100]), Layout::Cifar100, "byte 1: expected a fine label from 0 to 99, found 100"),
        ] {
            assert_eq!(parsed(bytes, layout).unwrap_err(), format!("batch.bin: {message}"));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_are_images_or_an_error(
            size in prop_oneof![0usize..4000, Just(3073), Just(3074), Just(6146)],
            first: [u8; 2],
            value: u8,
            hundred: bool,
        ) {
            let mut bytes = vec![value; size];
            bytes.iter_mut().zip(first).for_each(|(byte, value)| *byte = value);
            let layout = if hundred { Layout::Cifar100 } else { Layout::Cifar10 };
            if let Ok(raw) = parsed(&bytes, layout) {
                prop_assert_eq!(raw.pixels.len(), raw.labels.len() * SHAPE.len());
                prop_assert_eq!(bytes.len(), raw.labels.len() * layout.record());
            }
        }
    }
}
