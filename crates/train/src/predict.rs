//! What a trained network makes of images from outside.

use std::fs;
use std::path::{Path, PathBuf};

use fast_image_resize::images::Image;
use fast_image_resize::{PixelType, Resizer};
use mp_data::{ImageShape, ImageView, Pipeline, Scratch};
use mp_nn::Mode;
use ndarray::{ArrayD, ArrayView4};
use ndarray_npy::{ViewNpyError, ViewNpyExt, WriteNpyExt};
use tch::{Kind, Tensor};

use crate::Error;
use crate::atomic::{self, Existing};
use crate::checkpoint::Identity;
use crate::trained::Trained;

/// One class with its probability.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Choice {
    /// The name of the class.
    pub class: String,
    /// Its probability, the softmax of the logits.
    pub probability: f64,
}

/// Reads images as a network of `identity` takes them: `[B, C, H, W]`, normalised.
///
/// Files that end in `.npy` hold many images: float32 `[B, C, H, W]` are taken as they are, uint8 `[B, H, W, C]` are pixels.
/// All others hold one picture each (PNG, JPEG, BMP, WebP), of which the largest square in the middle is scaled to the
/// network's size.
///
/// # Errors
/// [`Error::NoImages`]; [`Error::Input`] naming the file and what was expected.
pub fn read(paths: &[PathBuf], identity: &Identity) -> Result<Tensor, Error> {
    let tensors: Vec<Tensor> = paths.iter().map(|path| read_one(path, identity)).collect::<Result<_, _>>()?;
    let images: i64 = tensors.iter().map(|tensor| tensor.size()[0]).sum();
    if images == 0 {
        return Err(Error::NoImages { what: paths.first().map_or("no files".to_owned(), |p| p.display().to_string()) });
    }
    Ok(Tensor::cat(&tensors, 0))
}

/// The logits `[B, N]` of images `[B, C, H, W]`, on the CPU, in batches of at most 256 images.
pub fn logits(trained: &Trained, images: &Tensor) -> Tensor {
    const BATCH: i64 = 256;
    let _guard = tch::no_grad_guard();
    let batches: Vec<Tensor> = images
        .split(BATCH, 0)
        .iter()
        .map(|batch| trained.model.forward(&batch.to_device(trained.device()), Mode::Eval).logits)
        .map(|logits| logits.to_kind(Kind::Float).to_device(tch::Device::Cpu))
        .collect();
    Tensor::cat(&batches, 0)
}

/// The `k` most probable classes of each image, the most probable first.
pub fn top(logits: &Tensor, k: usize, identity: &Identity) -> Vec<Vec<Choice>> {
    let k = k.min(identity.classes.len());
    let (probabilities, classes) = logits.softmax(1, Kind::Double).topk(k as i64, 1, true, true);
    let choice = |image: i64, rank: i64| Choice {
        class: identity.classes[classes.int64_value(&[image, rank]) as usize].clone(),
        probability: probabilities.double_value(&[image, rank]),
    };
    (0..logits.size()[0]).map(|image| (0..k as i64).map(|rank| choice(image, rank)).collect()).collect()
}

/// Writes logits as a float32 `[B, N]` array in NumPy's format, whole or not at all.
///
/// # Errors
/// [`Error::Io`].
pub fn write_npy(path: &Path, logits: &Tensor) -> Result<(), Error> {
    let array: ArrayD<f32> = logits.try_into().map_err(|error| Error::torch("copy the logits", &error))?;
    let mut bytes = Vec::new();
    let unwritable = |error: ndarray_npy::WriteNpyError| Error::io("write", path)(std::io::Error::other(error));
    array.write_npy(&mut bytes).map_err(unwritable)?;
    atomic::write(path, &bytes, Existing::Replace)
}

fn read_one(path: &Path, identity: &Identity) -> Result<Tensor, Error> {
    let is_npy = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("npy"));
    if is_npy { read_npy(path, identity) } else { read_picture(path, identity) }
}

