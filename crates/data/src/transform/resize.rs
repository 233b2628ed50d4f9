//! Sizes: resampling, and the middle of an image.

use fast_image_resize::images::{CroppedImage, Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};

use super::canvas::Canvas;
use super::{Change, Size, ensure};
use crate::random::Moment;
use crate::{Error, ImageShape, ImageView};

/// The filter of a resize. Both widen with the scale, so that a smaller image shows no moiré (antialiasing), as in Pillow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// A triangle.
    #[default]
    Bilinear,
    /// Keys' cubic with a = -1/2.
    Bicubic,
}

/// Resizes the whole image so that its shorter side has `size` pixels, and its longer side keeps the ratio (rounded down).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Pixels of the shorter side.
    pub size: usize,
    /// The filter.
    #[serde(default)]
    pub interpolation: Interpolation,
}

impl Resize {
    fn target(&self, (height, width): (usize, usize)) -> (usize, usize) {
        let longer = |long: usize, short: usize| (self.size * long / short).max(1);
        if height <= width { (self.size, longer(width, height)) } else { (longer(height, width), self.size) }
    }
}

impl Change for Resize {
    fn check(&self, channels: usize, size: Size) -> Result<Size, Error> {
        check_side("resize.size", self.size)?;
        check_channels("resize", channels)?;
        Ok(size.map(|size| self.target(size)))
    }

    fn apply(&self, canvas: &mut Canvas<'_>, _moment: Moment) {
        let shape = canvas.shape();
        let (height, width) = self.target((shape.height, shape.width));
        let part = Part { top: 0, left: 0, height: shape.height, width: shape.width };
        resize(canvas, part, (height, width), self.interpolation);
    }
}

/// Keeps the `size` x `size` pixels in the middle; a side that is shorter is padded with black.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CentreCrop {
    /// Pixels of both sides.
    pub size: usize,
}

impl Change for CentreCrop {
    fn check(&self, _channels: usize, _size: Size) -> Result<Size, Error> {
        check_side("centre_crop.size", self.size)?;
        Ok(Some((self.size, self.size)))
    }

    fn apply(&self, canvas: &mut Canvas<'_>, _moment: Moment) {
        let old = canvas.shape();
        if (old.height, old.width) == (self.size, self.size) {
            return;
        }
        let shape = ImageShape { height: self.size, width: self.size, ..old };
        canvas.rewrite(shape, |source, target, _| {
            let channels = old.channels;
            let (rows, columns) = (middle(old.height, self.size), middle(old.width, self.size));
            if rows.length < self.size || columns.length < self.size {
                target.fill(0);
            }
            let source = source.pixels().chunks_exact(old.width * channels).skip(rows.from).take(rows.length);
            let target = target.chunks_exact_mut(self.size * channels).skip(rows.to);
            for (source, target) in source.zip(target) {
                target[columns.to * channels..][..columns.length * channels]
                    .copy_from_slice(&source[columns.from * channels..][..columns.length * channels]);
            }
        });
    }
}

/// Which pixels of a line are kept, and where they land.
#[derive(Debug, PartialEq)]
struct Span {
    from: usize,
    to: usize,
    length: usize,
}

/// The middle `new` of `old` pixels. A half is rounded to even where pixels are cut off, and down where some are added, as
/// torchvision does.
fn middle(old: usize, new: usize) -> Span {
    if old >= new {
        let rest = old - new;
        let from = rest / 2 + usize::from(rest % 4 == 3);
        Span { from, to: 0, length: new }
    } else {
        Span { from: 0, to: (new - old) / 2, length: old }
    }
}

/// A part of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

/// Replaces an image by a part of it, resized. Nothing outside the part is looked at; nothing is copied but the result.
pub(super) fn resize(
    canvas: &mut Canvas<'_>,
    part: Part,
    (height, width): (usize, usize),
    interpolation: Interpolation,
) {
    let old = canvas.shape();
    let shape = ImageShape { height, width, ..old };
    if shape == old && part == (Part { top: 0, left: 0, height, width }) {
        return;
    }
    canvas.rewrite(shape, |source, target, resizer| resample(source, part, shape, target, interpolation, resizer));
}

fn resample(
    source: ImageView<'_>,
    part: Part,
    shape: ImageShape,
    target: &mut [u8],
    interpolation: Interpolation,
    resizer: &mut Resizer,
) {
    let kind = match shape.channels {
        1 => PixelType::U8,
        2 => PixelType::U8x2,
        3 => PixelType::U8x3,
        _ => PixelType::U8x4,
    };
    let filter = match interpolation {
        Interpolation::Bilinear => FilterType::Bilinear,
        Interpolation::Bicubic => FilterType::CatmullRom,
    };
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(false);
    let old = source.shape();
    let done = (|| {
        let source = ImageRef::new(old.width as u32, old.height as u32, source.pixels(), kind).ok()?;
        let [left, top, width, height] = [part.left, part.top, part.width, part.height].map(|side| side as u32);
        let source = CroppedImage::new(&source, left, top, width, height).ok()?;
        let mut target = Image::from_slice_u8(shape.width as u32, shape.height as u32, target, kind).ok()?;
        resizer.resize(&source, &mut target, &options).ok()
    })();
    assert!(done.is_some(), "{part:?} of an image of {old} is resized to {shape}");
}

/// Fails for a side that no image should have.
pub(super) fn check_side(key: &str, size: usize) -> Result<(), Error> {
    ensure((1..=MAX_SIDE).contains(&size), key, size, format_args!("1 to {MAX_SIDE} pixels"))
}

const MAX_SIDE: usize = 16384;

/// Fails unless the resampler has a pixel type for so many channels.
pub(super) fn check_channels(key: &str, channels: usize) -> Result<(), Error> {
    if (1..=4).contains(&channels) {
        return Ok(());
    }
    Err(Error::Config(format!("augment.{key} takes images of 1 to 4 channels: these have {channels}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_by_hand() {
        // 5 - 2 = 3 pixels go: 1.5 rounds to 2 on the left. 4 - 3 = 1: 0.5 rounds to 0.
        assert_eq!(middle(5, 2), Span { from: 2, to: 0, length: 2 });
        assert_eq!(middle(4, 3), Span { from: 0, to: 0, length: 3 });
        assert_eq!(middle(7, 2), Span { from: 2, to: 0, length: 2 });
        assert_eq!(middle(3, 6), Span { from: 0, to: 1, length: 3 });
    }

    #[test]
    fn the_longer_side_keeps_the_ratio() {
        let resize = Resize { size: 100, interpolation: Interpolation::Bilinear };
        assert_eq!(resize.target((375, 500)), (100, 133));
        assert_eq!(resize.target((500, 333)), (150, 100));
        assert_eq!(resize.target((100, 1)), (10000, 100));
    }
}
