//! A window of the old size in a padded image.

use std::ops::Range;

use rand::RngExt;

use super::canvas::Canvas;
use super::{Change, Size, ensure};
use crate::random::{Moment, Purpose};
use crate::{Error, ImageShape};

/// Pads every side and cuts an image of the old size from a random place: the usual change for CIFAR, with 4 pixels.
///
/// Lee et al., "Deeply-Supervised Nets" (arXiv 1409.5185), section 3.1; He et al., "Deep Residual Learning for Image
/// Recognition" (arXiv 1512.03385), section 4.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PadCrop {
    /// Pixels added on every side.
    pub pad: usize,
    /// What they are.
    #[serde(default)]
    pub mode: PadMode,
}

/// What an image is padded with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PadMode {
    /// Black.
    #[default]
    Zero,
    /// The image, mirrored at its border pixel, which is not repeated: `c b | a b c | b a`.
    Reflect,
}

impl PadMode {
    /// Which of `size` pixels is seen at `at` of the padded line; `None` for black.
    fn source(self, at: usize, pad: usize, size: usize) -> Option<usize> {
        match (at.checked_sub(pad), self) {
            (Some(at), _) if at < size => Some(at),
            (_, Self::Zero) => None,
            (None, Self::Reflect) => Some(pad - at),
            (Some(at), Self::Reflect) => Some(2 * (size - 1) - at),
        }
    }
}

impl Change for PadCrop {
    fn check(&self, _channels: usize, size: Size) -> Result<Size, Error> {
        let Some((height, width)) = size else {
            return Err(Error::Config(
                "augment.pad needs images of one size: expected a random resized crop or a centre crop before it"
                    .to_owned(),
            ));
        };
        let side = height.min(width);
        let expected =
            format_args!("less than {side}, the side of images of {height}x{width}, or nothing of them may be left");
        ensure(self.pad < side, "pad", self.pad, expected)?;
        Ok(size)
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        Window::draw(Some(self), false, moment).apply(canvas);
    }
}

/// What the pixels of an image become on their way.
pub(super) trait Writer<T> {
    /// Writes whole pixels.
    fn run(&self, pixels: &[u8], out: &mut [T]);

    /// Writes whole pixels in the opposite order.
    fn run_mirrored(&self, pixels: &[u8], out: &mut [T]);

    /// Writes black pixels.
    fn fill_black(&self, out: &mut [T]);
}

/// Bytes as they are; with the number of channels.
struct Copy(usize);

impl Writer<u8> for Copy {
    fn run(&self, pixels: &[u8], out: &mut [u8]) {
        out.copy_from_slice(pixels);
    }

    fn run_mirrored(&self, pixels: &[u8], out: &mut [u8]) {
        let pixels = pixels.rchunks_exact(self.0).zip(out.chunks_exact_mut(self.0));
        pixels.for_each(|(source, target)| target.copy_from_slice(source));
    }

    fn fill_black(&self, out: &mut [u8]) {
        out.fill(0);
    }
}

/// What chance decided for one image: a window of the padded image, perhaps mirrored, written in one pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    /// Top left corner of the window in the padded image.
    pub(super) top: usize,
    pub(super) left: usize,
    pub(super) pad: usize,
    pub(super) mode: PadMode,
    pub(super) mirrored: bool,
}

impl Window {
    /// Where the window lies; without `crop` it is the image itself.
    pub(super) fn draw(crop: Option<&PadCrop>, mirrored: bool, moment: Moment) -> Self {
        let Some(&PadCrop { pad, mode }) = crop else {
            return Self { top: 0, left: 0, pad: 0, mode: PadMode::Zero, mirrored };
        };
        let mut random = moment.generator(Purpose::PadCrop);
        let (top, left) = (random.random_range(0..=2 * pad), random.random_range(0..=2 * pad));
        Self { top, left, pad, mode, mirrored }
    }

    /// Makes the image what the window shows.
    pub(super) fn apply(&self, canvas: &mut Canvas<'_>) {
        let shape = canvas.shape();
        canvas.rewrite(shape, |source, target, _| self.write(source.pixels(), shape, &Copy(shape.channels), target));
    }

    /// Writes what the window shows of an image of `shape`.
    pub(super) fn write<T>(&self, pixels: &[u8], shape: ImageShape, writer: &impl Writer<T>, out: &mut [T]) {
        let ImageShape { channels, height, width } = shape;
        let row = width * channels;
        let (from, to) = overlap(self.left, self.pad, width);
        for (y, target) in out.chunks_exact_mut(row).enumerate() {
            let Some(source) = self.mode.source(y + self.top, self.pad, height) else {
                writer.fill_black(target);
                continue;
            };
            let source = &pixels[source * row..][..row];
            for x in (0..to.start).chain(to.end..width) {
                let target = &mut target[self.place(x..x + 1, width).start * channels..][..channels];
                match self.mode.source(x + self.left, self.pad, width) {
                    Some(x) => writer.run(&source[x * channels..][..channels], target),
                    None => writer.fill_black(target),
                }
            }
            let place = self.place(to.clone(), width);
            let source = &source[from.start * channels..from.end * channels];
            let target = &mut target[place.start * channels..place.end * channels];
            if self.mirrored { writer.run_mirrored(source, target) } else { writer.run(source, target) }
        }
    }