fn read_npy(path: &Path, identity: &Identity) -> Result<Tensor, Error> {
    let (channels, size) = (identity.channels as usize, identity.size as usize);
    let expected =
        format!("expected float32 [B, {channels}, {size}, {size}] or uint8 pixels [B, {size}, {size}, {channels}]");
    // A view of the bytes, since a header could ask for more memory than there is.
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    match ArrayView4::<f32>::view_npy(&bytes) {
        Ok(array) => {
            ensure_shape(path, array.shape(), [channels, size, size], &expected)?;
            let values = Tensor::from_slice(array.as_standard_layout().as_slice().unwrap_or_default());
            Ok(values.view([-1, identity.channels, identity.size, identity.size]))
        }
        Err(ViewNpyError::WrongDescriptor(_)) => {
            let array = ArrayView4::<u8>::view_npy(&bytes).map_err(|error| not_npy(path, &error, &expected))?;
            ensure_shape(path, array.shape(), [size, size, channels], &expected)?;
            normalise(array.as_standard_layout().as_slice().unwrap_or_default(), identity)
        }
        Err(error) => Err(not_npy(path, &error, &expected)),
    }
}

fn ensure_shape(path: &Path, found: &[usize], image: [usize; 3], expected: &str) -> Result<(), Error> {
    if found[1..] == image {
        return Ok(());
    }
    Err(Error::Input { path: path.to_owned(), message: format!("an array of shape {found:?}: {expected}") })
}

fn not_npy(path: &Path, reason: &ViewNpyError, expected: &str) -> Error {
    Error::Input { path: path.to_owned(), message: format!("{reason}: {expected}") }
}

fn read_picture(path: &Path, identity: &Identity) -> Result<Tensor, Error> {
    let unreadable = |reason: &dyn std::fmt::Display| Error::Input {
        path: path.to_owned(),
        message: format!("{reason}: expected a PNG, JPEG, BMP or WebP picture, or an array with the name NAME.npy"),
    };
    let reader = image::ImageReader::open(path).map_err(Error::io("read", path))?;
    let picture = reader.with_guessed_format().map_err(Error::io("read", path))?;
    let picture = picture.decode().map_err(|error| unreadable(&error))?;
    let side = picture.width().min(picture.height());
    let (left, top) = ((picture.width() - side) / 2, (picture.height() - side) / 2);
    let picture = picture.crop_imm(left, top, side, side);
    let (pixels, pixel_type) = match identity.channels {
        1 => (picture.into_luma8().into_raw(), PixelType::U8),
        3 => (picture.into_rgb8().into_raw(), PixelType::U8x3),
        channels => {
            let message =
                format!("a picture, but the network takes images of {channels} channels: expected a .npy file");
            return Err(Error::Input { path: path.to_owned(), message });
        }
    };
    let picture = Image::from_vec_u8(side, side, pixels, pixel_type).map_err(|error| unreadable(&error))?;
    let mut scaled = Image::new(identity.size as u32, identity.size as u32, pixel_type);
    Resizer::new().resize(&picture, &mut scaled, None).map_err(|error| unreadable(&error))?;
    normalise(scaled.buffer(), identity)
}

/// Pixels `[B, H, W, C]` to what the network takes, by the code that normalises training images.
fn normalise(pixels: &[u8], identity: &Identity) -> Result<Tensor, Error> {
    let shape = ImageShape {
        channels: identity.channels as usize,
        height: identity.size as usize,
        width: identity.size as usize,
    };
    let (size, statistics) = ((shape.height, shape.width), (&identity.mean[..], &identity.std[..]));
    let pipeline = Pipeline::new(shape.channels, Some(size), &[], statistics, 0)?;
    let mut scratch = Scratch::new();
    let mut values = vec![0.0_f32; pixels.len()];
    for (index, (image, out)) in pixels.chunks(shape.len()).zip(values.chunks_mut(shape.len())).enumerate() {
        pipeline.apply(ImageView::new(shape, image), 0, index, &mut scratch, out);
    }
    let (size, channels) = (identity.size, identity.channels);
    Ok(Tensor::from_slice(&values).view([-1, size, size, channels]).permute([0, 3, 1, 2]))
}
