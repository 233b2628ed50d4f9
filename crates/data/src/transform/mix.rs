//! Mixing the images of a batch, and their labels with them.

use ndarray::{Array2, ArrayView1, ArrayViewMut4};
use rand::{Rng, RngExt};
use rand_distr::{Beta, Distribution};

use crate::Error;
use crate::random::{Purpose, batch_generator};

/// Blends every image of a batch with another: `λ` of it and `1 - λ` of the other, `λ` drawn from Beta(α, α) for the batch.
///
/// Zhang et al., "mixup: Beyond Empirical Risk Minimization" (arXiv 1710.09412).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mixup {
    /// Parameter α: near 0 one of the two images is almost alone, 1 is uniform.
    pub alpha: f64,
}

/// Pastes a rectangle of another image over every image of a batch. It covers about `1 - λ` of the area, `λ` drawn from
/// Beta(α, α) for the batch; labels are mixed by the area that it really covers.
///
/// Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features" (arXiv 1905.04899).
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutMix {
    /// Parameter α: near 0 the rectangle is almost nothing or everything, 1 is uniform.
    pub alpha: f64,
}

/// What is done to each batch: one of the two, drawn evenly where both are set, in a share of the batches.
///
/// Chance depends on the seed, the epoch and the positions of the batch's images, not on when or where it is made.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchMix {
    /// Blends.
    pub mixup: Option<Mixup>,
    /// Pastes.
    pub cutmix: Option<CutMix>,
    /// How many batches are mixed; the others keep their images, with targets of 0 and 1.
    pub probability: f64,
}

impl Default for BatchMix {
    fn default() -> Self {
        Self { mixup: None, cutmix: None, probability: 1.0 }
    }
}

/// The share that an image keeps of itself.
type Lambda = f64;

impl Mixup {
    /// Mixes each image with the one before it, the first with the last.
    ///
    /// `images` is `[B, H, W, C]` in standard layout.
    pub(super) fn blend(images: &mut ArrayViewMut4<'_, f32>, lambda: Lambda) {
        let (own, other) = (lambda as f32, (1.0 - lambda) as f32);
        with_previous(images, |image, previous| {
            image
                .iter_mut()
                .zip(previous)
                .for_each(|(value, &other_value)| *value = own * *value + other * other_value);
        });
    }
}

/// A rectangle of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) rows: std::ops::Range<usize>,
    pub(super) columns: std::ops::Range<usize>,
}

impl CutMix {
    /// A rectangle around a random pixel, cut off at the border, by torchvision's rule.
    fn draw(self, height: usize, width: usize, random: &mut impl Rng) -> Rectangle {
        let half = 0.5 * (1.0 - beta(self.alpha, random)).sqrt();
        let mut side = |size: usize| {
            let (middle, half) = (random.random_range(0..size), (half * size as f64) as usize);
            middle.saturating_sub(half)..(middle + half).min(size)
        };
        let (columns, rows) = (side(width), side(height));
        Rectangle { rows, columns }
    }

    /// Pastes into each image the rectangle of the one before it, the last one's into the first; gives the share of the
    /// area that is left.
    pub(super) fn paste(images: &mut ArrayViewMut4<'_, f32>, rectangle: &Rectangle) -> Lambda {
        let (_, height, width, channels) = images.dim();
        let Rectangle { rows, columns } = rectangle;
        with_previous(images, |image, previous| {
            for y in rows.clone() {
                let line = (y * width + columns.start) * channels..(y * width + columns.end) * channels;
                image[line.clone()].copy_from_slice(&previous[line]);
            }
        });
        1.0 - (rows.len() * columns.len()) as f64 / (height * width) as f64
    }
}

