//! Changes to the levels of each pixel by a table, as Pillow's `ImageOps` and `ImageEnhance` compute them.

use super::blend::blend;
use super::colour::luma;
use crate::ImageShape;

type Table = [u8; 256];

/// A blend with black.
pub(super) fn brightness(pixels: &mut [u8], factor: f64) {
    everywhere(pixels, |level| blend(0, level, factor as f32));
}

/// A blend with the mean grey level.
pub(super) fn contrast(pixels: &mut [u8], shape: ImageShape, factor: f64) {
    let sum: u64 = match shape.channels {
        3 => pixels.as_chunks::<3>().0.iter().map(|&pixel| u64::from(luma(pixel))).sum(),
        _ => pixels.iter().map(|&level| u64::from(level)).sum(),
    };
    let mean = (sum as f64 / (shape.height * shape.width) as f64 + 0.5) as u8;
    everywhere(pixels, |level| blend(mean, level, factor as f32));
}

/// Keeps the highest `bits` of each level.
pub(super) fn posterize(pixels: &mut [u8], bits: u32) {
    let mask = !(0xff_u16 >> bits) as u8;
    pixels.iter_mut().for_each(|level| *level &= mask);
}

/// Inverts the levels from a threshold on.
pub(super) fn solarize(pixels: &mut [u8], threshold: f64) {
    everywhere(pixels, |level| if f64::from(level) < threshold { level } else { 255 - level });
}

/// Inverts every level.
pub(super) fn invert(pixels: &mut [u8]) {
    pixels.iter_mut().for_each(|level| *level = 255 - *level);
}

/// Stretches each channel so that its darkest level becomes 0 and its brightest 255.
pub(super) fn autocontrast(pixels: &mut [u8], channels: usize) {
    by_channel(pixels, channels, |counts| {
        let low = counts.iter().position(|&count| count > 0)?;
        let high = counts.iter().rposition(|&count| count > 0)?;
        if high <= low {
            return None;
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        Some(std::array::from_fn(|level| (level as f64 * scale + offset) as u8))
    });
}

/// Spreads the levels of each channel so that all are about equally frequent.
pub(super) fn equalize(pixels: &mut [u8], channels: usize) {
    by_channel(pixels, channels, |counts| {
        let last = counts.iter().rev().find(|&&count| count > 0)?;
        let step = (counts.iter().sum::<usize>() - last) / 255;
        if step == 0 {
            return None;
        }
        let mut sum = step / 2;
        Some(std::array::from_fn(|level| {
            let out = (sum / step).min(255) as u8;
            sum += counts[level];
            out
        }))
    });
}

fn everywhere(pixels: &mut [u8], level: impl Fn(u8) -> u8) {
    let table: Table = std::array::from_fn(|at| level(at as u8));
    pixels.iter_mut().for_each(|level| *level = table[usize::from(*level)]);
}

/// Gives each channel the table that its histogram asks for, if any.
fn by_channel(pixels: &mut [u8], channels: usize, table: impl Fn(&[usize; 256]) -> Option<Table>) {
    for channel in 0..channels {
        let mut counts = [0; 256];
        pixels.iter().skip(channel).step_by(channels).for_each(|&level| counts[usize::from(level)] += 1);
        if let Some(table) = table(&counts) {
            let levels = pixels.iter_mut().skip(channel).step_by(channels);
            levels.for_each(|level| *level = table[usize::from(*level)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(change: impl Fn(&mut [u8])) -> [u8; 4] {
        let mut pixels = [10, 20, 30, 60];
        change(&mut pixels);
        pixels
    }

    #[test]
    fn levels_by_hand() {
        let shape = ImageShape { channels: 1, height: 2, width: 2 };
        assert_eq!(done(|pixels| brightness(pixels, 1.5)), [15, 30, 45, 90]);
        assert_eq!(done(|pixels| brightness(pixels, 5.0)), [50, 100, 150, 255]);
        // The mean is 30; half of the distance to it stays.
        assert_eq!(done(|pixels| contrast(pixels, shape, 0.5)), [20, 25, 30, 45]);
        // 60 = 0b0011_1100 keeps 0b0010_0000.
        assert_eq!(done(|pixels| posterize(pixels, 3)), [0, 0, 0, 32]);
        assert_eq!(done(|pixels| posterize(pixels, 8)), [10, 20, 30, 60]);
        assert_eq!(done(|pixels| posterize(pixels, 0)), [0; 4]);
        assert_eq!(done(|pixels| solarize(pixels, 30.0)), [10, 20, 225, 195]);
        assert_eq!(done(invert), [245, 235, 225, 195]);
        // From 10..=60 to 0..=255: 5.1 for each level.
        assert_eq!(done(|pixels| autocontrast(pixels, 1)), [0, 51, 102, 255]);
    }

    #[test]
    fn equalizing_by_hand() {
        // 255 * 2 pixels before the brightest level: a step of 2. Levels 1 and 2 have 170 and 340, level 9 has 10.
        let mut pixels = [vec![1; 170], vec![2; 340], vec![9; 10]].concat();
        equalize(&mut pixels, 1);
        // (1 + 0) / 2 = 0, (1 + 170) / 2 = 85, (1 + 510) / 2 = 255.
        assert_eq!((pixels[0], pixels[170], pixels[519]), (0, 85, 255));
    }

    #[test]
    fn an_even_image_stays_as_it_is() {
        for change in [autocontrast, equalize] {
            let mut pixels = [7; 12];
            change(&mut pixels, 3);
            assert_eq!(pixels, [7; 12]);
        }
    }
}
