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
pub use config::{CropRange, FlipRule};
pub use crop::RandomResizedCrop;
pub use erase::{Cutout, CutoutSide, Fill, RandomErasing};
pub use flip::Flip;
pub use jitter::{ColourJitter, GaussianBlur, Greyscale};
pub use mix::{BatchMix, CutMix, Mixup};
pub use pad_crop::{PadCrop, PadMode};
pub use pipeline::Pipeline;
pub use policy::{RandAugment, TrivialAugment};
pub use resize::{CentreCrop, Centred, Interpolation, Resize};

use crate::random::Moment;
use canvas::Canvas;

/// A key of [`AugmentConfig`] that turns one change on.
pub(crate) trait Key: Default {
    /// The change, where it is on.
    fn change(&self) -> Option<Transform>;

    /// The key as it is written to turn the change on.
    fn on() -> Self;

    /// Whether nothing is written for it.
    fn is_absent(&self) -> bool {
        false
    }
}

/// Most keys are tables, there only where the change is made.
impl<T: Clone + Default + Into<Transform>> Key for Option<T> {
    fn change(&self) -> Option<Transform> {
        self.clone().map(Into::into)
    }

    fn on() -> Self {
        Some(T::default())
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

macro_rules! transforms {
    ($($(#[$about:meta])* $transform:ident($change:ty) of $kind:ident $(, $key:ident: $written:ty)?;)*) => {
        /// One change to an image. In a list, as [`Pipeline::new`] takes, they are made in that order.
        ///
        /// As TOML, each is a table that names its `kind`: `{ kind = "random_resized_crop", size = 112 }`.
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "kind", rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Transform {
            $($(#[$about])* $transform($change),)*
        }

        $(impl From<$change> for Transform {
            fn from(change: $change) -> Self {
                Transform::$transform(change)
            }
        })*

        impl Transform {
            fn act(&self) -> Act<'_> {
                match self {
                    $(Self::$transform(change) => Act::$kind(change),)*
                }
            }
        }

        config::augment_config! { $($($transform, $key: $written;)?)* }
    };
}

// Those with a key of a recipe are made in this order.
transforms! {
    /// A random part, resized.
    RandomResizedCrop(RandomResizedCrop) of Pixels;
    /// The whole image, resized.
    Resize(Resize) of Pixels;
    /// The middle.
    CentreCrop(CentreCrop) of Pixels;
    /// The middle of an image of another size, resized.
    Centred(Centred) of Pixels;
    /// A window of the old size in a padded image.
    PadCrop(PadCrop) of Pixels;
    /// Left and right exchanged.
    Flip(Flip) of Pixels;
    /// Two operations of a learnt policy.
    AutoAugment(AutoAugment) of Pixels, auto_augment: Option<AutoAugment>;
    /// Random operations at one strength.
    RandAugment(RandAugment) of Pixels, rand_augment: Option<RandAugment>;
    /// One random operation at a random strength.
    TrivialAugment(TrivialAugment) of Pixels, trivial_augment: Option<TrivialAugment>;
    /// A mixture of changed images.
    AugMix(AugMix) of Pixels, aug_mix: Option<AugMix>;
    /// Random brightness, contrast, saturation and hue.
    ColourJitter(ColourJitter) of Pixels, colour_jitter: Option<ColourJitter>;
    /// No colour, in some images.
    Greyscale(Greyscale) of Pixels, greyscale: Option<Greyscale>;
    /// Smoothed, in some images.
    GaussianBlur(GaussianBlur) of Pixels, gaussian_blur: Option<GaussianBlur>;
    /// A square set to the mean colour.
    Cutout(Cutout) of Values, cutout: CutoutSide;
    /// A random rectangle hidden, in some images.
    RandomErasing(RandomErasing) of Values, random_erasing: Option<RandomErasing>;
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

/// Fails with one line that names the key, its value and what was expected.
fn ensure(valid: bool, key: &str, value: impl std::fmt::Debug, expected: impl std::fmt::Display) -> Result<(), Error> {
    if valid { Ok(()) } else { Err(Error::Config(format!("augment.{key} is {value:?}: expected {expected}"))) }
}

/// Fails unless `low <= high` both lie between the bounds.
fn ensure_range(key: &str, [low, high]: [f64; 2], bounds: [f64; 2]) -> Result<(), Error> {
    let valid = bounds[0] <= low && low <= high && high <= bounds[1];
    ensure(valid, key, [low, high], format_args!("[low, high] between {} and {}", bounds[0], bounds[1]))
}
