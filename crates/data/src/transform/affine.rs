//! Shears, shifts and turns, as Pillow's `Image.transform` computes them; what comes from outside is black.

use crate::{ImageShape, ImageView};

/// Which pixel is taken where a point lies between several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// The nearest.
    #[default]
    Nearest,
    /// A mean of four, by distance.
    Bilinear,
}

/// Where a pixel `(x, y)` of the result comes from: `x' = a x + b y + c`, `y' = d x + e y + f`, pixels being squares of
/// side 1 whose centres lie at halves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Affine {
    x: [f64; 3],
    y: [f64; 3],
}

impl Affine {
    /// Shifts a row by `slope` times its distance from the top.
    pub(super) fn shear_x(slope: f64) -> Self {
        Self { x: [1.0, slope, 0.0], y: [0.0, 1.0, 0.0] }
    }

    /// Shifts a column by `slope` times its distance from the left.
    pub(super) fn shear_y(slope: f64) -> Self {
        Self { x: [1.0, 0.0, 0.0], y: [slope, 1.0, 0.0] }
    }

    /// Shifts the image to the right and down.
    pub(super) fn translate(right: i64, down: i64) -> Self {
        Self { x: [1.0, 0.0, -right as f64], y: [0.0, 1.0, -down as f64] }
    }

    /// Turns the image about its centre, against the clock.
    pub(super) fn rotate(degrees: f64, shape: ImageShape) -> Self {
        // Pillow rounds to 15 digits, so that a quarter turn is exact.
        let round = |value: f64| (value * 1e15).round() / 1e15;
        let angle = -degrees.to_radians();
        let (sin, cos) = (round(angle.sin()), round(angle.cos()));
        let (x, y) = (shape.width as f64 / 2.0, shape.height as f64 / 2.0);
        Self { x: [cos, sin, x - cos * x - sin * y], y: [-sin, cos, y + sin * x - cos * y] }
    }

    /// Writes what becomes of an image of the same shape.
    pub(super) fn write(&self, source: ImageView<'_>, sampling: Sampling, target: &mut [u8]) {
        match sampling {
            Sampling::Nearest => self.nearest(source, target),
            Sampling::Bilinear => self.bilinear(source, target),
        }
    }

    /// In fixed point with 16 bits after the point, as Pillow does.
    fn nearest(&self, source: ImageView<'_>, target: &mut [u8]) {
        let ImageShape { channels, height, width } = source.shape();
        let fixed = |value: f64| (value * 65536.0 + 0.5).floor() as i64;
        let start = |[a, b, c]: [f64; 3]| fixed(c + a * 0.5 + b * 0.5);
        let (steps_x, steps_y) = (self.x.map(fixed), self.y.map(fixed));
        let (mut row_x, mut row_y) = (start(self.x), start(self.y));
        for row in target.chunks_exact_mut(width * channels) {
            let (mut x, mut y) = (row_x, row_y);
            for pixel in row.chunks_exact_mut(channels) {
                match (inside(x >> 16, width), inside(y >> 16, height)) {
                    (Some(x), Some(y)) => {
                        pixel.copy_from_slice(&source.pixels()[(y * width + x) * channels..][..channels]);
                    }
                    _ => pixel.fill(0),
                }
                (x, y) = (x + steps_x[0], y + steps_y[0]);
            }
            (row_x, row_y) = (row_x + steps_x[1], row_y + steps_y[1]);
        }
    }

    fn bilinear(&self, source: ImageView<'_>, target: &mut [u8]) {
        let ImageShape { channels, height, width } = source.shape();
        let at = |[a, b, c]: [f64; 3], x: f64, y: f64| a * x + b * y + c;
        for (y, row) in target.chunks_exact_mut(width * channels).enumerate() {
            for (x, pixel) in row.chunks_exact_mut(channels).enumerate() {
                let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
                let (x, y) = (at(self.x, x, y), at(self.y, x, y));
                if !((0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y)) {
                    pixel.fill(0);
                    continue;
                }
                let (columns, right) = neighbours(x, width);
                let (rows, down) = neighbours(y, height);
                for (c, out) in pixel.iter_mut().enumerate() {
                    let value = |y: usize, x: usize| f64::from(source.pixels()[(y * width + x) * channels + c]);
                    let line = |y: usize| value(y, columns.0) * (1.0 - right) + value(y, columns.1) * right;
                    *out = (line(rows.0) * (1.0 - down) + line(rows.1) * down) as u8;
                }
            }
        }
    }
}

fn inside(at: i64, size: usize) -> Option<usize> {
    usize::try_from(at).ok().filter(|&at| at < size)
}

/// The pixels whose centres lie before and after a point, and how far it is from the first. At the border, both are one.
fn neighbours(at: f64, size: usize) -> ((usize, usize), f64) {
    let before = (at - 0.5).floor();
    let clamp = |at: f64| (at.max(0.0) as usize).min(size - 1);
    ((clamp(before), clamp(before + 1.0)), at - 0.5 - before)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: ImageShape = ImageShape { channels: 1, height: 3, width: 3 };

    fn done(affine: Affine, sampling: Sampling) -> [u8; 9] {
        let mut out = [77; 9];
        affine.write(ImageView::new(SHAPE, &[10, 20, 30, 40, 50, 60, 70, 80, 90]), sampling, &mut out);
        out
    }

    #[test]
    fn moves_by_hand() {
        for sampling in [Sampling::Nearest, Sampling::Bilinear] {
            assert_eq!(done(Affine::translate(1, 0), sampling), [0, 10, 20, 0, 40, 50, 0, 70, 80]);
            assert_eq!(done(Affine::translate(0, -1), sampling), [40, 50, 60, 70, 80, 90, 0, 0, 0]);
            assert_eq!(done(Affine::rotate(90.0, SHAPE), sampling), [30, 60, 90, 20, 50, 80, 10, 40, 70]);
        }
        // Row y takes its pixel from x + 1 * (y + 1/2): half a pixel to the right in the first row, which is the border of
        // the second pixel.
        assert_eq!(done(Affine::shear_x(1.0), Sampling::Nearest), [20, 30, 0, 60, 0, 0, 0, 0, 0]);
        assert_eq!(done(Affine::shear_y(1.0), Sampling::Nearest), [40, 80, 0, 70, 0, 0, 0, 0, 0]);
        assert_eq!(done(Affine::shear_x(1.0), Sampling::Bilinear)[..3], [15, 25, 0]);
    }
}
