//! From the bytes of an image to the values a network sees.

mod augment;
mod normalise;

pub use augment::AugmentConfig;

use crate::{Error, ImageShape};
use augment::Draw;
use normalise::Normalise;

/// Augments and normalises images of one shape.
///
/// What happens to an image is a pure function of its pixels, the settings, the seed, the epoch and the image's position.
#[derive(Debug, Clone)]
pub struct Pipeline {
    shape: ImageShape,
    normalise: Normalise,
    augment: Option<AugmentConfig>,
    seed: u64,
}

impl Pipeline {
    /// Without `augment`, images are only normalised. Empty `mean` and `std` scale pixels to 0..1 and do nothing else.
    ///
    /// # Errors
    /// [`Error::Config`] if the statistics are not one finite mean and one positive deviation per channel, or the
    /// augmentation does not fit into the image.
    pub fn new(
        shape: ImageShape,
        augment: Option<AugmentConfig>,
        mean: &[f32],
        std: &[f32],
        seed: u64,
    ) -> Result<Self, Error> {
        if let Some(augment) = &augment {
            augment.check(shape)?;
        }
        let augment = augment.filter(|augment| *augment != AugmentConfig::default());
        Ok(Self { shape, normalise: Normalise::new(shape.channels, mean, std)?, augment, seed })
    }

    /// The size of the images that go in and come out.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// Writes one image, `[H, W, C]` in and out; `index` is its position in the data set.
    ///
    /// # Panics
    /// If `pixels` or `out` are not of the length of the shape.
    pub fn apply(&self, pixels: &[u8], epoch: u64, index: usize, out: &mut [f32]) {
        assert!(
            pixels.len() == self.shape.len() && out.len() == self.shape.len(),
            "an image of {} has {} values, not {} in and {} out",
            self.shape,
            self.shape.len(),
            pixels.len(),
            out.len()
        );
        match &self.augment {
            None => self.normalise.run(pixels, out),
            Some(augment) => {
                let draw = Draw::new(augment, self.shape, self.seed, epoch, index);
                draw.crop_and_flip(pixels, self.shape, &self.normalise, out);
                draw.cut_out(self.shape, out);
            }
        }
    }
}
