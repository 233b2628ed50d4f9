//! Random changes to an image that leave its class as it is.

use std::ops::Range;

use rand::RngExt;

use super::normalise::Normalise;
use crate::random::{Purpose, generator};
use crate::{Error, ImageShape};

/// Which changes are made, in this order: pad and crop, flip, cut out.
///
/// The default is no change at all; the usual recipe for CIFAR is to pad 4 and to flip.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Black pixels added on every side before an image of the old size is cut from a random place; 0 turns it off.
    pub pad: usize,
    /// Whether to mirror left and right in half of the cases.
    pub flip: bool,
    /// Side of a square that is set to the mean colour around a random pixel, cut off at the border; 0 turns it off.
    /// DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (arXiv 1708.04552).
    pub cutout: usize,
}

impl AugmentConfig {
    pub(super) fn check(&self, shape: ImageShape) -> Result<(), Error> {
        let side = shape.height.min(shape.width);
        if self.pad >= side {
            return Err(Error::Config(format!(
                "augment.pad is {}: expected less than {side}, the side of images of {shape}, or nothing of them may be left",
                self.pad
            )));
        }
        if self.cutout > side {
            return Err(Error::Config(format!(
                "augment.cutout is {}: expected at most {side}, the side of images of {shape}",
                self.cutout
            )));
        }
        Ok(())
    }
}

/// What chance decided for one image in one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Draw {
    /// Top left corner of the crop in the padded image.
    top: usize,
    left: usize,
    pad: usize,
    mirrored: bool,
    /// The pixel in the middle of the cut-out square, and its side.
    middle: (usize, usize),
    cutout: usize,
}

impl Draw {
    /// Every number is drawn whether it is used or not, so that switching one change does not alter the others.
    pub(super) fn new(config: &AugmentConfig, shape: ImageShape, seed: u64, epoch: u64, index: usize) -> Self {
        let mut random = generator(Purpose::Augment, seed, epoch, index as u64);
        let mirrored = random.random::<bool>();
        let middle = (random.random_range(0..shape.height), random.random_range(0..shape.width));
        let (top, left) = (random.random_range(0..=2 * config.pad), random.random_range(0..=2 * config.pad));
        Self { top, left, pad: config.pad, mirrored: config.flip && mirrored, middle, cutout: config.cutout }
    }

    /// Cuts `shape` out of the padded image, mirrors it if chance said so, and normalises it.
    pub(super) fn crop_and_flip(&self, pixels: &[u8], shape: ImageShape, normalise: &Normalise, out: &mut [f32]) {
        let ImageShape { channels, height, width } = shape;
        let row = width * channels;
        let (from, to) = overlap(self.left, self.pad, width);
        // A mirrored row is the same copy seen from the other end.
        let to = if self.mirrored { width - to.end..width - to.start } else { to };
        let (from, to) = (from.start * channels..from.end * channels, to.start * channels..to.end * channels);
        let (rows_from, rows_to) = overlap(self.top, self.pad, height);

        normalise.fill_black(&mut out[..rows_to.start * row]);
        normalise.fill_black(&mut out[rows_to.end * row..]);
        let source = pixels[rows_from.start * row..rows_from.end * row].chunks_exact(row);
        let target = out[rows_to.start * row..rows_to.end * row].chunks_exact_mut(row);
        for (source, target) in source.zip(target) {
            normalise.fill_black(&mut target[..to.start]);
            normalise.fill_black(&mut target[to.end..]);
            let (source, target) = (&source[from.clone()], &mut target[to.clone()]);
            if self.mirrored { normalise.run_mirrored(source, target) } else { normalise.run(source, target) }
        }
    }

    /// Sets the square to 0, which is the mean colour after normalisation.
    pub(super) fn cut_out(&self, shape: ImageShape, out: &mut [f32]) {
        let ImageShape { channels, height, width } = shape;
        let (rows, columns) = (self.side(self.middle.0, height), self.side(self.middle.1, width));
        for row in out.chunks_exact_mut(width * channels).take(rows.end).skip(rows.start) {
            row[columns.start * channels..columns.end * channels].fill(0.0);
        }
    }

    /// One side of the square around `middle`, cut off at the border.
    fn side(&self, middle: usize, size: usize) -> Range<usize> {
        let end = (middle + self.cutout.div_ceil(2)).min(size);
        middle.saturating_sub(self.cutout / 2).min(end)..end
    }
}

