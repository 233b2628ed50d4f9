//! Policies that were found by a search on a data set.

use rand::RngExt;

use super::affine::Sampling;
use super::canvas::Canvas;
use super::op::Kind::{
    self, AutoContrast, Brightness, Contrast, Equalize, Invert, Posterize, Rotate, Saturation, Sharpness, ShearX,
    ShearY, Solarize, TranslateX, TranslateY,
};
use super::policy::{check_colour, searched};
use super::{Change, Size};
use crate::Error;
use crate::random::{Moment, Purpose};

/// Makes up to two operations: a pair drawn evenly from the 25 of a policy, each with its probability and strength.
///
/// Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data" (arXiv 1805.09501), tables 7 and 9, with the
/// strengths of torchvision.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AutoAugment {
    /// Which policy.
    pub policy: Policy,
    /// Which pixel is taken in shears, shifts and turns.
    #[serde(default)]
    pub sampling: Sampling,
}

impl Default for AutoAugment {
    fn default() -> Self {
        AutoAugment { policy: Policy::Cifar, sampling: Sampling::default() }
    }
}

/// The data set a policy was found on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// CIFAR-10; also good for CIFAR-100.
    Cifar,
    /// ImageNet.
    Imagenet,
}

/// An operation, its probability, and its strength of 0 to 9.
pub(super) type Step = (Kind, f64, usize);

impl Policy {
    pub(super) fn pairs(self) -> &'static [[Step; 2]; 25] {
        match self {
            Self::Cifar => &CIFAR,
            Self::Imagenet => &IMAGENET,
        }
    }
}

impl Change for AutoAugment {
    fn check(&self, channels: usize, size: Size) -> Result<Size, Error> {
        check_colour("auto_augment", channels)?;
        Ok(size)
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        let (shape, mut random) = (canvas.shape(), moment.generator(Purpose::AutoAugment));
        let limits = searched(shape.height, shape.width);
        for &(kind, probability, level) in &self.policy.pairs()[random.random_range(0..25)] {
            let (chance, negative): (f64, bool) = (random.random(), random.random());
            if chance < probability {
                kind.at(level, TOP, negative, &limits).apply(canvas, self.sampling);
            }
        }
    }
}

/// The highest strength.
pub(super) const TOP: usize = 9;

const CIFAR: [[Step; 2]; 25] = [
    [(Invert, 0.1, 0), (Contrast, 0.2, 6)],
    [(Rotate, 0.7, 2), (TranslateX, 0.3, 9)],
    [(Sharpness, 0.8, 1), (Sharpness, 0.9, 3)],
    [(ShearY, 0.5, 8), (TranslateY, 0.7, 9)],
    [(AutoContrast, 0.5, 0), (Equalize, 0.9, 0)],
    [(ShearY, 0.2, 7), (Posterize, 0.3, 7)],
    [(Saturation, 0.4, 3), (Brightness, 0.6, 7)],
    [(Sharpness, 0.3, 9), (Brightness, 0.7, 9)],
    [(Equalize, 0.6, 0), (Equalize, 0.5, 0)],
    [(Contrast, 0.6, 7), (Sharpness, 0.6, 5)],
    [(Saturation, 0.7, 7), (TranslateX, 0.5, 8)],
    [(Equalize, 0.3, 0), (AutoContrast, 0.4, 0)],
    [(TranslateY, 0.4, 3), (Sharpness, 0.2, 6)],
    [(Brightness, 0.9, 6), (Saturation, 0.2, 8)],
    [(Solarize, 0.5, 2), (Invert, 0.0, 0)],
    [(Equalize, 0.2, 0), (AutoContrast, 0.6, 0)],
    [(Equalize, 0.2, 0), (Equalize, 0.6, 0)],
    [(Saturation, 0.9, 9), (Equalize, 0.6, 0)],
    [(AutoContrast, 0.8, 0), (Solarize, 0.2, 8)],
    [(Brightness, 0.1, 3), (Saturation, 0.7, 0)],
    [(Solarize, 0.4, 5), (AutoContrast, 0.9, 0)],
    [(TranslateY, 0.9, 9), (TranslateY, 0.7, 9)],
    [(AutoContrast, 0.9, 0), (Solarize, 0.8, 3)],
    [(Equalize, 0.8, 0), (Invert, 0.1, 0)],
    [(TranslateY, 0.7, 9), (AutoContrast, 0.9, 0)],
];

const IMAGENET: [[Step; 2]; 25] = [
    [(Posterize, 0.4, 8), (Rotate, 0.6, 9)],
    [(Solarize, 0.6, 5), (AutoContrast, 0.6, 0)],
    [(Equalize, 0.8, 0), (Equalize, 0.6, 0)],
    [(Posterize, 0.6, 7), (Posterize, 0.6, 6)],
    [(Equalize, 0.4, 0), (Solarize, 0.2, 4)],
    [(Equalize, 0.4, 0), (Rotate, 0.8, 8)],
    [(Solarize, 0.6, 3), (Equalize, 0.6, 0)],
    [(Posterize, 0.8, 5), (Equalize, 1.0, 0)],
    [(Rotate, 0.2, 3), (Solarize, 0.6, 8)],
    [(Equalize, 0.6, 0), (Posterize, 0.4, 6)],
    [(Rotate, 0.8, 8), (Saturation, 0.4, 0)],
    [(Rotate, 0.4, 9), (Equalize, 0.6, 0)],
    [(Equalize, 0.0, 0), (Equalize, 0.8, 0)],
    [(Invert, 0.6, 0), (Equalize, 1.0, 0)],
    [(Saturation, 0.6, 4), (Contrast, 1.0, 8)],
    [(Rotate, 0.8, 8), (Saturation, 1.0, 2)],
    [(Saturation, 0.8, 8), (Solarize, 0.8, 7)],
    [(Sharpness, 0.4, 7), (Invert, 0.6, 0)],
    [(ShearX, 0.6, 5), (Equalize, 1.0, 0)],
    [(Saturation, 0.4, 0), (Equalize, 0.6, 0)],
    [(Equalize, 0.4, 0), (Solarize, 0.2, 4)],
    [(Solarize, 0.6, 5), (AutoContrast, 0.6, 0)],
    [(Invert, 0.6, 0), (Equalize, 1.0, 0)],
    [(Saturation, 0.6, 4), (Contrast, 1.0, 8)],
    [(Equalize, 0.8, 0), (Equalize, 0.6, 0)],
];