impl BatchMix {
    /// Fails for parameters out of their range.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check(&self) -> Result<(), Error> {
        let alphas = [("mixup", self.mixup.map(|mix| mix.alpha)), ("cutmix", self.cutmix.map(|mix| mix.alpha))];
        for (key, alpha) in alphas {
            if let Some(alpha) = alpha.filter(|alpha| !(0.001..=1000.0).contains(alpha)) {
                return Err(Error::Config(format!("{key} is {alpha}: expected 0.001 to 1000, or 0 to turn it off")));
            }
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err(Error::Config(format!("mix_probability is {}: expected 0 to 1", self.probability)));
        }
        Ok(())
    }

    /// Mixes `images` (`[B, H, W, C]` in standard layout) of the given `labels` and `positions` in the data set, and gives
    /// the targets: `[B, N]`, each row summing to 1.
    ///
    /// # Panics
    /// If the images are not in standard layout, there are not as many labels as images, or a label is not below
    /// `classes`.
    pub fn apply(
        &self,
        mut images: ArrayViewMut4<'_, f32>,
        labels: ArrayView1<'_, i64>,
        classes: usize,
        (seed, epoch, positions): (u64, u64, &[usize]),
    ) -> Array2<f32> {
        assert_eq!(images.dim().0, labels.len(), "a label for each image");
        let mut random = batch_generator(Purpose::BatchMix, seed, epoch, positions);
        let (hit, second) = (random.random::<f64>() < self.probability, random.random::<bool>());
        let (_, height, width, _) = images.dim();
        let (mixup, cutmix) = match (self.mixup, self.cutmix) {
            _ if !hit => (None, None),
            (Some(mixup), Some(_)) if !second => (Some(mixup), None),
            (Some(_), Some(cutmix)) => (None, Some(cutmix)),
            either => either,
        };
        let mut lambda = 1.0;
        if let Some(mixup) = mixup {
            lambda = beta(mixup.alpha, &mut random);
            Mixup::blend(&mut images, lambda);
        }
        if let Some(cutmix) = cutmix {
            lambda = CutMix::paste(&mut images, &cutmix.draw(height, width, &mut random));
        }
        targets(labels, classes, lambda)
    }
}

/// `λ` for the own class and the rest for that of the image before.
pub(super) fn targets(labels: ArrayView1<'_, i64>, classes: usize, lambda: Lambda) -> Array2<f32> {
    let mut targets = Array2::zeros((labels.len(), classes));
    for (row, &label) in labels.iter().enumerate() {
        let previous = labels[row.checked_sub(1).unwrap_or(labels.len() - 1)];
        targets[[row, label as usize]] += lambda as f32;
        targets[[row, previous as usize]] += (1.0 - lambda) as f32;
    }
    targets
}

/// Shows `change` each image with the one before it as it was; going backwards, only the last must be kept aside.
fn with_previous(images: &mut ArrayViewMut4<'_, f32>, mut change: impl FnMut(&mut [f32], &[f32])) {
    let (batch, height, width, channels) = images.dim();
    let length = height * width * channels;
    let Some(values) = images.as_slice_mut() else { panic!("images in standard layout") };
    if batch < 2 || length == 0 {
        return;
    }
    let last = values[(batch - 1) * length..].to_vec();
    for index in (1..batch).rev() {
        let (before, image) = values.split_at_mut(index * length);
        change(&mut image[..length], &before[(index - 1) * length..]);
    }
    change(&mut values[..length], &last);
}

