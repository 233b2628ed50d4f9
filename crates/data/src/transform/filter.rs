//! Changes that look at a pixel's neighbours.

use super::blend::blend;
use crate::{ImageShape, ImageView};

/// A blend with the image smoothed by the weights `1 1 1, 1 5 1, 1 1 1`; the border stays. Pillow's
/// `ImageEnhance.Sharpness`.
pub(super) fn sharpness(source: ImageView<'_>, factor: f64, target: &mut [u8]) {
    let ImageShape { channels, height, width } = source.shape();
    let (pixels, row) = (source.pixels(), width * channels);
    target.copy_from_slice(pixels);
    if height < 3 || width < 3 {
        return;
    }
    for y in 1..height - 1 {
        for at in y * row + channels..(y + 1) * row - channels {
            let line =
                |at: usize| u32::from(pixels[at - channels]) + u32::from(pixels[at]) + u32::from(pixels[at + channels]);
            let sum = line(at - row) + line(at) + line(at + row) + 4 * u32::from(pixels[at]);
            let smooth = (sum as f32 / 13.0 + 0.5) as u8;
            target[at] = blend(smooth, pixels[at], factor as f32);
        }
    }
}

/// Half of a Gaussian's weights, from the middle outwards; all of them sum to 1.
pub(super) fn gaussian(kernel: usize, sigma: f64) -> impl Iterator<Item = f32> + Clone {
    let weight = move |distance: usize| (-0.5 * (distance as f64 / sigma).powi(2)).exp();
    let sum = 1.0 + 2.0 * (1..=kernel / 2).map(weight).sum::<f64>();
    (0..=kernel / 2).map(move |distance| (weight(distance) / sum) as f32)
}

/// Smooths by a Gaussian of `kernel` pixels, in float32, one direction after the other; the image is mirrored at its
/// border pixels. `between` is working memory.
pub(super) fn blur(
    source: ImageView<'_>,
    weights: impl Iterator<Item = f32> + Clone,
    between: &mut Vec<f32>,
    target: &mut [u8],
) {
    let ImageShape { channels, height, width } = source.shape();
    let row = width * channels;
    between.clear();
    between.resize(height * row, 0.0);
    for (source, between) in source.pixels().chunks_exact(row).zip(between.chunks_exact_mut(row)) {
        for (distance, weight) in weights.clone().enumerate() {
            for x in 0..width {
                let (before, after) = (bounce(x, -(distance as isize), width), bounce(x, distance as isize, width));
                for c in 0..channels {
                    let value = f32::from(source[before * channels + c]);
                    let both = if distance == 0 { value } else { value + f32::from(source[after * channels + c]) };
                    between[x * channels + c] += weight * both;
                }
            }
        }
    }
    for (y, target) in target.chunks_exact_mut(row).enumerate() {
        for (at, out) in target.iter_mut().enumerate() {
            let mut sum = 0.0;
            for (distance, weight) in weights.clone().enumerate() {
                let value = between[bounce(y, -(distance as isize), height) * row + at];
                let both = match distance {
                    0 => value,
                    _ => value + between[bounce(y, distance as isize, height) * row + at],
                };
                sum += weight * both;
            }
            *out = sum.round_ties_even() as u8;
        }
    }
}

/// The pixel at `at + by`, mirrored at the border pixels as often as it takes.
fn bounce(at: usize, by: isize, size: usize) -> usize {
    let period = 2 * (size as isize - 1);
    if period == 0 {
        return 0;
    }
    let at = (at as isize + by).rem_euclid(period);
    at.min(period - at) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_middle_is_smoothed() {
        let shape = ImageShape { channels: 1, height: 3, width: 3 };
        let pixels = [0, 0, 0, 0, 130, 0, 0, 0, 0];
        let mut out = [77; 9];
        // 130 * 5 / 13 = 50; factor 0 takes it, 1 leaves the image, 2 goes as far to the other side.
        for (factor, middle) in [(0.0, 50), (1.0, 130), (2.0, 210)] {
            sharpness(ImageView::new(shape, &pixels), factor, &mut out);
            assert_eq!(out, [0, 0, 0, 0, middle, 0, 0, 0, 0]);
        }
    }

    #[test]
    fn a_blur_by_hand() {
        // exp(-1/2) = 0.6065 on both sides of 1: 0.2741, 0.4519, 0.2741 after normalisation.
        let weights: Vec<f32> = gaussian(3, 1.0).collect();
        assert!((weights[0] - 0.4519).abs() < 1e-4 && (weights[1] - 0.2741).abs() < 1e-4);
        let shape = ImageShape { channels: 1, height: 1, width: 3 };
        let mut out = [0; 3];
        blur(ImageView::new(shape, &[0, 100, 200]), weights.iter().copied(), &mut Vec::new(), &mut out);
        // The border mirrors: 0.4519 * 0 + 2 * 0.2741 * 100, the middle is the mean, and 0.4519 * 200 + 2 * 0.2741 * 100.
        assert_eq!(out, [55, 100, 145]);
    }

    #[test]
    fn a_border_mirrors_as_often_as_it_takes() {
        assert_eq!([-3, -2, -1, 0, 1, 2, 3, 4].map(|by| bounce(0, by, 3)), [1, 2, 1, 0, 1, 2, 1, 0]);
        assert_eq!(bounce(0, 5, 1), 0);
    }
}
