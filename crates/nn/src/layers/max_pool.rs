//! Pooling by the largest.

use mp_native::{PoolWindows, can_max_pool, max_pool};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::window::Windows;
use crate::{Error, Mode, Module};

const LAYER: &str = "max pooling";

/// The largest number of each window: `[B, C, H, W]` to `[B, C, H', W']`, `H' = (H + 2 padding - kernel) / stride + 1`
/// rounded down, or up with `ceil`. Cells beyond the edge are smaller than all others.
///
/// A kernel of 3 with stride 2 gives even maps the same size with a padding of 1 (torchvision's ResNet) and with `ceil`
/// (Caffe's networks), but windows shifted by one cell: weights trained with one do not fit the other.
///
/// ```
/// use mp_nn::{Device, Kind, MaxPool2d, Mode, Module, Tensor};
///
/// let x = Tensor::arange(16, (Kind::Float, Device::Cpu)).view([1, 1, 4, 4]);
/// let padded = MaxPool2d { padding: 1, ..MaxPool2d::new(3, 2) };
/// let up = MaxPool2d { ceil: true, ..MaxPool2d::new(3, 2) };
/// assert_eq!((padded.output_size(4)?, up.output_size(4)?), (2, 2));
/// assert_eq!(padded.forward(&x, Mode::Eval), Tensor::from_slice(&[5.0_f32, 7.0, 13.0, 15.0]).view([1, 1, 2, 2]));
/// assert_eq!(up.forward(&x, Mode::Eval), Tensor::from_slice(&[10.0_f32, 11.0, 14.0, 15.0]).view([1, 1, 2, 2]));
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool2d {
    /// Height and width of the window.
    pub kernel: i64,
    /// Step of the window.
    pub stride: i64,
    /// Cells added on each side, at most half the kernel.
    pub padding: i64,
    /// Whether a last window that the map does not fill is taken too, if it starts in the map or before it.
    pub ceil: bool,
}

impl MaxPool2d {
    /// Without padding, rounded down.
    pub fn new(kernel: i64, stride: i64) -> Self {
        MaxPool2d { kernel, stride, padding: 0, ceil: false }
    }

    fn windows(self) -> Windows {
        let MaxPool2d { kernel, stride, padding, ceil } = self;
        Windows { kernel, stride, padding, ceil }
    }

    /// Height or width of the output for that of the input.
    ///
    /// # Errors
    /// Kernel or stride below 1, padding outside 0 to half the kernel, or an input too small for one window.
    pub fn output_size(&self, input: i64) -> Result<i64, Error> {
        self.windows().count(input, LAYER)
    }
}

/// # Panics
/// Where [`MaxPool2d::output_size`] is an error for height or width.
impl Module for MaxPool2d {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Tensor {
        // Of windows of 16 cells a side ours would run out of numbers for them.
        if let (true, Ok(height), Ok(width)) =
            (can_max_pool(x) && self.kernel < 16, self.output_size(x.size()[2]), self.output_size(x.size()[3]))
        {
            let windows =
                PoolWindows { kernel: self.kernel, stride: self.stride, padding: self.padding, count: [height, width] };
            // Both were asked before: what is left is a fault of ours.
            return max_pool(x, windows).unwrap_or_else(|error| panic!("{error}"));
        }
        x.max_pool2d([self.kernel; 2], [self.stride; 2], [self.padding; 2], [1; 2], self.ceil)
    }
}

/// The largest number of each window, as [`MaxPool2d`] rounded down.
///
/// ```
/// use mp_nn::{Device, Kind, Tensor, max_pool2d};
///
/// let x = Tensor::arange(16, (Kind::Float, Device::Cpu)).view([1, 1, 4, 4]);
/// assert_eq!(max_pool2d(&x, 2, 2, 0), Tensor::from_slice(&[5.0_f32, 7.0, 13.0, 15.0]).view([1, 1, 2, 2]));
/// ```
///
/// # Panics
/// As [`MaxPool2d`].
pub fn max_pool2d(x: &Tensor, kernel: i64, stride: i64, padding: i64) -> Tensor {
    MaxPool2d { padding, ..MaxPool2d::new(kernel, stride) }.forward(x, Mode::Eval)
}
