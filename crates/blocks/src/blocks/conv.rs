//! Convolution, norm, ReLU and pooling.

use mp_nn::{
    BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, Mode, Params, Tensor, WeightInit, global_avg_pool,
    max_pool2d,
};

use super::{Block, Entry};
use crate::Error;

/// What follows the activation of a [`ConvBlock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// Nothing.
    None,
    /// The largest of each window.
    Max {
        /// Height and width of the window.
        kernel: i64,
        /// Its step.
        stride: i64,
        /// Border on each side that is never the largest.
        padding: i64,
    },
    /// The mean over height and width; the output is `[B, C]`.
    GlobalAverage,
}

impl Pool {
    fn forward(self, y: Tensor) -> Tensor {
        match self {
            Pool::None => y,
            Pool::Max { kernel, stride, padding } => max_pool2d(&y, kernel, stride, padding),
            Pool::GlobalAverage => global_avg_pool(&y),
        }
    }
}

/// A [`ConvBlock`]; [`ConvBlockConfig::new`] gives a 3x3 kernel that keeps height and width, and no pooling.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvBlockConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Channels of the output.
    pub out_channels: i64,
    /// Height and width of the kernel.
    pub kernel: i64,
    /// Step of the kernel.
    pub stride: i64,
    /// Zeros added on each side.
    pub padding: i64,
    /// What follows the activation.
    pub pool: Pool,
}

impl ConvBlockConfig {
    /// A 3x3 convolution that keeps height and width.
    pub fn new(in_channels: i64, out_channels: i64) -> Self {
        ConvBlockConfig { in_channels, out_channels, kernel: 3, stride: 1, padding: 1, pool: Pool::None }
    }

    pub(crate) fn output_size(&self, input: i64) -> i64 {
        let window = |size: i64, kernel: i64, stride: i64, padding: i64| {
            let room = size + 2 * padding - kernel;
            if room < 0 { 0 } else { room / stride + 1 }
        };
        let size = window(input, self.kernel, self.stride, self.padding);
        match self.pool {
            Pool::None => size,
            Pool::Max { kernel, stride, padding } => window(size, kernel, stride, padding),
            Pool::GlobalAverage => size.min(1),
        }
    }

    /// Takes `conv1.weight` (unless predicted) and `bn1`: the names of torchvision's ResNet stem.
    ///
    /// # Errors
    /// Sizes out of range, or a taken name.
    pub fn build(&self, params: &Params, entry: Entry) -> Result<ConvBlock, Error> {
        let conv = Conv2dConfig {
            stride: self.stride,
            padding: self.padding,
            bias: false,
            init: WeightInit::KaimingNormalFanOut,
            ..Conv2dConfig::new(self.in_channels, self.out_channels, self.kernel)
        };
        Ok(ConvBlock {
            conv1: own(entry, || conv.build(&(params / "conv1")))?,
            bn1: BatchNorm2dConfig::new(self.out_channels).build(&(params / "bn1"))?,
            pool: self.pool,
        })
    }
}

/// `pool(relu(norm(W * X)))`: `[B, in, H, W]` to `[B, out, H', W']`, or to `[B, out]` with [`Pool::GlobalAverage`].
#[derive(Debug)]
pub struct ConvBlock {
    conv1: Option<Conv2d>,
    bn1: BatchNorm2d,
    pool: Pool,
}

impl Block for ConvBlock {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.pool.forward(ConvNorm(entry_of(&self.conv1), &self.bn1).forward_relu(x, mode))
    }

    fn forward_predicted(&self, predicted: &Tensor, _x: &Tensor, mode: Mode) -> Tensor {
        self.pool.forward(self.bn1.forward_relu(predicted, mode))
    }

    fn entry(&self) -> Option<&Conv2d> {
        self.conv1.as_ref()
    }
}

/// Builds the entry unless a cross-prediction stands in for it.
pub(super) fn own<L>(entry: Entry, build: impl FnOnce() -> Result<L, mp_nn::Error>) -> Result<Option<L>, mp_nn::Error> {
    match entry {
        Entry::Own => build().map(Some),
        Entry::Predicted => Ok(None),
    }
}

/// The block's own entry.
///
/// # Panics
/// In a block whose entry is predicted; see [`Block::forward`].
pub(super) fn entry_of<L>(entry: &Option<L>) -> &L {
    entry.as_ref().expect("`Block::forward` of a block whose entry is predicted: call `forward_predicted`")
}
