//! STL-10's binary files: 96x96 images as three planes, columns first, and a file of labels from 1.
//!
//! Layout: <https://cs.stanford.edu/~acoates/stl10/>, "Binary files".

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use super::few_files::{FewFiles, whole};
use super::{Raw, malformed, planes};
use crate::error::Line;
use crate::open::splits;
use crate::parts::Parts;
use crate::{Error, Format, ImageShape, file};

const SHAPE: ImageShape = ImageShape { channels: 3, height: 96, width: 96 };
const CLASSES: u8 = 10;

/// What the labels 1 to 10 mean, where no `class_names.txt` says otherwise.
pub(crate) const NAMES: [&str; CLASSES as usize] =
    ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"];

/// Reads a file of images and its file of labels.
pub(crate) fn find(folder: &Path, names: &BTreeSet<String>) -> Result<Option<FewFiles>, Error> {
    let wanted = ["train_X.bin", "train_y.bin", "test_X.bin", "test_y.bin"];
    let listed = "class_names.txt";
    let class_names = names.get(listed).map(|name| folder.join(name));
    let files = whole(folder, names, wanted, "STL-10 binary")?;
    Ok(files.map(|[train_images, train_labels, test_images, test_labels]| {
        FewFiles::new(wanted.into_iter().chain([listed]), move |name, classes, _| {
            let (train, test) = (read(&train_images, &train_labels), read(&test_images, &test_labels));
            let classes = match (classes, class_names) {
                (Some(classes), _) => classes,
                (None, Some(path)) => class_names_in(&path)?,
                (None, None) => NAMES.map(str::to_owned).to_vec(),
            };
            splits(name, Format::Stl10, classes, Parts::tested(train?, test?))
        })
    }))
}

fn class_names_in(path: &Path) -> Result<Vec<String>, Error> {
    let mut text = String::new();
    file::open(path).and_then(|mut file| file.read_to_string(&mut text)).map_err(Error::io("read", path))?;
    let names: Vec<_> = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect();
    match names.len() == NAMES.len() {
        true => Ok(names),
        false => Err(malformed(path, 0, format!("{} lines with a name each", NAMES.len()), names.len())),
    }
}

pub(crate) fn read(images: &Path, labels: &Path) -> Result<Raw, Error> {
    let read = |path: &Path| file::read(path).map_err(Error::io("read", path));
    parse((images, &read(images)?), (labels, &read(labels)?))
}

fn parse((path, planes): (&Path, &[u8]), (label_path, labels): (&Path, &[u8])) -> Result<Raw, Error> {
    let size = SHAPE.len();
    let rest = planes.len() % size;
    if planes.is_empty() || rest != 0 {
        let found = if planes.is_empty() {
            "an empty file".to_owned()
        } else {
            format!("the end after {rest} bytes of the last image")
        };
        return Err(malformed(path, (planes.len() - rest) as u64, format!("images of {size} bytes each"), found));
    }
    let count = planes.len() / size;
    if labels.len() != count {
        let expected = format!("{count} labels, one for each image of {}", Line(path));
        return Err(malformed(label_path, 0, expected, labels.len()));
    }
    if let Some(index) = labels.iter().position(|label| !(1..=CLASSES).contains(label)) {
        return Err(malformed(label_path, index as u64, format!("a label from 1 to {CLASSES}"), labels[index]));
    }
    let mut pixels = Vec::with_capacity(planes.len());
    planes.chunks_exact(size).for_each(|image| planes::from_columns(image, SHAPE, &mut pixels));
    Ok(Raw { shape: SHAPE, labels: labels.iter().map(|&label| u32::from(label) - 1).collect(), pixels })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(planes: &[u8], labels: &[u8]) -> Result<Raw, String> {
        parse((Path::new("X.bin"), planes), (Path::new("y.bin"), labels)).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_become_rows() {
        // The value is the row, so that each column counts from 0 to 95.
        let planes: Vec<u8> = (0..SHAPE.len()).map(|at| (at % 96) as u8).collect();
        let raw = parsed(&planes, &[10]).unwrap();
        assert_eq!(raw.labels, [9]);
        assert!(raw.pixels.chunks(96 * 3).zip(0..).all(|(row, value)| row.iter().all(|&pixel| pixel == value)));
    }

    #[test]
    fn every_fault_names_its_place() {
        let image = vec![0; SHAPE.len()];
        for (planes, labels, message) in [
            (&[][..], &[][..], "X.bin: byte 0: expected images of 27648 bytes each, found an empty file"),
            (
                &image[1..],
                &[1],
                "X.bin: byte 0: expected images of 27648 bytes each, found the end after 27647 bytes of the last image",
            ),
            (&image, &[1, 2], "y.bin: byte 0: expected 1 labels, one for each image of X.bin, found 2"),
            (&image, &[0], "y.bin: byte 0: expected a label from 1 to 10, found 0"),
            (&image, &[11], "y.bin: byte 0: expected a label from 1 to 10, found 11"),
        ] {
            assert_eq!(parsed(planes, labels).unwrap_err(), message);
        }
    }
}
