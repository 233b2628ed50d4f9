//! NumPy files of many images.

use std::path::{Path, PathBuf};

use ndarray::{ArrayView4, s};
use ndarray_npy::{ViewNpyError, ViewNpyExt};
use tch::Tensor;

use super::picture::Reader;
use crate::Error;
use crate::images::Identity;

/// A value further out than this many times the most that a pixel can become is no pixel's.
const FAR_OUT: f64 = 10.0;

/// A `.npy` file of images, checked as a whole and served in parts.
pub(super) struct Array {
    path: PathBuf,
    bytes: Vec<u8>,
    kind: Kind,
    images: usize,
}

enum Kind {
    /// `[B, C, H, W]`, normalised.
    Values,
    /// `[B, H, W, C]`.
    Pixels,
}

impl Array {
    pub(super) fn is_named(path: &Path) -> bool {
        path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"))
    }

    /// # Errors
    /// [`Error::Input`] for another type or shape, and for the first value that is no pixel's, with its index.
    pub(super) fn open(path: &Path, identity: &Identity) -> Result<Self, Error> {
        let (channels, size) = (identity.channels as usize, identity.size as usize);
        let refuse = |message: String| Error::Input { path: path.to_owned(), message };
        let expected =
            format!("expected float32 [B, {channels}, {size}, {size}] or uint8 pixels [B, {size}, {size}, {channels}]");
        let ensure = |found: &[usize], image: [usize; 3]| match found[1..] == image {
            true => Ok(found[0]),
            false => Err(refuse(format!("an array of shape {found:?}: {expected}"))),
        };
        // A view of the bytes, since a header could ask for more memory than there is.
        let bytes = mp_files::read(path).map_err(Error::io("read", path))?;
        let (kind, images) = match ArrayView4::<f32>::view_npy(&bytes) {
            Ok(array) => {
                let images = ensure(array.shape(), [channels, size, size])?;
                check(&array, identity).map_err(refuse)?;
                (Kind::Values, images)
            }
            Err(ViewNpyError::WrongDescriptor(_)) => {
                let array =
                    ArrayView4::<u8>::view_npy(&bytes).map_err(|error| refuse(format!("{error}: {expected}")))?;
                (Kind::Pixels, ensure(array.shape(), [size, size, channels])?)
            }
            Err(error) => return Err(refuse(format!("{error}: {expected}"))),
        };
        if images == 0 {
            return Err(refuse("no images, expected at least one".to_owned()));
        }
        Ok(Self { path: path.to_owned(), bytes, kind, images })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> usize {
        self.images
    }

    /// Some of the images, `[b, C, H, W]`.
    pub(super) fn part(&self, images: std::ops::Range<usize>, reader: &Reader) -> Result<Tensor, Error> {
        let unreadable = |error: ViewNpyError| Error::Input { path: self.path.clone(), message: error.to_string() };
        let shape = reader.shape();
        let (c, h, w) = (shape.channels as i64, shape.height as i64, shape.width as i64);
        match self.kind {
            Kind::Values => {
                let array = ArrayView4::<f32>::view_npy(&self.bytes).map_err(unreadable)?;
                let part = array.slice(s![images, .., .., ..]);
                let values = part.as_standard_layout();
                Ok(Tensor::from_slice(values.as_slice().unwrap_or_default()).view([-1, c, h, w]))
            }
            Kind::Pixels => {
                let array = ArrayView4::<u8>::view_npy(&self.bytes).map_err(unreadable)?;
                let part = array.slice(s![images, .., .., ..]);
                let pixels = part.as_standard_layout();
                let values = reader.pixels(pixels.as_slice().unwrap_or_default());
                Ok(Tensor::from_slice(&values).view([-1, h, w, c]).permute([0, 3, 1, 2]))
            }
        }
    }
}

/// Says where a value is that no normalised pixel can be, or be near.
fn check(array: &ArrayView4<'_, f32>, identity: &Identity) -> Result<(), String> {
    let ends = |channel: usize| {
        let (mean, std) = (f64::from(identity.mean[channel]), f64::from(identity.std[channel]));
        [-mean / std, (1.0 - mean) / std]
    };
    let wrong = array.indexed_iter().find(|((_, channel, ..), value)| {
        let most = ends(*channel).into_iter().map(f64::abs).fold(1.0, f64::max);
        value.is_nan() || f64::from(value.abs()) > FAR_OUT * most
    });
    let Some(((image, channel, row, column), value)) = wrong else { return Ok(()) };
    let [low, high] = ends(channel);
    Err(format!(
        "the value at [{image}, {channel}, {row}, {column}] is {value}, where pixels are {low:.2} to {high:.2} once they are \
         normalised: expected such float32 values, or uint8 pixels"
    ))
}
