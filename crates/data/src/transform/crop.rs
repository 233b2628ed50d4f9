//! A random part of an image, resized.

use rand::{Rng, RngExt};

use super::canvas::Canvas;
use super::resize::{Part, check_channels, check_side, resize};
use super::{Change, Interpolation, Size, ensure_range};
use crate::random::{Moment, Purpose};
use crate::{Error, ImageShape};

/// Cuts out a part of random area and aspect ratio and resizes it to a square.
///
/// Szegedy et al., "Going Deeper with Convolutions" (arXiv 1409.4842), section 6; area and ratio are drawn by torchvision's
/// rule: ten attempts, then the largest part in the middle whose ratio is allowed.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Pixels of both sides of what comes out.
    pub size: usize,
    /// Least and greatest area, as a share of the image's.
    #[serde(default = "default_scale")]
    pub scale: [f64; 2],
    /// Least and greatest width over height, drawn evenly on a logarithmic scale.
    #[serde(default = "default_ratio")]
    pub ratio: [f64; 2],
    /// The filter.
    #[serde(default)]
    pub interpolation: Interpolation,
}

/// 8% to all of the image.
pub(super) fn default_scale() -> [f64; 2] {
    [0.08, 1.0]
}

/// 3:4 to 4:3.
pub(super) fn default_ratio() -> [f64; 2] {
    [3.0 / 4.0, 4.0 / 3.0]
}

impl RandomResizedCrop {
    /// To squares of `size` pixels a side, from 8% to all of the area, 3:4 to 4:3, bilinear.
    pub fn new(size: usize) -> Self {
        Self { size, scale: default_scale(), ratio: default_ratio(), interpolation: Interpolation::default() }
    }

    fn part(&self, shape: ImageShape, moment: Moment) -> Part {
        self.draw(shape.height, shape.width, &mut moment.generator(Purpose::ResizedCrop))
    }

    /// Draws the part of an image that is used.
    fn draw(&self, height: usize, width: usize, random: &mut impl Rng) -> Part {
        let area = (height * width) as f64;
        let log_ratio = self.ratio.map(f64::ln);
        for _ in 0..10 {
            let target = area * random.random_range(self.scale[0]..=self.scale[1]);
            let ratio = random.random_range(log_ratio[0]..=log_ratio[1]).exp();
            let part_width = (target * ratio).sqrt().round_ties_even() as usize;
            let part_height = (target / ratio).sqrt().round_ties_even() as usize;
            if (1..=width).contains(&part_width) && (1..=height).contains(&part_height) {
                let top = random.random_range(0..=height - part_height);
                let left = random.random_range(0..=width - part_width);
                return Part { top, left, height: part_height, width: part_width };
            }
        }
        self.fallback(height, width)
    }

    fn fallback(&self, height: usize, width: usize) -> Part {
        let found = width as f64 / height as f64;
        let (part_height, part_width) = if found < self.ratio[0] {
            ((width as f64 / self.ratio[0]).round_ties_even() as usize, width)
        } else if found > self.ratio[1] {
            (height, (height as f64 * self.ratio[1]).round_ties_even() as usize)
        } else {
            (height, width)
        };
        // An image of one pixel by many can round to nothing or to more than there is.
        let (part_height, part_width) = (part_height.clamp(1, height), part_width.clamp(1, width));
        let (top, left) = ((height - part_height) / 2, (width - part_width) / 2);
        Part { top, left, height: part_height, width: part_width }
    }
}

impl Change for RandomResizedCrop {
    fn check(&self, channels: usize, _size: Size) -> Result<Size, Error> {
        check_side("random_resized_crop.size", self.size)?;
        ensure_range("random_resized_crop.scale", self.scale, [1e-4, 1.0])?;
        ensure_range("random_resized_crop.ratio", self.ratio, [0.01, 100.0])?;
        check_channels("random_resized_crop", channels)?;
        Ok(Some((self.size, self.size)))
    }

