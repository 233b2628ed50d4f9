//! Policies that choose operations at random, without anything learnt.

use rand::{Rng, RngExt};

use super::affine::Sampling;
use super::canvas::Canvas;
use super::op::{Kind, Limits, Op};
use super::{Change, Size, ensure};
use crate::Error;
use crate::random::{Moment, Purpose};

/// Makes `ops` operations, each drawn evenly from 14, all at one strength.
///
/// Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space" (arXiv 1909.13719), with
/// the operations and strengths of torchvision.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RandAugment {
    /// Operations one after the other.
    pub ops: usize,
    /// Strength, 0 to 30.
    pub magnitude: usize,
    /// Which pixel is taken in shears, shifts and turns.
    pub sampling: Sampling,
}

impl Default for RandAugment {
    fn default() -> Self {
        Self { ops: 2, magnitude: 9, sampling: Sampling::Nearest }
    }
}

/// Makes one operation, drawn evenly from 14, at a random strength: TrivialAugment (Wide).
///
/// Müller and Hutter, "TrivialAugment: Tuning-free Yet State-of-the-Art Data Augmentation" (arXiv 2103.10158), with the
/// operations and strengths of torchvision.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrivialAugment {
    /// Which pixel is taken in shears, shifts and turns.
    pub sampling: Sampling,
}

const KINDS: [Kind; 14] = [
    Kind::Identity,
    Kind::ShearX,
    Kind::ShearY,
    Kind::TranslateX,
    Kind::TranslateY,
    Kind::Rotate,
    Kind::Brightness,
    Kind::Saturation,
    Kind::Contrast,
    Kind::Sharpness,
    Kind::Posterize,
    Kind::Solarize,
    Kind::AutoContrast,
    Kind::Equalize,
];

/// The highest strength.
pub(super) const TOP: usize = 30;

/// Strengths of AutoAugment and RandAugment: shifts are measured by images of 331 pixels.
pub(super) fn searched(height: usize, width: usize) -> Limits {
    let translate = [width, height].map(|side| 150.0 / 331.0 * side as f64);
    Limits { shear: 0.3, translate, degrees: 30.0, enhance: 0.9, bits: [8.0, 4.0] }
}

/// Strengths of TrivialAugment.
pub(super) const WIDE: Limits =
    Limits { shear: 0.99, translate: [32.0; 2], degrees: 135.0, enhance: 0.99, bits: [8.0, 6.0] };

impl RandAugment {
    fn draw(&self, height: usize, width: usize, random: &mut impl Rng) -> Op {
        let kind = KINDS[random.random_range(0..KINDS.len())];
        kind.at(self.magnitude, TOP, random.random(), &searched(height, width))
    }
}

impl TrivialAugment {
    fn draw(random: &mut impl Rng) -> Op {
        let kind = KINDS[random.random_range(0..KINDS.len())];
        kind.at(random.random_range(0..=TOP), TOP, random.random(), &WIDE)
    }
}

impl Change for RandAugment {
    fn check(&self, channels: usize, size: Size) -> Result<Size, Error> {
        ensure((1..=16).contains(&self.ops), "rand_augment.ops", self.ops, "1 to 16")?;
        ensure(self.magnitude <= TOP, "rand_augment.magnitude", self.magnitude, format_args!("0 to {TOP}"))?;
        check_colour("rand_augment", channels)?;
        Ok(size)
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        let (shape, mut random) = (canvas.shape(), moment.generator(Purpose::RandAugment));
        for _ in 0..self.ops {
            self.draw(shape.height, shape.width, &mut random).apply(canvas, self.sampling);
        }
    }
}

impl Change for TrivialAugment {
    fn check(&self, channels: usize, size: Size) -> Result<Size, Error> {
        check_colour("trivial_augment", channels)?;
        Ok(size)
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        Self::draw(&mut moment.generator(Purpose::TrivialAugment)).apply(canvas, self.sampling);
    }
}

/// Fails unless there is grey or red, green and blue: other channels have no luminance.
pub(super) fn check_colour(key: &str, channels: usize) -> Result<(), Error> {
    if channels == 1 || channels == 3 {
        return Ok(());
    }
    Err(Error::Config(format!("augment.{key} takes grey or colour images, 1 or 3 channels: these have {channels}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn random(index: usize) -> impl Rng {
        Moment { seed: 1, epoch: 0, index, turn: 0 }.generator(Purpose::TrivialAugment)
    }

    fn name(op: Op) -> String {
        format!("{op:?}").split('(').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn every_operation_is_equally_likely() {
        for draw in [
            |index| TrivialAugment::draw(&mut random(index)),
            |index| RandAugment::default().draw(32, 32, &mut random(index)),
        ] {
            let mut counts = std::collections::BTreeMap::<String, usize>::new();
            (0..14000).for_each(|index| *counts.entry(name(draw(index))).or_default() += 1);
            assert_eq!(counts.len(), 14);
            // 1000 expected of each, deviation 30.5: five deviations are allowed.
            assert!(counts.values().all(|count| count.abs_diff(1000) < 153), "{counts:?}");
        }
    }

    #[test]
    fn strengths_and_signs_are_even() {
        let slopes: Vec<f64> = (0..14000)
            .filter_map(|index| match TrivialAugment::draw(&mut random(index)) {
                Op::ShearX(slope) => Some(slope),
                _ => None,
            })
            .collect();
        let (count, mean) = (slopes.len(), slopes.iter().sum::<f64>() / slopes.len() as f64);
        // Uniform over -0.99..0.99 in 61 steps: deviation about 0.58, of the mean of about 1000 0.018.
        assert!(mean.abs() < 0.092, "{mean} of {count}");
        assert!(slopes.iter().any(|&slope| slope > 0.98) && slopes.iter().any(|&slope| slope < -0.98));
        let half = slopes.iter().filter(|slope| slope.abs() < 0.5).count();
        // Levels 0 to 15 of 31 are below 0.5: 16 / 31, deviation 16 of 1000.
        assert!((half as f64 / count as f64 - 16.0 / 31.0).abs() < 0.08, "{half} of {count}");
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        for (change, message) in [
            (
                &RandAugment { ops: 0, ..RandAugment::default() } as &dyn Change,
                "augment.rand_augment.ops is 0: expected 1 to 16",
            ),
            (
                &RandAugment { magnitude: 31, ..RandAugment::default() },
                "augment.rand_augment.magnitude is 31: expected 0 to 30",
            ),
        ] {
            assert_eq!(change.check(3, None).unwrap_err().to_string(), message);
        }
        let message = TrivialAugment::default().check(2, None).unwrap_err().to_string();
        assert_eq!(message, "augment.trivial_augment takes grey or colour images, 1 or 3 channels: these have 2");
    }
}
