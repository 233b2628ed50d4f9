//! One picture to the values that a network sees, by the code that serves training and evaluation.

use std::path::Path;

use mp_data::{Image, ImageShape, ImageView, Pipeline, Scratch, read_picture, recolour};

use crate::Error;
use crate::images::{Identity, judging};

/// Brings pictures to the form that a network takes.
pub(super) struct Reader {
    shape: ImageShape,
    pipeline: Pipeline,
}

/// What a thread works with.
pub(super) struct Desk {
    decoded: Image,
    coloured: Image,
    scratch: Scratch,
}

impl Desk {
    pub(super) fn new() -> Self {
        Self { decoded: Image::empty(), coloured: Image::empty(), scratch: Scratch::new() }
    }
}

impl Reader {
    /// # Errors
    /// An identity whose statistics or size cannot be.
    pub(super) fn new(identity: &Identity) -> Result<Self, Error> {
        let side = identity.size as usize;
        let shape = ImageShape { channels: identity.channels as usize, height: side, width: side };
        let (transforms, statistics) =
            (judging(shape, identity.crop.unwrap_or(1.0)), (&identity.mean[..], &identity.std[..]));
        Ok(Self { shape, pipeline: Pipeline::new(shape.channels, None, &transforms, statistics, 0)? })
    }

    /// The size of the images that the network takes.
    pub(super) fn shape(&self) -> ImageShape {
        self.shape
    }

    /// The values `[H, W, C]` of the picture in a file.
    pub(super) fn picture(&self, path: &Path, desk: &mut Desk) -> Result<Vec<f32>, Error> {
        let refuse = |message: String| Error::Input { path: path.to_owned(), message };
        if path.is_dir() {
            return Err(refuse("a folder, expected a picture".to_owned()));
        }
        read_picture(path, &mut desk.decoded)?;
        recolour(desk.decoded.view(), self.shape.channels, &mut desk.coloured).map_err(|_| {
            let channels = self.shape.channels;
            refuse(format!("a picture, but the network takes images of {channels} channels: expected a .npy file"))
        })?;
        let mut values = vec![0.0; self.shape.len()];
        self.pipeline.apply(desk.coloured.view(), 0, 0, &mut desk.scratch, &mut values);
        Ok(values)
    }

    /// The values `[B, H, W, C]` of images of the network's size.
    pub(super) fn pixels(&self, pixels: &[u8]) -> Vec<f32> {
        let mut scratch = Scratch::new();
        let mut values = vec![0.0_f32; pixels.len()];
        let images = pixels.chunks_exact(self.shape.len()).zip(values.chunks_exact_mut(self.shape.len()));
        images.for_each(|(image, out)| self.pipeline.apply(ImageView::new(self.shape, image), 0, 0, &mut scratch, out));
        values
    }
}
