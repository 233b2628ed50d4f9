//! Random changes to colour and sharpness, each on its own.

use rand::RngExt;
use rand::seq::SliceRandom;

use super::affine::Sampling;
use super::canvas::Canvas;
use super::op::Op;
use super::policy::check_colour;
use super::{Change, Size, colour, ensure, ensure_range, filter};
use crate::Error;
use crate::random::{Moment, Purpose};

/// Changes brightness, contrast, saturation and hue by random factors, in random order.
///
/// Howard, "Some Improvements on Deep Convolutional Neural Network Based Image Classification" (arXiv 1312.5402), section
/// 2.2; factors and order are drawn by torchvision's rule.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColourJitter {
    /// Brightness is multiplied by 1 minus this to 1 plus this, at least 0.
    pub brightness: f64,
    /// The same for contrast.
    pub contrast: f64,
    /// The same for saturation.
    pub saturation: f64,
    /// The hue is turned by up to this part of the circle, at most 0.5, either way.
    pub hue: f64,
    /// How many images are changed.
    pub probability: f64,
}

impl Default for ColourJitter {
    fn default() -> Self {
        Self { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.0, probability: 1.0 }
    }
}

impl ColourJitter {
    /// What chance decided, in the order in which it is done.
    fn draw(&self, moment: Moment) -> Option<[Op; 4]> {
        let mut random = moment.generator(Purpose::ColourJitter);
        let hit = random.random::<f64>() < self.probability;
        let mut factor = |by: f64| random.random_range((1.0 - by).max(0.0)..=1.0 + by);
        let [brightness, contrast, saturation] = [self.brightness, self.contrast, self.saturation].map(&mut factor);
        let hue = random.random_range(-self.hue..=self.hue);
        let mut ops = [Op::Brightness(brightness), Op::Contrast(contrast), Op::Saturation(saturation), Op::Hue(hue)];
        ops.shuffle(&mut random);
        hit.then_some(ops)
    }

    /// Whether an operation was asked for at all: hue goes through bytes of another colour space, and is not free of loss.
    fn asks_for(&self, op: &Op) -> bool {
        match op {
            Op::Brightness(_) => self.brightness > 0.0,
            Op::Contrast(_) => self.contrast > 0.0,
            Op::Saturation(_) => self.saturation > 0.0,
            _ => self.hue > 0.0,
        }
    }
}

impl Change for ColourJitter {
    fn check(&self, channels: usize, size: Size) -> Result<Size, Error> {
        for (key, value) in [
            ("colour_jitter.brightness", self.brightness),
            ("colour_jitter.contrast", self.contrast),
            ("colour_jitter.saturation", self.saturation),
        ] {
            ensure((0.0..=100.0).contains(&value), key, value, "0 to 100")?;
        }
        ensure((0.0..=0.5).contains(&self.hue), "colour_jitter.hue", self.hue, "0 to 0.5")?;
        check_probability("colour_jitter.probability", self.probability)?;
        check_colour("colour_jitter", channels)?;
        Ok(size)
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        let ops = self.draw(moment).into_iter().flatten().filter(|op| self.asks_for(op));
        ops.for_each(|op| op.apply(canvas, Sampling::Nearest));
    }
}

/// Takes the colour away from some images; they keep three channels.
///
/// Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (arXiv 2002.05709), appendix A.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Greyscale {
    /// How many images are changed.
    pub probability: f64,
}

impl Default for Greyscale {
    fn default() -> Self {
        Self { probability: 0.1 }
    }
}

impl Change for Greyscale {
    fn check(&self, channels: usize, size: Size) -> Result<Size, Error> {
        check_probability("greyscale.probability", self.probability)?;
        check_colour("greyscale", channels)?;
        Ok(size)
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        let hit = moment.generator(Purpose::Greyscale).random::<f64>() < self.probability;
        if hit && canvas.shape().channels == 3 {
            colour::greyscale(canvas.edit());
        }
    }
}

/// Smooths some images by a Gaussian of random width.
///
/// Chen et al., "A Simple Framework for Contrastive Learning of Visual Representations" (arXiv 2002.05709), appendix A.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GaussianBlur {
    /// Pixels that the Gaussian is cut off to, an odd number.
    pub kernel: usize,
    /// Least and greatest deviation in pixels.
    pub sigma: [f64; 2],
    /// How many images are changed.
    pub probability: f64,
}

