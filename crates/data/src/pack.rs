//! Writing a packed file: all images of a data set in one file, ready to be used where they lie.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use fast_image_resize::images::{Image as Scaled, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use mp_files::{Draft, Existing};
use rayon::prelude::*;

use crate::format::packed::{self, CHECKSUM_AT, ENTRY, Entry, HEADER, MAGIC, Meta, VERSION};
use crate::{Dataset, Error, Image, ImageShape, Splits};

/// Images that are prepared at a time.
const CHUNK: usize = 256;

/// What a packed file holds of each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Decoded pixels of images that are all of one size already.
    Pixels,
    /// Decoded pixels, brought to squares of so many rows and columns: the shorter side is scaled to this, with the filter of
    /// torchvision's `Resize` (a triangle as wide as the scale asks for), and the middle is cut out.
    Square(usize),
    /// The bytes as they came: JPEG, PNG, WebP or BMP.
    Original,
}

/// Writes all images of all splits into one file, and returns its size in bytes. `progress` is told how many are done.
///
/// The file appears under its name only when it is whole; whatever goes wrong, nothing is left behind. What is there already is
/// not replaced. The result is opened with [`open`](crate::open()), by its path.
///
/// # Errors
/// [`Error::Config`] for images that cannot be packed like this; [`Error::Io`], for instance for a full disk; the first image
/// that cannot be read.
pub fn pack(splits: &Splits, path: &Path, packing: Packing, progress: &mut dyn FnMut(usize)) -> Result<u64, Error> {
    if path.symlink_metadata().is_ok() {
        let reason = io::Error::new(io::ErrorKind::AlreadyExists, "it exists: remove it, or choose another name");
        return Err(Error::io("write", path)(reason));
    }
    let shape = common_shape(splits, packing)?;
    let mut draft = Draft::beside(path).map_err(Error::io("write", path))?;
    let size = write(splits, shape, packing, draft.as_file_mut(), path, progress)?;
    draft.publish(Existing::Keep).map_err(Error::io("write", path))?;
    Ok(size)
}

/// The size that every image will have; `None` where they stay encoded.
fn common_shape(splits: &Splits, packing: Packing) -> Result<Option<ImageShape>, Error> {
    let channels = splits.train.channels();
    match packing {
        Packing::Original => Ok(None),
        Packing::Square(0) => Err(Error::Config("a size of 0: expected at least 1 pixel".to_owned())),
        Packing::Square(_) if !matches!(channels, 1 | 3) => {
            Err(Error::Config(format!("cannot scale images of {channels} channels: expected 1 or 3")))
        }
        Packing::Square(size) => Ok(Some(ImageShape { channels, height: size, width: size })),
        Packing::Pixels => match splits.train.shape() {
            Some(shape) => Ok(Some(shape)),
            None => Ok(Some(splits.train.image(0, &mut Image::empty())?.shape())),
        },
    }
}

fn write(
    splits: &Splits,
    shape: Option<ImageShape>,
    packing: Packing,
    file: &mut File,
    path: &Path,
    progress: &mut dyn FnMut(usize),
) -> Result<u64, Error> {
    let failed = || Error::io("write", path);
    let meta = Meta {
        name: splits.name.clone(),
        classes: splits.train.classes().to_vec(),
        mean: splits.mean.clone(),
        std: splits.std.clone(),
        valid: splits.valid.len() as u64,
    };
    let mut head = header(&meta, shape, splits);
    let index = head.len();
    let data = (index + splits.len() * ENTRY).next_multiple_of(4096);
    head[56..64].copy_from_slice(&(data as u64).to_le_bytes());
    head.resize(data, 0);

    // The index is only known at the end: its place stays free until then.
    let mut out = BufWriter::with_capacity(1 << 20, file);
    out.write_all(&head).map_err(failed())?;
    let (mut offset, mut number) = (data as u64, 0);
    for split in [&*splits.train, &*splits.test, &*splits.valid] {
        for start in (0..split.len()).step_by(CHUNK) {
            let chunk = start..split.len().min(start + CHUNK);
            let records = chunk.clone().into_par_iter().map_init(Worker::default, |worker, index| {
                let record = worker.record(split, index, shape, packing)?;
                let checksum = crc32fast::hash(&record);
                Ok((record, checksum))
            });
            let records = records.collect::<Result<Vec<_>, Error>>()?;
            for (position, (record, checksum)) in chunk.zip(records) {
                let length = u32::try_from(record.len()).map_err(|_| too_long(split, position))?;
                let label = split.label(position) as u32;
                let entry = Entry { offset, length, label, checksum }.to_bytes();
                head[index + number * ENTRY..][..ENTRY].copy_from_slice(&entry);
                out.write_all(&record).map_err(failed())?;
                offset += u64::from(length);
                number += 1;
            }
            progress(number);
        }
    }
    let checksum = packed::head_checksum(&head);
    head[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum.to_le_bytes());
    out.seek(SeekFrom::Start(0)).and_then(|_| out.write_all(&head)).and_then(|()| out.flush()).map_err(failed())?;
    Ok(offset)
}

