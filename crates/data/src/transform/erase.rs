//! Parts of an image that are hidden, after normalisation.

use std::ops::Range;

use rand::RngExt;

use super::{Erase, ensure};
use crate::random::{Moment, Purpose};
use crate::{Error, ImageShape};

/// Sets a square around a random pixel to the mean colour; what lies outside the image is cut off.
///
/// DeVries and Taylor, "Improved Regularization of Convolutional Neural Networks with Cutout" (arXiv 1708.04552).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cutout {
    /// Side of the square.
    pub size: usize,
}

impl Erase for Cutout {
    fn check(&self, shape: ImageShape) -> Result<(), Error> {
        let side = shape.height.min(shape.width);
        let expected = format_args!("1 to {side}, the side of images of {shape}");
        ensure((1..=side).contains(&self.size), "cutout", self.size, expected)
    }

    fn apply(&self, shape: ImageShape, moment: Moment, out: &mut [f32]) {
        let mut random = moment.generator(Purpose::Cutout);
        let (y, x) = (random.random_range(0..shape.height), random.random_range(0..shape.width));
        erase(shape, self.side(y, shape.height), self.side(x, shape.width), out);
    }
}

impl Cutout {
    /// One side of the square around `middle`, cut off at the border.
    fn side(&self, middle: usize, size: usize) -> Range<usize> {
        let end = (middle + self.size.div_ceil(2)).min(size);
        middle.saturating_sub(self.size / 2).min(end)..end
    }
}

/// Sets a rectangle to 0, which is the mean colour after normalisation.
fn erase(shape: ImageShape, rows: Range<usize>, columns: Range<usize>, out: &mut [f32]) {
    let ImageShape { channels, width, .. } = shape;
    for row in out.chunks_exact_mut(width * channels).take(rows.end).skip(rows.start) {
        row[columns.start * channels..columns.end * channels].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn squares_by_hand() {
        let shape = ImageShape { channels: 1, height: 3, width: 3 };
        let done = |size, (y, x)| {
            let (cutout, mut out) = (Cutout { size }, [1., 2., 3., 4., 5., 6., 7., 8., 9.]);
            erase(shape, cutout.side(y, 3), cutout.side(x, 3), &mut out);
            out
        };
        assert_eq!(done(1, (1, 1)), [1., 2., 3., 4., 0., 6., 7., 8., 9.]);
        // A side of 2 reaches one pixel up and left of the middle.
        assert_eq!(done(2, (1, 1)), [0., 0., 3., 0., 0., 6., 7., 8., 9.]);
        assert_eq!(done(3, (0, 2)), [1., 0., 0., 4., 0., 0., 7., 8., 9.]);
    }
}
