//! The operations that automatic policies choose from.

use super::affine::{Affine, Sampling};
use super::canvas::Canvas;
use super::{colour, filter, tone};

/// One operation with its strength, on images of one channel or three.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Op {
    Identity,
    /// By this slope.
    ShearX(f64),
    ShearY(f64),
    /// By so many pixels to the right.
    TranslateX(i64),
    /// By so many pixels down.
    TranslateY(i64),
    /// By degrees against the clock.
    Rotate(f64),
    /// By a factor: 0 is black, 1 no change.
    Brightness(f64),
    /// By a factor: 0 is grey, 1 no change.
    Saturation(f64),
    /// By a factor: 0 is an even grey, 1 no change.
    Contrast(f64),
    /// By a factor: 0 is smoothed, 1 no change.
    Sharpness(f64),
    /// By a part of the circle.
    Hue(f64),
    /// To so many bits.
    Posterize(u32),
    /// From this level on.
    Solarize(f64),
    AutoContrast,
    Equalize,
    Invert,
}

impl Op {
    pub(super) fn apply(self, canvas: &mut Canvas<'_>, sampling: Sampling) {
        let shape = canvas.shape();
        let grey = shape.channels == 1;
        let mut affine = |affine: Affine| {
            canvas.rewrite(shape, |source, target, _| affine.write(source, sampling, target));
        };
        match self {
            Self::Identity => {}
            Self::ShearX(slope) => affine(Affine::shear_x(slope)),
            Self::ShearY(slope) => affine(Affine::shear_y(slope)),
            Self::TranslateX(right) => affine(Affine::translate(right, 0)),
            Self::TranslateY(down) => affine(Affine::translate(0, down)),
            Self::Rotate(degrees) => affine(Affine::rotate(degrees, shape)),
            Self::Sharpness(factor) => {
                canvas.rewrite(shape, |source, target, _| filter::sharpness(source, factor, target));
            }
            Self::Saturation(_) | Self::Hue(_) if grey => {}
            Self::Saturation(factor) => colour::saturation(canvas.edit(), factor),
            Self::Hue(turn) => colour::hue(canvas.edit(), turn),
            Self::Brightness(factor) => tone::brightness(canvas.edit(), factor),
            Self::Contrast(factor) => tone::contrast(canvas.edit(), shape, factor),
            Self::Posterize(bits) => tone::posterize(canvas.edit(), bits),
            Self::Solarize(threshold) => tone::solarize(canvas.edit(), threshold),
            Self::AutoContrast => tone::autocontrast(canvas.edit(), shape.channels),
            Self::Equalize => tone::equalize(canvas.edit(), shape.channels),
            Self::Invert => tone::invert(canvas.edit()),
        }
    }
}

/// An operation before its strength is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Identity,
    ShearX,
    ShearY,
    TranslateX,
    TranslateY,
    Rotate,
    Brightness,
    Saturation,
    Contrast,
    Sharpness,
    Posterize,
    Solarize,
    AutoContrast,
    Equalize,
    Invert,
}

/// How strong operations are at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) shear: f64,
    /// Pixels to the right and down.
    pub(super) translate: [f64; 2],
    pub(super) degrees: f64,
    /// Of brightness, saturation, contrast and sharpness: how far the factor is from 1.
    pub(super) enhance: f64,
    /// Bits that are kept at no strength, and how many fewer at full strength.
    pub(super) bits: [f64; 2],
}

impl Kind {
    /// The operation at `level` of 0 to `top`; `negative` turns those round that have two directions.
    pub(super) fn at(self, level: usize, top: usize, negative: bool, limits: &Limits) -> Op {
        let share = |limit: f64| limit * level as f64 / top as f64;
        let signed = |limit: f64| if negative { -share(limit) } else { share(limit) };
        match self {
            Self::Identity => Op::Identity,
            Self::ShearX => Op::ShearX(signed(limits.shear)),
            Self::ShearY => Op::ShearY(signed(limits.shear)),
            Self::TranslateX => Op::TranslateX(signed(limits.translate[0]) as i64),
            Self::TranslateY => Op::TranslateY(signed(limits.translate[1]) as i64),
            Self::Rotate => Op::Rotate(signed(limits.degrees)),
            Self::Brightness => Op::Brightness(1.0 + signed(limits.enhance)),
            Self::Saturation => Op::Saturation(1.0 + signed(limits.enhance)),
            Self::Contrast => Op::Contrast(1.0 + signed(limits.enhance)),
            Self::Sharpness => Op::Sharpness(1.0 + signed(limits.enhance)),
            Self::Posterize => Op::Posterize((limits.bits[0] - share(limits.bits[1]).round_ties_even()) as u32),
            Self::Solarize => Op::Solarize(255.0 - share(255.0)),
            Self::AutoContrast => Op::AutoContrast,
            Self::Equalize => Op::Equalize,
            Self::Invert => Op::Invert,
        }
    }
}
