//! Changes to colour, as Pillow computes them. Grey images have none: they stay as they are.

use super::blend::blend;

/// The grey level of a colour by ITU-R 601-2, as Pillow's mode `L` has it.
pub(crate) fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((u32::from(red) * 19595 + u32::from(green) * 38470 + u32::from(blue) * 7471 + 0x8000) >> 16) as u8
}

/// Replaces each colour by its grey level.
pub(super) fn greyscale(pixels: &mut [u8]) {
    pixels.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| *pixel = [luma(*pixel); 3]);
}

/// A blend of each colour with its grey level.
pub(super) fn saturation(pixels: &mut [u8], factor: f64) {
    for pixel in pixels.as_chunks_mut::<3>().0 {
        let grey = luma(*pixel);
        *pixel = pixel.map(|level| blend(grey, level, factor as f32));
    }
}

/// Turns the hue by a part of the circle, -1/2 to 1/2, in Pillow's mode `HSV` of one byte each.
pub(super) fn hue(pixels: &mut [u8], turn: f64) {
    let turn = (turn * 255.0) as i32 as u8;
    for pixel in pixels.as_chunks_mut::<3>().0 {
        let [hue, saturation, value] = to_hsv(*pixel);
        *pixel = from_hsv([hue.wrapping_add(turn), saturation, value]);
    }
}

fn to_hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let (high, low) = (red.max(green).max(blue), red.min(green).min(blue));
    if high == low {
        return [0, 0, high];
    }
    // Rounded to float32 where Pillow keeps a float: the truncated bytes depend on it.
    let range = f32::from(high - low);
    let saturation = range / f32::from(high);
    let [r, g, b] = [red, green, blue].map(|level| f64::from(f32::from(high - level) / range));
    let sixth = if red == high {
        b - g
    } else if green == high {
        2.0 + r - b
    } else {
        4.0 + g - r
    };
    let hue = ((f64::from(sixth as f32) / 6.0 + 1.0) % 1.0) as f32;
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, high]
}

fn from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let hue = f64::from((f64::from(hue) * 6.0 / 255.0) as f32);
    let (saturation, level) = (f64::from(f32::from(saturation) / 255.0), f64::from(value));
    let (sixth, rest) = (hue.floor(), f64::from(hue.fract() as f32));
    let p = (level * (1.0 - saturation)).round() as u8;
    let q = (level * (1.0 - saturation * rest)).round() as u8;
    let t = (level * (1.0 - saturation * (1.0 - rest))).round() as u8;
    match sixth as u8 % 6 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_by_hand() {
        // 0.299 * 255 = 76.2, 0.587 * 255 = 149.7, 0.114 * 255 = 29.1.
        assert_eq!([[255, 0, 0], [0, 255, 0], [0, 0, 255]].map(luma), [76, 150, 29]);
        let mut red = [255, 0, 0];
        saturation(&mut red, 0.5);
        assert_eq!(red, [165, 38, 38]);
        greyscale(&mut red);
        assert_eq!(red, [luma([165, 38, 38]); 3]);
    }

    #[test]
    fn a_third_of_a_turn_makes_red_green() {
        let mut red = [200, 0, 0];
        hue(&mut red, 1.0 / 3.0);
        assert_eq!(red, [0, 200, 0]);
        hue(&mut red, -1.0 / 3.0);
        assert_eq!(red, [200, 0, 0]);
    }
}