    /// Where columns of the window land: a mirrored row is the same copy seen from the other end.
    fn place(&self, columns: Range<usize>, width: usize) -> Range<usize> {
        if self.mirrored { width - columns.end..width - columns.start } else { columns }
    }
}

/// Which part of `0..size` a window at `offset` of the padded line shows, and where in the window it lands.
fn overlap(offset: usize, pad: usize, size: usize) -> (Range<usize>, Range<usize>) {
    let from = offset.saturating_sub(pad)..size - pad.saturating_sub(offset);
    let to = pad.saturating_sub(offset)..size - offset.saturating_sub(pad);
    (from, to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 3, width: 3 };
    /// ```text
    /// 1 2 3
    /// 4 5 6
    /// 7 8 9
    /// ```
    const PIXELS: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];
    const MIDDLE: Window = Window { top: 1, left: 1, pad: 1, mode: PadMode::Zero, mirrored: false };

    fn done(window: Window) -> [u8; 9] {
        let mut out = [77; 9];
        window.write(&PIXELS, SHAPE, &Copy(1), &mut out);
        out
    }

    #[test]
    fn windows_by_hand() {
        assert_eq!(done(MIDDLE), PIXELS);
        assert_eq!(done(Window { top: 0, left: 0, ..MIDDLE }), [0, 0, 0, 0, 1, 2, 0, 4, 5]);
        assert_eq!(done(Window { top: 2, left: 2, ..MIDDLE }), [5, 6, 0, 8, 9, 0, 0, 0, 0]);
        assert_eq!(done(Window { mirrored: true, ..MIDDLE }), [3, 2, 1, 6, 5, 4, 9, 8, 7]);
        assert_eq!(done(Window { left: 2, mirrored: true, ..MIDDLE }), [0, 3, 2, 0, 6, 5, 0, 9, 8]);
    }

    #[test]
    fn reflections_by_hand() {
        let reflect = Window { mode: PadMode::Reflect, ..MIDDLE };
        assert_eq!(done(Window { top: 0, left: 0, ..reflect }), [5, 4, 5, 2, 1, 2, 5, 4, 5]);
        assert_eq!(done(Window { top: 4, left: 2, pad: 2, ..reflect }), [7, 8, 9, 4, 5, 6, 1, 2, 3]);
        assert_eq!(done(Window { left: 2, mirrored: true, ..reflect }), [2, 3, 2, 5, 6, 5, 8, 9, 8]);
    }

    #[test]
    fn every_window_is_equally_likely() {
        let crop = PadCrop { pad: 1, mode: PadMode::Zero };
        let mut counts = [[0_u32; 3]; 3];
        for index in 0..9000 {
            let window = Window::draw(Some(&crop), false, Moment { seed: 1, epoch: 0, index, turn: 0 });
            counts[window.top][window.left] += 1;
        }
        // 1000 expected in each of 9 cells, deviation 30: five deviations are allowed.
        assert!(counts.iter().flatten().all(|count| count.abs_diff(1000) < 150), "{counts:?}");
    }

    proptest! {
        #[test]
        fn a_window_agrees_with_padding_first(
            (height, width, channels) in (1_usize..6, 1_usize..6, 1_usize..4),
            (pad, top, left) in (0_usize..5, 0_usize..9, 0_usize..9),
            (reflect, mirrored) in (any::<bool>(), any::<bool>()),
        ) {
            let shape = ImageShape { channels, height, width };
            let pad = pad.min(height.min(width) - 1);
            let mode = if reflect { PadMode::Reflect } else { PadMode::Zero };
            let window = Window { top: top.min(2 * pad), left: left.min(2 * pad), pad, mode, mirrored };
            let pixels: Vec<u8> = (1..=shape.len() as u8).collect();
            let mut out = vec![0; shape.len()];
            window.write(&pixels, shape, &Copy(channels), &mut out);

            // A coordinate beyond the border bounces back from the border pixel.
            let bounce = |at: isize, size: usize| match at {
                at if (0..size as isize).contains(&at) => Some(at as usize),
                _ if !reflect => None,
                at if at < 0 => Some(-at as usize),
                at => Some(2 * (size - 1) - at as usize),
            };
            for y in 0..height {
                for x in 0..width {
                    let padded_x = if mirrored { width - 1 - x } else { x };
                    let row = bounce((y + window.top) as isize - pad as isize, height);
                    let column = bounce((padded_x + window.left) as isize - pad as isize, width);
                    for c in 0..channels {
                        let expected = match (row, column) {
                            (Some(row), Some(column)) => pixels[(row * width + column) * channels + c],
                            _ => 0,
                        };
                        prop_assert_eq!(out[(y * width + x) * channels + c], expected);
                    }
                }
            }
        }
    }
}
