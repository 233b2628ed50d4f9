//! Pixels in another order than `[H, W, C]`.

use crate::ImageShape;

/// Adds an image whose channels follow each other, rows first (`[C, H, W]`), to `pixels`.
pub(crate) fn from_rows(planes: &[u8], shape: ImageShape, pixels: &mut Vec<u8>) {
    let plane = shape.height * shape.width;
    if shape.channels == 3 {
        let (red, rest) = planes.split_at(plane);
        let (green, blue) = rest.split_at(plane);
        pixels.extend(red.iter().zip(green).zip(blue).flat_map(|((&r, &g), &b)| [r, g, b]));
    } else {
        let value = |at: usize| planes[at % shape.channels * plane + at / shape.channels];
        pixels.extend((0..shape.len()).map(value));
    }
}

/// Adds an image whose channels follow each other, columns first (`[C, W, H]`), as MATLAB has them.
pub(crate) fn from_columns(planes: &[u8], shape: ImageShape, pixels: &mut Vec<u8>) {
    let ImageShape { channels, height, width } = shape;
    for row in 0..height {
        for column in 0..width {
            pixels.extend((0..channels).map(|channel| planes[(channel * width + column) * height + row]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Two rows of two columns; the channel is the tens, the row the units' half, the column what is left.
        let shape = ImageShape { channels: 3, height: 2, width: 2 };
        let pixels = [0, 10, 20, 1, 11, 21, 2, 12, 22, 3, 13, 23];
        let mut out = Vec::new();
        from_rows(&[0, 1, 2, 3, 10, 11, 12, 13, 20, 21, 22, 23], shape, &mut out);
        assert_eq!(out, pixels);
        out.clear();
        from_columns(&[0, 2, 1, 3, 10, 12, 11, 13, 20, 22, 21, 23], shape, &mut out);
        assert_eq!(out, pixels);
        out.clear();
        from_rows(&[0, 1, 10, 11], ImageShape { channels: 2, height: 1, width: 2 }, &mut out);
        assert_eq!(out, [0, 10, 1, 11]);
    }
}