    fn rows(&self, shape: ImageShape, moment: Moment) -> usize {
        let part = self.part(shape, moment);
        part.top + part.height
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        let part = self.part(canvas.shape(), moment);
        resize(canvas, part, (self.size, self.size), self.interpolation);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn draws(crop: &RandomResizedCrop, height: usize, width: usize) -> Vec<Part> {
        let random = |index| Moment { seed: 1, epoch: 0, index, turn: 0 }.generator(Purpose::ResizedCrop);
        (0..4000).map(|index| crop.draw(height, width, &mut random(index))).collect()
    }

    #[test]
    fn areas_and_ratios_fill_their_ranges_evenly() {
        let crop = RandomResizedCrop { scale: [0.2, 0.4], ..RandomResizedCrop::new(32) };
        let (mut areas, mut ratios) = (Vec::new(), Vec::new());
        for part in draws(&crop, 1000, 1000) {
            areas.push((part.height * part.width) as f64 / 1e6);
            ratios.push((part.width as f64 / part.height as f64).ln());
        }
        // Rounding sides of 400 pixels and more changes an area by up to 0.3% and a ratio's logarithm by 0.3%.
        let log = (4.0_f64 / 3.0).ln();
        for (values, low, high, slack) in [(areas, 0.2, 0.4, 0.001), (ratios, -log, log, 0.003)] {
            assert!(values.iter().all(|&value| low - slack <= value && value <= high + slack));
            // A uniform variable: the mean of 4000 deviates by (high - low) / sqrt(12 * 4000); five deviations are allowed.
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            assert!((mean - (low + high) / 2.0).abs() < 5.0 * (high - low) / 48000_f64.sqrt(), "{mean}");
            let lower = values.iter().filter(|&&value| value < low + (high - low) / 4.0).count();
            // 1000 expected in the lowest quarter, deviation 27.
            assert!(lower.abs_diff(1000) < 137, "{lower}");
        }
    }

    #[test]
    fn places_fill_the_image() {
        let crop = RandomResizedCrop { scale: [0.25, 0.25], ratio: [1.0, 1.0], ..RandomResizedCrop::new(32) };
        // Always 4 x 4 of 8 x 8: 25 places, 160 expected at each, deviation 12.4.
        let mut counts = [[0_usize; 5]; 5];
        for part in draws(&crop, 8, 8) {
            assert_eq!((part.height, part.width), (4, 4));
            counts[part.top][part.left] += 1;
        }
        assert!(counts.iter().flatten().all(|&count| count.abs_diff(160) < 62), "{counts:?}");
    }

    #[test]
    fn an_image_that_allows_no_part_gives_its_middle() {
        let crop = RandomResizedCrop { scale: [1.0, 1.0], ..RandomResizedCrop::new(32) };
        // All of the area of a strip of 10 x 100 at 3:4 to 4:3 is higher than the strip: 10 x round(10 * 4 / 3) remain.
        assert_eq!(crop.draw(10, 100, &mut random()), Part { top: 0, left: 43, height: 10, width: 13 });
        assert_eq!(crop.draw(100, 9, &mut random()), Part { top: 44, left: 0, height: 12, width: 9 });
    }

    fn random() -> impl Rng {
        Moment { seed: 0, epoch: 0, index: 0, turn: 0 }.generator(Purpose::ResizedCrop)
    }

    proptest! {
        #[test]
        fn a_part_lies_in_the_image(
            (height, width) in (1_usize..40, 1_usize..40),
            (low, high) in (0.0001_f64..=1.0, 0.0001_f64..=1.0),
            ratio in 0.01_f64..=1.0,
            index in 0_usize..1000,
        ) {
            let scale = [low.min(high), low.max(high)];
            let crop = RandomResizedCrop { scale, ratio: [ratio, 1.0 / ratio], ..RandomResizedCrop::new(8) };
            let mut random = Moment { seed: 3, epoch: 1, index, turn: 0 }.generator(Purpose::ResizedCrop);
            let part = crop.draw(height, width, &mut random);
            prop_assert!(part.height >= 1 && part.top + part.height <= height, "{part:?}");
            prop_assert!(part.width >= 1 && part.left + part.width <= width, "{part:?}");
        }
    }
}