fn beta(alpha: f64, random: &mut impl Rng) -> Lambda {
    // The parameter was checked: there is no other reason for a refusal.
    Beta::new(alpha, alpha).map_or(1.0, |beta| beta.sample(random))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array4, array};

    use super::*;

    /// Three images of 1 x 2 pixels.
    fn images() -> Array4<f32> {
        Array4::from_shape_vec((3, 1, 2, 1), vec![0.0, 1.0, 10.0, 11.0, 20.0, 21.0]).unwrap()
    }

    #[test]
    fn each_image_is_blended_with_the_one_before() {
        let mut mixed = images();
        Mixup::blend(&mut mixed.view_mut(), 0.75);
        assert_eq!(mixed.into_raw_vec_and_offset().0, [5.0, 6.0, 7.5, 8.5, 17.5, 18.5]);
        assert_eq!(
            targets(array![0, 2, 2].view(), 3, 0.75),
            array![[0.75, 0.0, 0.25], [0.25, 0.0, 0.75], [0.0, 0.0, 1.0]]
        );
    }

    #[test]
    fn a_rectangle_of_the_one_before_is_pasted() {
        let mut mixed = images();
        let rest = CutMix::paste(&mut mixed.view_mut(), &Rectangle { rows: 0..1, columns: 1..2 });
        assert_eq!(rest, 0.5);
        assert_eq!(mixed.into_raw_vec_and_offset().0, [0.0, 21.0, 10.0, 1.0, 20.0, 11.0]);
    }

    fn done(mix: BatchMix, seed: u64, epoch: u64, positions: &[usize]) -> (Array4<f32>, Array2<f32>) {
        let mut images = Array4::from_shape_fn((positions.len(), 8, 8, 1), |(b, y, x, _)| (100 * b + 8 * y + x) as f32);
        let labels = Array1::from_iter((0..positions.len()).map(|at| at as i64));
        let targets = mix.apply(images.view_mut(), labels.view(), positions.len(), (seed, epoch, positions));
        (images, targets)
    }

    const BOTH: BatchMix =
        BatchMix { mixup: Some(Mixup { alpha: 0.5 }), cutmix: Some(CutMix { alpha: 1.0 }), probability: 1.0 };

    #[test]
    fn seed_epoch_and_positions_decide() {
        assert_eq!(done(BOTH, 1, 2, &[5, 6, 7]), done(BOTH, 1, 2, &[5, 6, 7]));
        let other = [(2, 2, [5, 6, 7]), (1, 3, [5, 6, 7]), (1, 2, [5, 7, 6])];
        for (seed, epoch, positions) in other {
            assert_ne!(done(BOTH, 1, 2, &[5, 6, 7]).1, done(BOTH, seed, epoch, &positions).1);
        }
    }

    #[test]
    fn half_of_the_mixed_batches_are_blended() {
        let (mut none, mut blended, mut pasted) = (0, 0, 0);
        for epoch in 0..4000 {
            let (images, targets) = done(BatchMix { probability: 0.5, ..BOTH }, 1, epoch, &[3, 4]);
            assert!(targets.rows().into_iter().all(|row| (row.sum() - 1.0).abs() < 1e-6));
            // A pasted value is one of the other image's: a hundred more or less, whole.
            let whole = images.iter().all(|value| value.fract() == 0.0);
            if targets[[0, 0]] == 1.0 {
                none += 1;
            } else if whole {
                pasted += 1;
            } else {
                blended += 1;
            }
        }
        // A rectangle of less than a pixel a side, 1 - λ below 1/16, leaves the image: 1/16 of 1000 count as not mixed.
        for (count, expected) in [(none, 2062_i32), (blended, 1000), (pasted, 938)] {
            assert!((count - expected).abs() < 160, "{none} {blended} {pasted}");
        }
    }

    #[test]
    fn a_batch_of_one_stays() {
        let (images, targets) = done(BOTH, 1, 1, &[9]);
        assert_eq!(images, Array4::from_shape_fn((1, 8, 8, 1), |(_, y, x, _)| (8 * y + x) as f32));
        assert_eq!(targets, array![[1.0]]);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for (mix, message) in [
            (
                BatchMix { mixup: Some(Mixup { alpha: -1.0 }), ..BatchMix::default() },
                "mixup is -1: expected 0.001 to 1000, or 0 to turn it off",
            ),
            (BatchMix { probability: 2.0, ..BatchMix::default() }, "mix_probability is 2: expected 0 to 1"),
        ] {
            assert_eq!(mix.check().unwrap_err().to_string(), message);
        }
    }
}
