//! The blocks that a path is made of, one a file.

mod basic;
mod bottleneck;
mod conv;
mod dense;
mod shortcut;

use mp_nn::{Conv2d, Mode, Params, Tensor, WeightInit};
use mp_routing::ConvShape;

pub use basic::{BasicBlock, BasicBlockConfig};
pub use bottleneck::{Bottleneck, BottleneckConfig};
pub use conv::{ConvBlock, ConvBlockConfig, Pool};
pub use dense::{DenseBlock, DenseBlockConfig};

use crate::Error;

/// A block of one path. Its first layer, the *entry*, can be left to a cross-prediction, which then does for all paths
/// at once what the entries would do for each.
pub trait Block: Send {
    /// Applies the whole block, entry included.
    ///
    /// # Panics
    /// In a block built with [`Entry::Predicted`], which has no entry of its own; and on a tensor of another shape.
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor;

    /// Applies what comes after the entry: `predicted` is what the entry would have given, `x` the block's input, which
    /// only a shortcut reads.
    ///
    /// # Panics
    /// On tensors of another shape.
    fn forward_predicted(&self, predicted: &Tensor, x: &Tensor, mode: Mode) -> Tensor;

    /// The entry, where it is a convolution of the block's own.
    fn entry(&self) -> Option<&Conv2d> {
        None
    }

    /// Whether [`Block::forward_predicted`] reads its `x`.
    fn has_shortcut(&self) -> bool {
        false
    }
}

/// Who computes a block's first layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The block itself.
    Own,
    /// A cross-prediction before it; the block then has no parameters for it.
    Predicted,
}

/// Which block, with its sizes.
#[derive(Clone, Debug, PartialEq)]
pub enum BlockConfig {
    /// Convolution, norm, ReLU, pooling.
    Conv(ConvBlockConfig),
    /// Residual block of two 3x3 convolutions.
    Basic(BasicBlockConfig),
    /// Residual block of a 1x1, a 3x3 and a 1x1 convolution.
    Bottleneck(BottleneckConfig),
    /// Dense layer, ReLU, dropout.
    Dense(DenseBlockConfig),
}

impl BlockConfig {
    /// Builds the block at `params`.
    ///
    /// # Errors
    /// Sizes out of range, or a taken name.
    pub fn build(&self, params: &Params, entry: Entry) -> Result<Box<dyn Block>, Error> {
        Ok(match self {
            BlockConfig::Conv(config) => Box::new(config.build(params, entry)?),
            BlockConfig::Basic(config) => Box::new(config.build(params, entry)?),
            BlockConfig::Bottleneck(config) => Box::new(config.build(params, entry)?),
            BlockConfig::Dense(config) => Box::new(config.build(params, entry)?),
        })
    }

    /// Channels (or features) that the block takes.
    pub fn in_channels(&self) -> i64 {
        match self {
            BlockConfig::Conv(config) => config.in_channels,
            BlockConfig::Basic(config) => config.in_channels,
            BlockConfig::Bottleneck(config) => config.in_channels,
            BlockConfig::Dense(config) => config.in_features,
        }
    }

    /// Channels (or features) that the block gives.
    pub fn out_channels(&self) -> i64 {
        match self {
            BlockConfig::Conv(config) => config.out_channels,
            BlockConfig::Basic(config) => config.out_channels,
            BlockConfig::Bottleneck(config) => config.width * BottleneckConfig::EXPANSION,
            BlockConfig::Dense(config) => config.out_features,
        }
    }

    /// Height or width of the output for that of the input; below 1 where the input is too small. Dense blocks keep it.
    pub fn output_size(&self, input: i64) -> i64 {
        match self {
            BlockConfig::Conv(config) => config.output_size(input),
            BlockConfig::Basic(config) => (input - 1) / config.stride + 1,
            BlockConfig::Bottleneck(config) => (input - 1) / config.stride + 1,
            BlockConfig::Dense(_) => input,
        }
    }

    /// The entry as a convolution, for a cross-prediction that stands in for it; `None` for a dense entry.
    pub(crate) fn entry_convolution(&self) -> Option<ConvShape> {
        let (out_channels, kernel, stride, padding) = match self {
            BlockConfig::Conv(c) => (c.out_channels, c.kernel, c.stride, c.padding),
            BlockConfig::Basic(c) => (c.out_channels, 3, c.stride, 1),
            BlockConfig::Bottleneck(c) => (c.width, 1, 1, 0),
            BlockConfig::Dense(_) => return None,
        };
        // The entries' own convolutions have no bias, which the norm would cancel. Here it stays: weighted by the gates it
        // differs from sample to sample, and the norm does not cancel that.
        let init = WeightInit::KaimingNormalFanOut;
        Some(ConvShape { out_channels, kernel, stride, padding, bias: true, init })
    }
}
