//! Enlarging maps.

use tch::Tensor;

use super::Pair;

/// A map of another size, each cell the nearest of the input: `[B, C, H, W]` to `[B, C, size.height, size.width]`, where row
/// `i` of `n` is row `i H / n` rounded down.
///
/// By the size that comes out, not by a factor: a map that was halved with its last odd row is taken back exactly.
///
/// ```
/// use mp_nn::{Tensor, upsample_nearest};
///
/// let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).view([1, 1, 1, 3]);
/// let y = upsample_nearest(&x, (1, 5));
/// assert_eq!(y, Tensor::from_slice(&[1.0_f32, 1.0, 2.0, 2.0, 3.0]).view([1, 1, 1, 5]));
/// ```
///
/// # Panics
/// On sizes below 1.
pub fn upsample_nearest(x: &Tensor, size: impl Into<Pair>) -> Tensor {
    x.upsample_nearest2d(size.into().both(), None, None)
}
