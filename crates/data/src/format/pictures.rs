//! Pictures in files of their own: nothing is read before it is asked for, nothing is decoded to open them.

use std::cell::RefCell;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::decode::{self, ENDINGS};
use crate::error::Line;
use crate::fingerprint::Fingerprint;
use crate::ignored::Ignored;
use crate::image::all_rows;
use crate::{Dataset, Error, Image, ImageShape, ImageView, Rows, file};

/// The most bytes that a picture's file may have.
pub(crate) const MOST_BYTES: u64 = 256 << 20;
/// In so many bytes the header of most pictures ends.
const HEADER_BYTES: u64 = 16 << 10;

/// Pictures in files of their own.
#[derive(Debug)]
pub(crate) struct Pictures {
    pub(crate) name: String,
    pub(crate) root: PathBuf,
    pub(crate) classes: Vec<String>,
    /// The label of each, and its path below `root`.
    pub(crate) files: Vec<(u32, Box<Path>)>,
    /// What lies beside them.
    pub(crate) ignored: Ignored,
}

impl Pictures {
    /// The same pictures, with other names for their classes.
    pub(crate) fn with_class_names(self, classes: Vec<String>) -> Self {
        debug_assert_eq!(classes.len(), self.classes.len());
        Self { classes, ..self }
    }
}

impl Dataset for Pictures {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.files.len()
    }

    fn channels(&self) -> usize {
        3
    }

    fn shape(&self) -> Option<ImageShape> {
        None
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn label(&self, index: usize) -> usize {
        self.files[index].0 as usize
    }

    /// Of the pictures' paths below the root, their labels and the sizes of their files.
    fn fingerprint(&self) -> Result<String, Error> {
        let size = |(_, path): &(u32, Box<Path>)| {
            let path = self.root.join(path);
            path.metadata().map(|metadata| metadata.len()).map_err(Error::io("read", path))
        };
        let sizes: Vec<u64> = self.files.par_iter().map(size).collect::<Result<_, _>>()?;
        let mut fingerprint = Fingerprint::new("folder", &self.classes);
        for ((label, path), size) in self.files.iter().zip(sizes) {
            fingerprint.number((*label).into());
            fingerprint.number(path.iter().count() as u64);
            path.iter().for_each(|part| fingerprint.bytes(part.as_encoded_bytes()));
            fingerprint.number(size);
        }
        Ok(fingerprint.finish())
    }

    fn stored_shape(&self, index: usize) -> Result<ImageShape, Error> {
        let path = self.root.join(&self.files[index].1);
        with_bytes(|bytes| {
            let start = file::open(&path).and_then(|file| file.take(HEADER_BYTES).read_to_end(bytes));
            start.map_err(Error::io("read", &path))?;
            if let Ok(shape) = decode::shape(bytes) {
                return Ok(shape);
            }
            bytes.clear();
            read(&path, bytes).map_err(Error::io("read", &path))?;
            decode::shape(bytes).map_err(|source| undecodable(&path, source))
        })
    }

    fn origin(&self, index: usize) -> String {
        Line(&self.root.join(&self.files[index].1)).to_string()
    }

    fn encoded<'a>(&'a self, index: usize, buffer: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, Error> {
        let path = self.root.join(&self.files[index].1);
        buffer.clear();
        read(&path, buffer).map_err(Error::io("read", &path))?;
        Ok(Some(buffer))
    }

    fn image<'a>(&'a self, index: usize, buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        self.first_rows(index, buffer, &all_rows)
    }

    fn first_rows<'a>(&'a self, index: usize, buffer: &'a mut Image, rows: Rows<'_>) -> Result<ImageView<'a>, Error> {
        read_rows(&self.root.join(&self.files[index].1), buffer, rows)?;
        Ok(buffer.view())
    }
}

fn undecodable(path: &Path, source: decode::DecodeError) -> Error {
    Error::Picture { path: path.to_owned(), member: String::new(), source }
}

/// Reads the picture of a file into `image`, as a folder of pictures does: `[H, W, 3]`.
///
/// # Errors
/// A file that cannot be read, is larger than 256 MiB, or holds no whole picture.
pub fn read_picture(path: &Path, image: &mut Image) -> Result<(), Error> {
    read_rows(path, image, &all_rows)
}

fn read_rows(path: &Path, image: &mut Image, rows: Rows<'_>) -> Result<(), Error> {
    with_bytes(|bytes| {
        read(path, bytes).map_err(Error::io("read", path))?;
        decode::decode_rows(bytes, image, rows).map_err(|source| undecodable(path, source))
    })
}

/// Lends memory for an encoded picture: each thread has some, which serves one picture after another.
pub(crate) fn with_bytes<T>(work: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    thread_local! {
        static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }
    BYTES.with_borrow_mut(|bytes| {
        bytes.clear();
        work(bytes)
    })
}

fn read(path: &Path, bytes: &mut Vec<u8>) -> io::Result<()> {
    file::open(path)?.take(MOST_BYTES + 1).read_to_end(bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        let reason = format!("it has more than {} MiB: expected a picture", MOST_BYTES >> 20);
        return Err(io::Error::new(ErrorKind::FileTooLarge, reason));
    }
    Ok(())
}

/// The error for a folder without pictures; what is there instead is said.
pub(crate) fn nothing(folder: PathBuf, ignored: &Ignored) -> Error {
    let endings: Vec<String> = ENDINGS.iter().map(|ending| format!(".{ending}")).collect();
    let expected = format!("JPEG, PNG, WebP or BMP pictures ({})", endings.join(", "));
    let found = if ignored.is_empty() { "none".to_owned() } else { format!("none ({ignored})") };
    Error::Unrecognised { folder, expected, found }
}
