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

/// What images are judged by: resized so that the middle square of `size` pixels is `share` of the shorter side, and
/// cropped to it. An image of `size` x `size` pixels is taken as it is.
///
/// Whoever evaluates a network or applies it does this and nothing else to pixels, so that an image is one tensor wherever it
/// is read.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Centred {
    /// Pixels of both sides.
    pub size: usize,
    /// The part of the shorter side that is seen, above 0 and at most 1; 0.875 is usual where training crops at random.
    pub share: f64,
}

impl Centred {
    fn resized(&self) -> Resize {
        let size = (self.size as f64 / self.share).round() as usize;
        Resize { size, interpolation: Interpolation::default() }
    }
}

impl Change for Centred {
    fn check(&self, channels: usize, size: Size) -> Result<Size, Error> {
        let valid = self.share > 0.0 && self.share <= 1.0;
        ensure(valid, "centred.share", self.share, "a number above 0 and at most 1")?;
        check_side("centred.size", self.size)?;
        self.resized().check(channels, size)?;
        Ok(Some((self.size, self.size)))
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        let ImageShape { height, width, .. } = canvas.shape();
        if (height, width) == (self.size, self.size) {
            return;
        }
        let part = body(height, width);
        let resize_whole = self.resized();
        resize(canvas, part, resize_whole.target((part.height, part.width)), resize_whole.interpolation);
        CentreCrop { size: self.size }.apply(canvas, moment);
    }
}

/// All of an image, but for the ends of one that is far longer than wide: they are cut off in the end, and resizing them too
/// would take memory without bound.
fn body(height: usize, width: usize) -> Part {
    const LONGEST: usize = 8;
    let (rows, columns) = (height.min(LONGEST * width), width.min(LONGEST * height));
    Part { top: (height - rows) / 2, left: (width - columns) / 2, height: rows, width: columns }
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
    use crate::{Image as Pixels, Scratch};

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

    #[test]
    fn the_middle_is_a_share_of_the_shorter_side() {
        // 112 / 0.875 = 128.
        assert_eq!(Centred { size: 112, share: 0.875 }.resized().size, 128);
        assert_eq!(Centred { size: 112, share: 1.0 }.resized().size, 112);
    }

    /// What becomes of a grey image whose columns are 0, 1, 2, ...
    fn centred(height: usize, width: usize, change: &Centred) -> Pixels {
        let pixels = (0..height * width).map(|place| (place % width) as u8).collect();
        let image = Pixels::new(ImageShape { channels: 1, height, width }, pixels);
        let mut scratch = Scratch::new();
        let mut canvas = Canvas::new(image.view(), &mut scratch);
        change.apply(&mut canvas, Moment { seed: 0, epoch: 0, index: 0, turn: 0 });
        let view = canvas.view();
        Pixels::new(view.shape(), view.pixels().to_vec())
    }

    #[test]
    fn an_image_of_the_size_asked_for_is_taken_as_it_is() {
        let found = centred(4, 4, &Centred { size: 4, share: 0.5 });
        assert_eq!(found.pixels()[..4], [0, 1, 2, 3]);
        // One column more: resized to 8 x 10, of whose middle four columns the first stands over column 1.25.
        assert_ne!(centred(4, 5, &Centred { size: 4, share: 0.5 }).pixels()[..4], [0, 1, 2, 3]);
    }

    #[test]
    fn the_middle_of_a_strip_is_that_of_its_middle_part() {
        // 8 x 2 pixels of the 2 x 200 matter, from column 92 on, of which the middle two are 99 and 100.
        assert_eq!(body(2, 200), Part { top: 0, left: 92, height: 2, width: 16 });
        assert_eq!(body(300, 200), Part { top: 0, left: 0, height: 300, width: 200 });
        assert_eq!(centred(2, 200, &Centred { size: 2, share: 1.0 }).pixels(), [99, 100, 99, 100]);
    }
}
