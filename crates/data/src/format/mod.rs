//! The file formats: each turns bytes into labels and `[B, H, W, C]` pixels, or says exactly what is wrong with them.

pub(crate) mod annotated;
pub(crate) mod cifar;
pub(crate) mod class_folders;
pub(crate) mod digits;
pub(crate) mod few_files;
pub(crate) mod idx;
pub(crate) mod kin;
pub(crate) mod listing;
pub(crate) mod lists;
pub(crate) mod map;
pub(crate) mod numpy;
pub(crate) mod packed;
mod pickled;
pub(crate) mod pictures;
mod planes;
pub(crate) mod shards;
pub(crate) mod stl10;
pub(crate) mod svhn;

use std::path::Path;

pub use pictures::read_picture;

use crate::{Error, ImageShape};
use few_files::Finder;

macro_rules! formats {
    ($($(#[$about:meta])* $format:ident = $key:literal, $name:literal $(, $find:path)?;)*) => {
        /// The formats a data set can be stored in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[non_exhaustive]
        pub enum Format {
            $($(#[$about])* #[serde(rename = $key)] $format,)*
        }

        impl Format {
            /// What finds the data sets of those formats that consist of a few files.
            pub(crate) const FINDERS: &'static [Finder] = &[$($($find,)?)*];
        }

        impl std::fmt::Display for Format {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$format => $name,)*
                })
            }
        }
    };
}

formats! {
    /// The embedded digits: records of one label byte and 64 grey levels from 0 to 16.
    Digits = "digits", "embedded digits";
    /// Four IDX files (the format of MNIST), each plain or compressed with gzip.
    Idx = "idx", "IDX", idx::find;
    /// Four IDX files of one split of EMNIST, whose images lie on their sides.
    Emnist = "emnist", "EMNIST (IDX)", kin::emnist;
    /// Four IDX files of QMNIST, whose labels are rows of numbers.
    Qmnist = "qmnist", "QMNIST (IDX)", kin::qmnist;
    /// CIFAR-10: six files, binary or Python pickles, or the official archive of either.
    Cifar10 = "cifar10", "CIFAR-10", cifar::find_10;
    /// CIFAR-100: two files, binary or Python pickles, or the official archive of either.
    Cifar100 = "cifar100", "CIFAR-100", cifar::find_100;
    /// A folder of JPEG, PNG, WebP or BMP files for each class.
    Folder = "folder", "folder for each class";
    /// Such files with a table of their classes.
    List = "list", "list of pictures";
    /// Tar files with `key.jpg` and `key.cls`, as WebDataset writes them.
    Shards = "shards", "tar files (WebDataset)";
    /// NumPy's `.npy` files or an `.npz` archive: images as bytes, labels as whole numbers.
    Numpy = "numpy", "NumPy arrays", numpy::find;
    /// SVHN's cropped digits: `train_32x32.mat` and `test_32x32.mat`.
    Svhn = "svhn", "SVHN (MATLAB)", svhn::find;
    /// STL-10's binary files, without the images that have no labels.
    Stl10 = "stl10", "STL-10 binary", stl10::find;
    /// One file that [`pack`](crate::pack()) has written.
    Packed = "packed", "packed file", packed::find;
}

/// The images of one split as they come out of a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Raw {
    pub(crate) shape: ImageShape,
    pub(crate) labels: Vec<u32>,
    pub(crate) pixels: Vec<u8>,
}

/// How many classes labels of unknown origin have, which must be 0, 1, 2, ... without a gap: a gap is much more often a damaged
/// byte than a class without a single image. Otherwise the position of the first label that is too high, and what is expected.
pub(crate) fn count_classes(labels: &[u32]) -> Result<usize, (usize, String)> {
    let mut seen = vec![false; labels.len() + 1];
    labels.iter().filter_map(|&label| usize::try_from(label).ok()).for_each(|label| {
        if let Some(seen) = seen.get_mut(label) {
            *seen = true;
        }
    });
    let classes = seen.iter().take_while(|&&seen| seen).count();
    match labels.iter().position(|&label| label as usize >= classes) {
        None => Ok(classes),
        Some(index) if classes == 0 => Err((index, "labels that start at class 0".to_owned())),
        Some(index) => Err((index, format!("a label from 0 to {}", classes - 1))),
    }
}

/// Appends an image that is stored plane by plane, each column by column, as MATLAB does, in `[H, W, C]` order.
pub(crate) fn push_columns(stored: &[u8], shape: ImageShape, pixels: &mut Vec<u8>) {
    let ImageShape { channels, height, width } = shape;
    for row in 0..height {
        for column in 0..width {
            pixels.extend((0..channels).map(|channel| stored[(channel * width + column) * height + row]));
        }
    }
}

/// A [`Error::Format`] in few words.
pub(crate) fn malformed(path: &Path, offset: u64, expected: impl Into<String>, found: impl std::fmt::Display) -> Error {
    Error::Format { path: path.to_owned(), offset, expected: expected.into(), found: found.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_counted_and_a_gap_is_a_fault() {
        assert_eq!(count_classes(&[2, 0, 1, 0]), Ok(3));
        assert_eq!(count_classes(&[0, 1, 77, 1]), Err((2, "a label from 0 to 1".to_owned())));
        assert_eq!(count_classes(&[1, u32::MAX]), Err((0, "labels that start at class 0".to_owned())));
        assert_eq!(count_classes(&(0..300).collect::<Vec<_>>()), Ok(300));
    }
}
