//! Pooling by the mean.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::Pair;
use super::window::Windows;
use crate::{Error, Mode, Module};

const LAYER: &str = "average pooling";

/// The mean of each window: `[B, C, H, W]` to `[B, C, H', W']`, `H' = (H + 2 padding - kernel) / stride + 1` rounded down, or
/// up with `ceil`. Cells beyond the edge are 0 where they count at all.
///
/// ```
/// use mp_nn::{AvgPool2d, Device, Kind, Mode, Module, Tensor};
///
/// let x = Tensor::ones([1, 1, 2, 2], (Kind::Float, Device::Cpu));
/// let counted = AvgPool2d { padding: 1, count_include_pad: true, ..AvgPool2d::new(3, 1) };
/// let left_out = AvgPool2d { count_include_pad: false, ..counted };
/// // Four of the nine cells of every window lie in the map.
/// assert_eq!(counted.forward(&x, Mode::Eval).double_value(&[0, 0, 0, 0]), f64::from(4.0_f32 / 9.0));
/// assert_eq!(left_out.forward(&x, Mode::Eval), x);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvgPool2d {
    /// Height and width of the window.
    pub kernel: i64,
    /// Step of the window.
    pub stride: i64,
    /// Cells added on each side, at most half the kernel.
    pub padding: i64,
    /// Whether a last window that the map does not fill is taken too, if it starts in the map or before it.
    pub ceil: bool,
    /// Whether the padding counts in the mean: it does in torchvision's Inception v3, and does not in Inception v4 and in
    /// the shortcuts of ResNeSt.
    pub count_include_pad: bool,
}

impl AvgPool2d {
    /// Without padding, rounded down; padding that is added later counts, as in PyTorch.
    pub fn new(kernel: i64, stride: i64) -> Self {
        AvgPool2d { kernel, stride, padding: 0, ceil: false, count_include_pad: true }
    }

    /// Height or width of the output for that of the input.
    ///
    /// # Errors
    /// Kernel or stride below 1, padding outside 0 to half the kernel, or an input too small for one window.
    pub fn output_size(&self, input: i64) -> Result<i64, Error> {
        let AvgPool2d { kernel, stride, padding, ceil, .. } = *self;
        Windows { kernel, stride, padding, ceil }.count(input, LAYER)
    }
}

/// # Panics
/// Where [`AvgPool2d::output_size`] is an error for height or width.
impl Module for AvgPool2d {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Tensor {
        let (kernel, stride, padding) = ([self.kernel; 2], [self.stride; 2], [self.padding; 2]);
        x.avg_pool2d(kernel, stride, padding, self.ceil, self.count_include_pad, None)
    }
}

/// The mean over height and width: `[B, C, H, W]` to `[B, C]`.
///
/// ```
/// use mp_nn::{Tensor, global_avg_pool};
///
/// let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 10.0]).view([1, 2, 1, 2]);
/// assert_eq!(global_avg_pool(&x), Tensor::from_slice(&[1.5_f32, 6.5]).view([1, 2]));
/// ```
pub fn global_avg_pool(x: &Tensor) -> Tensor {
    x.mean_dim([2_i64, 3].as_slice(), false, None)
}

/// Means over windows that divide the map into `size`: `[B, C, H, W]` to `[B, C, size.height, size.width]`. Window `i` of `n`
/// spans the rows from `i H / n` rounded down to `(i + 1) H / n` rounded up, so windows overlap where `n` does not divide
/// `H`, and repeat cells where the map is the smaller one. A size of 1 is the mean of the map.
///
/// ```
/// use mp_nn::{Tensor, adaptive_avg_pool2d};
///
/// let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).view([1, 1, 1, 3]);
/// assert_eq!(adaptive_avg_pool2d(&x, (1, 2)), Tensor::from_slice(&[1.5_f32, 2.5]).view([1, 1, 1, 2]));
/// assert_eq!(adaptive_avg_pool2d(&x, 1), Tensor::from_slice(&[2.0_f32]).view([1, 1, 1, 1]));
/// ```
///
/// # Panics
/// On sizes below 0.
pub fn adaptive_avg_pool2d(x: &Tensor, size: impl Into<Pair>) -> Tensor {
    x.adaptive_avg_pool2d(size.into().both())
}
