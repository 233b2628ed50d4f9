//! The residual block of ResNet-18, ResNet-34 and the CIFAR ResNets.

use mp_nn::{BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, Mode, Params, Tensor, WeightInit};

use super::conv::{entry_of, own};
use super::shortcut::Shortcut;
use super::{Block, Entry};
use crate::Error;

/// A [`BasicBlock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BasicBlockConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Channels of the output.
    pub out_channels: i64,
    /// Step of the first convolution.
    pub stride: i64,
}

impl BasicBlockConfig {
    /// Takes `conv1` (unless predicted), `bn1`, `conv2`, `bn2` and, where the shape changes, `downsample`: torchvision's
    /// names.
    ///
    /// # Errors
    /// Sizes out of range, or a taken name.
    pub fn build(&self, params: &Params, entry: Entry) -> Result<BasicBlock, Error> {
        let conv = |in_channels, stride| Conv2dConfig {
            stride,
            padding: 1,
            bias: false,
            init: WeightInit::KaimingNormalFanOut,
            ..Conv2dConfig::new(in_channels, self.out_channels, 3)
        };
        let norm = BatchNorm2dConfig::new(self.out_channels);
        Ok(BasicBlock {
            conv1: own(entry, || conv(self.in_channels, self.stride).build(&(params / "conv1")))?,
            bn1: norm.build(&(params / "bn1"))?,
            conv2: conv(self.out_channels, 1).build(&(params / "conv2"))?,
            bn2: norm.build(&(params / "bn2"))?,
            shortcut: Shortcut::build(params, self.in_channels, self.out_channels, self.stride)?,
        })
    }
}

/// `relu(norm(W2 * relu(norm(W1 * X))) + shortcut(X))`: `[B, in, H, W]` to `[B, out, H / stride, W / stride]`.
///
/// He et al., arXiv 1512.03385, figure 2.
#[derive(Debug)]
pub struct BasicBlock {
    conv1: Option<Conv2d>,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    shortcut: Shortcut,
}

impl Block for BasicBlock {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.after_entry(&ConvNorm(entry_of(&self.conv1), &self.bn1).forward_relu(x, mode), x, mode)
    }

    fn forward_predicted(&self, predicted: &Tensor, x: &Tensor, mode: Mode) -> Tensor {
        self.after_entry(&self.bn1.forward_relu(predicted, mode), x, mode)
    }

    fn entry(&self) -> Option<&Conv2d> {
        self.conv1.as_ref()
    }

    fn has_shortcut(&self) -> bool {
        true
    }
}

impl BasicBlock {
    fn after_entry(&self, y: &Tensor, x: &Tensor, mode: Mode) -> Tensor {
        ConvNorm(&self.conv2, &self.bn2).forward_add_relu(y, &self.shortcut.forward(x, mode), mode)
    }
}