/// Which part of `0..size` a crop at `offset` of the padded line shows, and where in the crop it lands.
fn overlap(offset: usize, pad: usize, size: usize) -> (Range<usize>, Range<usize>) {
    let from = offset.saturating_sub(pad)..size - pad.saturating_sub(offset);
    let to = pad.saturating_sub(offset)..size - offset.saturating_sub(pad);
    (from, to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Pipeline;

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 3, width: 3 };
    /// ```text
    /// 1 2 3
    /// 4 5 6
    /// 7 8 9
    /// ```
    const PIXELS: [u8; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 9];

    fn done(draw: Draw) -> Vec<f32> {
        // Mean 0 and deviation 1/255 give the bytes back, up to rounding.
        let normalise = Normalise::new(1, &[0.0], &[1.0 / 255.0]).unwrap();
        let mut out = vec![f32::NAN; 9];
        draw.crop_and_flip(&PIXELS, SHAPE, &normalise, &mut out);
        draw.cut_out(SHAPE, &mut out);
        out.into_iter().map(f32::round).collect()
    }

    #[test]
    fn crops_by_hand() {
        let draw = Draw { top: 1, left: 1, pad: 1, mirrored: false, middle: (0, 0), cutout: 0 };
        assert_eq!(done(draw), PIXELS.map(f32::from));
        // Top left of the padded image: a black row above, a black column before.
        assert_eq!(done(Draw { top: 0, left: 0, ..draw }), [0., 0., 0., 0., 1., 2., 0., 4., 5.]);
        assert_eq!(done(Draw { top: 2, left: 1, ..draw }), [4., 5., 6., 7., 8., 9., 0., 0., 0.]);
        assert_eq!(done(Draw { mirrored: true, ..draw }), [3., 2., 1., 6., 5., 4., 9., 8., 7.]);
        assert_eq!(done(Draw { left: 2, mirrored: true, ..draw }), [0., 3., 2., 0., 6., 5., 0., 9., 8.]);
    }

    #[test]
    fn squares_by_hand() {
        let draw = Draw { top: 0, left: 0, pad: 0, mirrored: false, middle: (1, 1), cutout: 1 };
        assert_eq!(done(draw), [1., 2., 3., 4., 0., 6., 7., 8., 9.]);
        // A side of 2 reaches one pixel up and left of the middle.
        assert_eq!(done(Draw { cutout: 2, ..draw }), [0., 0., 3., 0., 0., 6., 7., 8., 9.]);
        assert_eq!(done(Draw { cutout: 3, middle: (0, 2), ..draw }), [1., 0., 0., 4., 0., 0., 7., 8., 9.]);
    }

    #[test]
    fn every_crop_is_equally_likely_and_half_are_mirrored() {
        let config = AugmentConfig { pad: 1, flip: true, cutout: 0 };
        let mut counts = [[0u32; 3]; 3];
        let mut mirrored = 0;
        for index in 0..9000 {
            let draw = Draw::new(&config, SHAPE, 1, 0, index);
            counts[draw.top][draw.left] += 1;
            mirrored += u32::from(draw.mirrored);
        }
        // 1000 expected in each of 9 cells, deviation 30; 4500 mirrored, deviation 47: five deviations are allowed.
        assert!(counts.iter().flatten().all(|count| count.abs_diff(1000) < 150), "{counts:?}");
        assert!(mirrored.abs_diff(4500) < 235, "{mirrored}");
    }

    #[test]
    fn seed_epoch_and_index_each_matter() {
        let config = AugmentConfig { pad: 8, flip: true, cutout: 0 };
        let shape = ImageShape { channels: 3, height: 32, width: 32 };
        let draws =
            |seed, epoch| (0..20).map(|index| Draw::new(&config, shape, seed, epoch, index)).collect::<Vec<_>>();
        assert_eq!(draws(1, 1), draws(1, 1));
        assert_ne!(draws(1, 1), draws(2, 1));
        assert_ne!(draws(1, 1), draws(1, 2));
        assert_ne!(draws(1, 1)[0], draws(1, 1)[1]);
    }

    #[test]
    fn switching_one_change_leaves_the_others() {
        let shape = ImageShape { channels: 3, height: 32, width: 32 };
        for index in 0..20 {
            let draw = |config| Draw::new(&config, shape, 5, 6, index);
            let (all, plain) = (
                draw(AugmentConfig { pad: 4, flip: true, cutout: 8 }),
                draw(AugmentConfig { pad: 4, ..AugmentConfig::default() }),
            );
            assert_eq!((all.top, all.left), (plain.top, plain.left));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (config, message) in [
            (
                AugmentConfig { pad: 3, ..AugmentConfig::default() },
                "augment.pad is 3: expected less than 3, the side of images of 3x3x1, or nothing of them may be left",
            ),
            (
                AugmentConfig { cutout: 4, ..AugmentConfig::default() },
                "augment.cutout is 4: expected at most 3, the side of images of 3x3x1",
            ),
        ] {
            assert_eq!(Pipeline::new(SHAPE, Some(config), &[], &[], 0).unwrap_err().to_string(), message);
        }
    }

    proptest! {
        #[test]
        fn a_crop_agrees_with_padding_first(
            (height, width, channels) in (1usize..6, 1usize..6, 1usize..4),
            (pad, top, left) in (0usize..3, 0usize..5, 0usize..5),
            mirrored: bool,
        ) {
            let shape = ImageShape { channels, height, width };
            let pad = pad.min(height.min(width) - 1);
            let draw = Draw { top: top.min(2 * pad), left: left.min(2 * pad), pad, mirrored, middle: (0, 0), cutout: 0 };
            let pixels: Vec<u8> = (1..=shape.len() as u8).collect();
            let normalise = Normalise::new(channels, &[], &[]).unwrap();
            let mut out = vec![f32::NAN; shape.len()];
            draw.crop_and_flip(&pixels, shape, &normalise, &mut out);

            for y in 0..height {
                for x in 0..width {
                    let source_x = if mirrored { width - 1 - x } else { x };
                    let (row, column) = ((y + draw.top).checked_sub(pad), (source_x + draw.left).checked_sub(pad));
                    for c in 0..channels {
                        let expected = match (row, column) {
                            (Some(row), Some(column)) if row < height && column < width => pixels[(row * width + column) * channels + c],
                            _ => 0,
                        };
                        prop_assert_eq!(out[(y * width + x) * channels + c], f32::from(expected) / 255.0);
                    }
                }
            }
        }
    }
}
