//! Labelled images as plain arrays: data sets, augmentation and a loader that works ahead.
//!
//! - A [`Dataset`] is labelled images, addressed by position. [`open`] reads one by its name, such as `digits` or
//!   `cifar10` ([`Manifest::all`] has them all), or by the path of its folder or file, and gives its [`Splits`].
//!   [`fetch`] downloads a known one, [`inspect`] says what is in it.
//! - A [`Pipeline`] makes [`Transform`]s to one image and normalises it: a pure function of seed, epoch and position.
//! - A [`Loader`] serves a data set epoch by epoch as [`Batch`]es, prepared on threads of its own.
//!
//! Nothing here knows about tensors: a batch is `[B, H, W, C]` floats and `[B]` labels in `ndarray`s.
//!
//! ```
//! use std::path::Path;
//! use mp_data::{Loader, LoaderConfig, PadCrop, PadMode, Transform, open};
//!
//! let digits = open("digits", Path::new("unused: digits are built in"))?;
//! let config = LoaderConfig {
//!     batch_size: 64,
//!     transforms: vec![Transform::PadCrop(PadCrop { pad: 1, mode: PadMode::Zero })],
//!     mean: digits.mean,
//!     std: digits.std,
//!     ..LoaderConfig::default()
//! };
//! let loader = Loader::new(digits.train, config)?;
//! for batch in loader.epoch(0, 0) {
//!     assert_eq!(batch?.images.shape()[1..], [8, 8, 1]);
//! }
//! # Ok::<(), mp_data::Error>(())
//! ```

mod dataset;
pub mod decode;
mod error;
mod fetch;
mod fingerprint;
mod format;
mod holdout;
mod ignored;
mod image;
mod inspect;
mod loader;
mod manifest;
mod open;
mod pack;
mod parts;
mod random;
mod recolour;
mod sheet;
mod sizes;
mod statistics;
mod subset;
mod transform;
mod walk;

use mp_files as file;

pub use dataset::{Dataset, Images};
pub use error::{Error, Line};
pub use fetch::{Progress, fetch};
pub use format::{Format, read_picture};
pub use holdout::{Holdout, holdout, stratified_holdout};
pub use ignored::Ignored;
pub use image::{Image, ImageShape, ImageView, Rows};
pub use inspect::{Report, Spread, inspect};
pub use loader::{
    Batch, EpochIter, Loader, LoaderConfig, OnDamage, Position, Sampler, Share, SkipCount, Skipped, Uneven,
};
pub use manifest::{Content, Download, Limits, Manifest, Source, Tree};
pub use open::{Splits, open};
pub use pack::{Packing, pack};
pub use recolour::{Recoloured, recolour};
pub use sheet::sheet;
pub use sizes::Sizes;
pub use statistics::Statistics;
pub use subset::Subset;
pub use transform::{
    AugMix, AugmentConfig, AutoAugment, BatchMix, CentreCrop, Centred, ColourJitter, CropRange, CutMix, Cutout,
    CutoutSide, Fill, Flip, FlipRule, GaussianBlur, Greyscale, Interpolation, Mixup, PadCrop, PadMode, Pipeline,
    Policy, RandAugment, RandomErasing, RandomResizedCrop, Resize, Sampling, Scratch, Transform, TrivialAugment,
};
pub use walk::PictureWalk;
