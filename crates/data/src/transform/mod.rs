//! From the bytes of an image to the values a network sees.

mod affine;
mod augmix;
mod auto_augment;
mod blend;
mod canvas;
pub(crate) mod colour;
mod config;
mod crop;
mod erase;
mod filter;
mod flip;
#[cfg(test)]
mod golden;
mod jitter;
mod mix;
mod normalise;
mod op;
mod pad_crop;
mod pipeline;
mod policy;
mod resize;
mod tone;

use crate::{Error, ImageShape};

pub use affine::Sampling;
pub use augmix::AugMix;
pub use auto_augment::{AutoAugment, Policy};
pub use canvas::Scratch;
pub use config::{AugmentConfig, CropRange, FlipRule};
pub use crop::RandomResizedCrop;
pub use erase::{Cutout, Fill, RandomErasing};
pub use flip::Flip;
pub use jitter::{ColourJitter, GaussianBlur, Greyscale};
pub use mix::{BatchMix, CutMix, Mixup};
pub use pad_crop::{PadCrop, PadMode};
pub use pipeline::Pipeline;
pub use policy::{RandAugment, TrivialAugment};
pub use resize::{CentreCrop, Centred, Interpolation, Resize};

use crate::random::Moment;
use canvas::Canvas;

/// One change to an image. In a list, as [`Pipeline::new`] takes, they are made in that order.
///
/// As TOML, each is a table that names its `kind`: `{ kind = "random_resized_crop", size = 112 }`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Transform {
    /// A random part, resized.
    RandomResizedCrop(RandomResizedCrop),
    /// The whole image, resized.
    Resize(Resize),
    /// The middle.
    CentreCrop(CentreCrop),
    /// The middle of an image of another size, resized.
    Centred(Centred),
    /// A window of the old size in a padded image.
    PadCrop(PadCrop),
    /// Left and right exchanged.
    Flip(Flip),
    /// Random brightness, contrast, saturation and hue.
    ColourJitter(ColourJitter),
    /// No colour.
    Greyscale(Greyscale),
    /// Smoothed.
    GaussianBlur(GaussianBlur),
    /// Random operations at one strength.
    RandAugment(RandAugment),
    /// One random operation at a random strength.
    TrivialAugment(TrivialAugment),
    /// Two operations of a learnt policy.
    AutoAugment(AutoAugment),
    /// A mixture of changed images.
    AugMix(AugMix),
    /// A square set to the mean colour.
    Cutout(Cutout),
    /// A random rectangle hidden.
    RandomErasing(RandomErasing),
}

/// What a change is made to.
enum Act<'a> {
    /// The bytes of the image.
    Pixels(&'a dyn Change),
    /// The normalised values.
    Values(&'a dyn Erase),
}

/// The height and width of images; `None` where they differ from image to image.
type Size = Option<(usize, usize)>;

/// A change to the bytes of an image.
trait Change {
    /// Fails for parameters that cannot work with images of this size; the size that comes out.
    fn check(&self, channels: usize, size: Size) -> Result<Size, Error>;

    /// How many of the first rows of an image [`apply`](Change::apply) looks at.
    fn rows(&self, shape: ImageShape, moment: Moment) -> usize {
        let _ = moment;
        shape.height
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment);
}

/// A change to normalised values, where 0 is the mean colour.
trait Erase {
    fn check(&self, shape: ImageShape) -> Result<(), Error>;

    fn apply(&self, shape: ImageShape, moment: Moment, out: &mut [f32]);
}

impl Transform {
    fn act(&self) -> Act<'_> {
        match self {
            Self::RandomResizedCrop(change) => Act::Pixels(change),
            Self::Resize(change) => Act::Pixels(change),
            Self::CentreCrop(change) => Act::Pixels(change),
            Self::Centred(change) => Act::Pixels(change),
            Self::PadCrop(change) => Act::Pixels(change),
            Self::Flip(change) => Act::Pixels(change),
            Self::ColourJitter(change) => Act::Pixels(change),
            Self::Greyscale(change) => Act::Pixels(change),
            Self::GaussianBlur(change) => Act::Pixels(change),
            Self::RandAugment(change) => Act::Pixels(change),
            Self::TrivialAugment(change) => Act::Pixels(change),
            Self::AutoAugment(change) => Act::Pixels(change),
            Self::AugMix(change) => Act::Pixels(change),
            Self::Cutout(erase) => Act::Values(erase),
            Self::RandomErasing(erase) => Act::Values(erase),
        }
    }
}

/// Fails with one line that names the key, its value and what was expected.
fn ensure(valid: bool, key: &str, value: impl std::fmt::Debug, expected: impl std::fmt::Display) -> Result<(), Error> {
    if valid { Ok(()) } else { Err(Error::Config(format!("augment.{key} is {value:?}: expected {expected}"))) }
}

/// Fails unless `low <= high` both lie between the bounds.
fn ensure_range(key: &str, [low, high]: [f64; 2], bounds: [f64; 2]) -> Result<(), Error> {
    let valid = bounds[0] <= low && low <= high && high <= bounds[1];
    ensure(valid, key, [low, high], format_args!("[low, high] between {} and {}", bounds[0], bounds[1]))
}