/// Header and names, up to where the index begins; the place of the data is still 0.
fn header(meta: &Meta, shape: Option<ImageShape>, splits: &Splits) -> Vec<u8> {
    let (train, test, channels) = (splits.train.len(), splits.test.len(), splits.train.channels());
    // Earlier releases read what has no validation images.
    let version = if meta.valid == 0 { 1 } else { VERSION };
    // Names and finite numbers always have a JSON form.
    let meta = serde_json::to_vec(meta).unwrap_or_default();
    let mut head = MAGIC.to_vec();
    let (height, width) = shape.map_or((0, 0), |shape| (shape.height, shape.width));
    for word in [version, u32::from(shape.is_none()), height as u32, width as u32, channels as u32, 0] {
        head.extend(word.to_le_bytes());
    }
    for long in [train, test, meta.len(), 0] {
        head.extend((long as u64).to_le_bytes());
    }
    debug_assert_eq!(head.len(), HEADER);
    head.extend(meta);
    head.resize(head.len().next_multiple_of(8), 0);
    head
}

fn too_long(dataset: &dyn Dataset, index: usize) -> Error {
    Error::Config(format!("`{}`: image {index} has 4 GiB or more: expected less", dataset.name()))
}

/// The memory that one thread uses again and again.
#[derive(Default)]
struct Worker {
    image: Option<Image>,
    bytes: Vec<u8>,
    resizer: Option<Resizer>,
}

impl Worker {
    /// The bytes that are stored for an image.
    fn record(
        &mut self,
        dataset: &dyn Dataset,
        index: usize,
        shape: Option<ImageShape>,
        packing: Packing,
    ) -> Result<Vec<u8>, Error> {
        let Some(shape) = shape else {
            let bytes = dataset.encoded(index, &mut self.bytes)?;
            return bytes.map(<[u8]>::to_vec).ok_or_else(|| {
                Error::Config(format!("`{}` has no encoded pictures: pack their pixels instead", dataset.name()))
            });
        };
        let image = dataset.image(index, self.image.get_or_insert_with(Image::empty))?;
        if image.shape() == shape {
            return Ok(image.pixels().to_vec());
        }
        if packing == Packing::Pixels {
            return Err(Error::Config(format!(
                "`{}`: image {index} is of {}, the first one of {shape}: give a size that all are brought to",
                dataset.name(),
                image.shape()
            )));
        }
        let resizer = self.resizer.get_or_insert_with(Resizer::new);
        square(resizer, image.pixels(), image.shape(), shape.height)
            .map_err(|reason| Error::Config(format!("`{}`: cannot scale image {index}: {reason}", dataset.name())))
    }
}

/// Scales the largest square in the middle to `size` rows and columns.
fn square(resizer: &mut Resizer, pixels: &[u8], shape: ImageShape, size: usize) -> Result<Vec<u8>, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let kind = if shape.channels == 1 { PixelType::U8 } else { PixelType::U8x3 };
    let from = ImageRef::new(shape.width as u32, shape.height as u32, pixels, kind).map_err(|error| text(&error))?;
    let mut scaled = Scaled::new(size as u32, size as u32, kind);
    let side = shape.width.min(shape.height) as f64;
    // As torchvision's CenterCrop, where an odd rest is to be shared; a half pixel here is one of the picture's own pixels.
    let (left, top) = ((shape.width as f64 - side) / 2.0, (shape.height as f64 - side) / 2.0);
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .crop(left, top, side, side)
        .use_alpha(false);
    resizer.resize(&from, &mut scaled, &options).map_err(|error| text(&error))?;
    Ok(scaled.into_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_cut_out_and_scaled() {
        // Two rows of six columns of grey: the middle square holds 30, 40 / 130, 140, whose mean is 85.
        let shape = ImageShape { channels: 1, height: 2, width: 6 };
        let pixels = [10, 20, 30, 40, 50, 60, 110, 120, 130, 140, 150, 160];
        assert_eq!(square(&mut Resizer::new(), &pixels, shape, 2).unwrap(), [30, 40, 130, 140]);
        assert_eq!(square(&mut Resizer::new(), &pixels, shape, 1).unwrap(), [85]);
    }
}
