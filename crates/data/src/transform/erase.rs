//! Parts of an image that are hidden, after normalisation.

use std::ops::Range;

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

use super::jitter::check_probability;
use super::{Erase, Key, Transform, ensure, ensure_range};
use crate::random::{Moment, Purpose};
use crate::{Error, ImageShape};

/// Sets a square around a random pixel to the mean colour; what lies outside the image is cut off.
///
/// DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (arXiv 1708.04552).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cutout {
    /// Side of the square.
    pub size: usize,
}

/// The side of a [`Cutout`] in a recipe; 0 turns it off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct CutoutSide(
    /// Rows and columns of the square.
    pub usize,
);

impl Key for CutoutSide {
    fn change(&self) -> Option<Transform> {
        (self.0 > 0).then_some(Transform::Cutout(Cutout { size: self.0 }))
    }

    fn on() -> Self {
        CutoutSide(1)
    }
}

impl Erase for Cutout {
    fn check(&self, shape: ImageShape) -> Result<(), Error> {
        let side = shape.height.min(shape.width);
        let expected = format_args!("1 to {side}, the side of images of {shape}");
        ensure((1..=side).contains(&self.size), "cutout", self.size, expected)
    }

    fn apply(&self, shape: ImageShape, moment: Moment, out: &mut [f32]) {
        let mut random = moment.generator(Purpose::Cutout);
        let (y, x) = (random.random_range(0..shape.height), random.random_range(0..shape.width));
        erase(shape, self.side(y, shape.height), self.side(x, shape.width), out, || 0.0);
    }
}

impl Cutout {
    /// One side of the square around `middle`, cut off at the border.
    fn side(&self, middle: usize, size: usize) -> Range<usize> {
        let end = (middle + self.size.div_ceil(2)).min(size);
        middle.saturating_sub(self.size / 2).min(end)..end
    }
}

/// Hides a rectangle of random area, aspect ratio and place in some of the images.
///
/// Zhong et al., "Random Erasing Data Augmentation" (arXiv 1708.04896); the rectangle is drawn by torchvision's rule: ten
/// attempts, then the image stays as it is.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandomErasing {
    /// How many images are changed.
    pub probability: f64,
    /// Least and greatest area, as a share of the image's.
    pub scale: [f64; 2],
    /// Least and greatest height over width, drawn evenly on a logarithmic scale.
    pub ratio: [f64; 2],
    /// What the rectangle is filled with.
    pub fill: Fill,
}

/// What a hidden rectangle is filled with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fill {
    /// The mean colour: 0 after normalisation.
    #[default]
    Mean,
    /// Normal noise of deviation 1 in each value.
    Noise,
}

impl Default for RandomErasing {
    fn default() -> Self {
        Self { probability: 0.5, scale: [0.02, 0.33], ratio: [0.3, 3.3], fill: Fill::Mean }
    }
}

impl RandomErasing {
    /// Draws the rows and columns that are hidden.
    fn draw(&self, shape: ImageShape, random: &mut impl Rng) -> Option<(Range<usize>, Range<usize>)> {
        if random.random::<f64>() >= self.probability {
            return None;
        }
        let area = (shape.height * shape.width) as f64;
        let log_ratio = self.ratio.map(f64::ln);
        for _ in 0..10 {
            let target = area * random.random_range(self.scale[0]..=self.scale[1]);
            let ratio = random.random_range(log_ratio[0]..=log_ratio[1]).exp();
            let height = (target * ratio).sqrt().round_ties_even() as usize;
            let width = (target / ratio).sqrt().round_ties_even() as usize;
            if height < shape.height && width < shape.width {
                let top = random.random_range(0..=shape.height - height);
                let left = random.random_range(0..=shape.width - width);
                return Some((top..top + height, left..left + width));
            }
        }
        None
    }
}

impl Erase for RandomErasing {
    fn check(&self, _shape: ImageShape) -> Result<(), Error> {
        check_probability("random_erasing.probability", self.probability)?;
        ensure_range("random_erasing.scale", self.scale, [0.0, 1.0])?;
        ensure_range("random_erasing.ratio", self.ratio, [0.01, 100.0])
    }