impl Default for GaussianBlur {
    fn default() -> Self {
        Self { kernel: 5, sigma: [0.1, 2.0], probability: 0.5 }
    }
}

impl Change for GaussianBlur {
    fn check(&self, _channels: usize, size: Size) -> Result<Size, Error> {
        let valid = self.kernel % 2 == 1 && (1..=99).contains(&self.kernel);
        ensure(valid, "gaussian_blur.kernel", self.kernel, "an odd number of pixels, 1 to 99")?;
        ensure_range("gaussian_blur.sigma", self.sigma, [0.01, 100.0])?;
        check_probability("gaussian_blur.probability", self.probability)?;
        Ok(size)
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        let mut random = moment.generator(Purpose::GaussianBlur);
        let hit = random.random::<f64>() < self.probability;
        let sigma = random.random_range(self.sigma[0]..=self.sigma[1]);
        if hit {
            blur(canvas, self.kernel, sigma);
        }
    }
}

/// Smooths by a Gaussian of a given width.
pub(super) fn blur(canvas: &mut Canvas<'_>, kernel: usize, sigma: f64) {
    let mut weights = [0.0; 50];
    let weights = &mut weights[..=kernel / 2];
    weights.iter_mut().zip(filter::gaussian(kernel, sigma)).for_each(|(weight, value)| *weight = value);
    canvas.smooth(weights);
}

pub(super) fn check_probability(key: &str, probability: f64) -> Result<(), Error> {
    ensure((0.0..=1.0).contains(&probability), key, probability, "0 to 1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(index: usize) -> Moment {
        Moment { seed: 1, epoch: 0, index, turn: 0 }
    }

    #[test]
    fn factors_and_order_are_even() {
        let jitter = ColourJitter { brightness: 0.4, contrast: 2.0, hue: 0.1, probability: 0.25, ..Default::default() };
        let draws: Vec<[Op; 4]> = (0..16000).filter_map(|index| jitter.draw(moment(index))).collect();
        // 4000 expected, deviation 55: five deviations are allowed.
        assert!(draws.len().abs_diff(4000) < 275, "{}", draws.len());
        let (mut first, mut sums) = ([0_usize; 4], [0.0; 3]);
        for ops in &draws {
            for (place, op) in ops.iter().enumerate() {
                let (which, low, high, value) = match *op {
                    Op::Brightness(value) => (0, 0.6, 1.4, value),
                    Op::Contrast(value) => (1, 0.0, 3.0, value),
                    Op::Saturation(value) => (2, 0.6, 1.4, value),
                    Op::Hue(value) => (3, -0.1, 0.1, value),
                    other => panic!("{other:?}"),
                };
                assert!((low..=high).contains(&value), "{op:?}");
                first[which] += usize::from(place == 0);
                if which < 3 {
                    sums[which] += (value - low) / (high - low);
                }
            }
        }
        let count = draws.len() as f64;
        // A quarter each, deviation 27 of 1000; uniform means deviate by 0.289 / sqrt(4000) = 0.0046.
        assert!(first.iter().all(|&first| (first as f64 - count / 4.0).abs() < 137.0), "{first:?}");
        assert!(sums.iter().all(|sum| (sum / count - 0.5).abs() < 0.023), "{sums:?}");
    }

    #[test]
    fn what_is_out_of_range_is_refused() {
        let changes: [(&dyn Change, &str); 4] = [
            (
                &ColourJitter { hue: 0.6, ..ColourJitter::default() },
                "augment.colour_jitter.hue is 0.6: expected 0 to 0.5",
            ),
            (&Greyscale { probability: 1.5 }, "augment.greyscale.probability is 1.5: expected 0 to 1"),
            (
                &GaussianBlur { kernel: 4, ..GaussianBlur::default() },
                "augment.gaussian_blur.kernel is 4: expected an odd number of pixels, 1 to 99",
            ),
            (
                &GaussianBlur { sigma: [0.0, 1.0], ..GaussianBlur::default() },
                "augment.gaussian_blur.sigma is [0.0, 1.0]: expected [low, high] between 0.01 and 100",
            ),
        ];
        for (change, message) in changes {
            assert_eq!(change.check(3, None).unwrap_err().to_string(), message);
        }
    }
}
