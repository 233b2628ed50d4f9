//! Several chains of operations, mixed with the image.

use rand::RngExt;
use rand_distr::{Distribution, Exp1, Gamma};

use super::affine::Sampling;
use super::canvas::Canvas;
use super::op::{Kind, Limits};
use super::policy::check_colour;
use super::{Change, Size, ensure};
use crate::Error;
use crate::random::{Moment, Purpose};

/// Mixes an image with `width` changed ones, each made by a chain of random operations.
///
/// Hendrycks et al., "AugMix: A Simple Data Processing Method to Improve Robustness and Uncertainty" (arXiv 1912.02781), with
/// the operations and strengths of torchvision. The consistency loss of the paper is not part of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugMix {
    /// Greatest strength of an operation, 1 to 10.
    pub severity: usize,
    /// Chains.
    pub width: usize,
    /// Operations of a chain; 0 draws 1 to 3.
    pub depth: usize,
    /// Parameter of the Dirichlet and Beta distributions that the weights come from: 1 is uniform.
    pub alpha: f64,
    /// Which pixel is taken in shears, shifts and turns.
    pub sampling: Sampling,
}

impl Default for AugMix {
    fn default() -> Self {
        Self { severity: 3, width: 3, depth: 0, alpha: 1.0, sampling: Sampling::Bilinear }
    }
}

const KINDS: [Kind; 13] = [
    Kind::ShearX,
    Kind::ShearY,
    Kind::TranslateX,
    Kind::TranslateY,
    Kind::Rotate,
    Kind::Posterize,
    Kind::Solarize,
    Kind::AutoContrast,
    Kind::Equalize,
    Kind::Brightness,
    Kind::Saturation,
    Kind::Contrast,
    Kind::Sharpness,
];

/// The highest of 10 strengths.
pub(super) const TOP: usize = 9;

pub(super) fn limits(height: usize, width: usize) -> Limits {
    let translate = [width, height].map(|side| side as f64 / 3.0);
    Limits { shear: 0.3, translate, degrees: 30.0, enhance: 0.9, bits: [4.0, 4.0] }
}

impl Change for AugMix {
    fn check(&self, channels: usize, size: Size) -> Result<Size, Error> {
        ensure((1..=TOP + 1).contains(&self.severity), "aug_mix.severity", self.severity, "1 to 10")?;
        ensure((1..=MOST).contains(&self.width), "aug_mix.width", self.width, "1 to 16 chains")?;
        ensure(self.depth <= MOST, "aug_mix.depth", self.depth, "at most 16 operations, or 0 for 1 to 3")?;
        ensure((0.01..=100.0).contains(&self.alpha), "aug_mix.alpha", self.alpha, "0.01 to 100")?;
        check_colour("aug_mix", channels)?;
        Ok(size)
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        let mut random = moment.generator(Purpose::AugMix);
        let shape = canvas.shape();
        let limits = limits(shape.height, shape.width);
        // Beta(a, a) is what two Gamma variables share out; so is the Dirichlet distribution among more.
        let mut weights = [0.0; MOST];
        let weights = &mut weights[..self.width];
        let mut gamma = || gamma(self.alpha, &mut random);
        let (original, changed) = (gamma(), gamma());
        let kept = original / (original + changed);
        weights.fill_with(gamma);
        let sum: f64 = weights.iter().sum();

        canvas.mix_in(|canvas, sums| {
            sums.begin(canvas.view(), kept as f32);
            for &mut weight in weights {
                sums.restore(canvas);
                let depth = if self.depth == 0 { random.random_range(1..=3) } else { self.depth };
                for _ in 0..depth {
                    let kind = KINDS[random.random_range(0..KINDS.len())];
                    let level = random.random_range(0..self.severity);
                    kind.at(level, TOP, random.random(), &limits).apply(canvas, self.sampling);
                }
                sums.add(canvas.view(), ((1.0 - kept) * weight / sum) as f32);
            }
            sums.finish(canvas);
        });
    }
}

/// Most chains, and operations of a chain.
const MOST: usize = 16;

fn gamma(alpha: f64, random: &mut impl rand::Rng) -> f64 {
    // The parameter was checked; with 1, which is usual, Gamma is the exponential distribution.
    let value = match Gamma::new(alpha, 1.0) {
        Ok(gamma) => gamma.sample(random),
        Err(_) => Exp1.sample(random),
    };
    value.max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::canvas::Scratch;
    use crate::{ImageShape, ImageView};

    const SHAPE: ImageShape = ImageShape { channels: 3, height: 8, width: 8 };

    fn done(augmix: &AugMix, pixels: &[u8], index: usize) -> Vec<u8> {
        let mut scratch = Scratch::new();
        let mut canvas = Canvas::new(ImageView::new(SHAPE, pixels), &mut scratch);
        augmix.apply(&mut canvas, Moment { seed: 1, epoch: 0, index, turn: 0 });
        canvas.view().pixels().to_vec()
    }

    #[test]
    fn weights_sum_to_one() {
        // At the lowest strength the chains change an even grey of 128 only by solarizing (which leaves what is below 255),
        // posterizing to 4 bits (which leaves 128) and the like: all chains give the image, and so does their mean, but for
        // the dropped fraction of sums that come out just below.
        let augmix = AugMix { severity: 1, sampling: Sampling::Nearest, ..AugMix::default() };
        for index in 0..20 {
            assert!(done(&augmix, &[128; 192], index).iter().all(|&level| level == 128 || level == 127));
        }
    }

    #[test]
    fn images_and_epochs_differ() {
        let pixels: Vec<u8> = (0..192).map(|at| (at * 37 % 251) as u8).collect();
        let augmix = AugMix::default();
        assert_eq!(done(&augmix, &pixels, 3), done(&augmix, &pixels, 3));
        assert_ne!(done(&augmix, &pixels, 3), done(&augmix, &pixels, 4));
        assert_ne!(done(&augmix, &pixels, 3), pixels);
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let message = |augmix: AugMix| augmix.check(3, None).unwrap_err().to_string();
        for (augmix, expected) in [
            (AugMix { severity: 11, ..AugMix::default() }, "augment.aug_mix.severity is 11: expected 1 to 10"),
            (AugMix { width: 0, ..AugMix::default() }, "augment.aug_mix.width is 0: expected 1 to 16 chains"),
            (AugMix { alpha: 0.0, ..AugMix::default() }, "augment.aug_mix.alpha is 0.0: expected 0.01 to 100"),
        ] {
            assert_eq!(message(augmix), expected);
        }
    }
}