    fn apply(&self, shape: ImageShape, moment: Moment, out: &mut [f32]) {
        let mut random = moment.generator(Purpose::RandomErasing);
        if let Some((rows, columns)) = self.draw(shape, &mut random) {
            match self.fill {
                Fill::Mean => erase(shape, rows, columns, out, || 0.0),
                Fill::Noise => erase(shape, rows, columns, out, || StandardNormal.sample(&mut random)),
            }
        }
    }
}

/// Fills a rectangle.
pub(super) fn erase(
    shape: ImageShape,
    rows: Range<usize>,
    columns: Range<usize>,
    out: &mut [f32],
    mut value: impl FnMut() -> f32,
) {
    let ImageShape { channels, width, .. } = shape;
    for row in out.chunks_exact_mut(width * channels).take(rows.end).skip(rows.start) {
        row[columns.start * channels..columns.end * channels].fill_with(&mut value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_by_hand() {
        let shape = ImageShape { channels: 1, height: 3, width: 3 };
        let done = |size, (y, x)| {
            let (cutout, mut out) = (Cutout { size }, [1., 2., 3., 4., 5., 6., 7., 8., 9.]);
            erase(shape, cutout.side(y, 3), cutout.side(x, 3), &mut out, || 0.0);
            out
        };
        assert_eq!(done(1, (1, 1)), [1., 2., 3., 4., 0., 6., 7., 8., 9.]);
        // A side of 2 reaches one pixel up and left of the middle.
        assert_eq!(done(2, (1, 1)), [0., 0., 3., 0., 0., 6., 7., 8., 9.]);
        assert_eq!(done(3, (0, 2)), [1., 0., 0., 4., 0., 0., 7., 8., 9.]);
    }

    #[test]
    fn rectangles_fill_their_ranges() {
        let shape = ImageShape { channels: 1, height: 200, width: 300 };
        let erasing = RandomErasing { probability: 0.25, scale: [0.1, 0.2], ratio: [0.5, 2.0], ..Default::default() };
        let random = |index| Moment { seed: 1, epoch: 0, index, turn: 0 }.generator(Purpose::RandomErasing);
        let found: Vec<_> = (0..16000).filter_map(|index| erasing.draw(shape, &mut random(index))).collect();
        // 4000 expected, deviation 55: five deviations are allowed.
        assert!(found.len().abs_diff(4000) < 275, "{}", found.len());
        let (mut areas, mut ratios) = (0.0, 0.0);
        for (rows, columns) in &found {
            assert!(rows.end <= 200 && columns.end <= 300);
            let (height, width) = (rows.len() as f64, columns.len() as f64);
            let (area, ratio) = (height * width / 60000.0, (height / width).ln());
            // Sides of 54 pixels and more: rounding changes an area or a ratio by up to 1.5%.
            assert!((0.0985..=0.203).contains(&area) && ratio.abs() < 2_f64.ln() + 0.015, "{area} {ratio}");
            areas += area;
            ratios += ratio;
        }
        // Means of uniform variables over 4000: deviations 0.1 / 219 and 1.39 / 219.
        assert!((areas / found.len() as f64 - 0.15).abs() < 0.0025, "{areas}");
        assert!((ratios / found.len() as f64).abs() < 0.035, "{ratios}");
    }

    #[test]
    fn noise_has_mean_zero_and_deviation_one() {
        let shape = ImageShape { channels: 3, height: 100, width: 100 };
        let erasing = RandomErasing { probability: 1.0, fill: Fill::Noise, ..RandomErasing::default() };
        let mut out = vec![f32::NAN; shape.len()];
        erasing.apply(shape, Moment { seed: 1, epoch: 0, index: 2, turn: 0 }, &mut out);
        let hidden: Vec<f64> = out.into_iter().filter(|value| !value.is_nan()).map(f64::from).collect();
        let count = hidden.len() as f64;
        // The least area, 2%, is 600 values.
        assert!(count > 500.0);
        let (mean, square) =
            (hidden.iter().sum::<f64>() / count, hidden.iter().map(|value| value * value).sum::<f64>() / count);
        assert!(
            mean.abs() < 5.0 / count.sqrt() && (square - 1.0).abs() < 5.0 * (2.0 / count).sqrt(),
            "{mean} {square}"
        );
    }
}
