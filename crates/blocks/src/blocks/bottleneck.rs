//! The residual block of ResNet-50.

use mp_nn::{BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, Mode, Params, Tensor, WeightInit};

use super::conv::{entry_of, own};
use super::shortcut::Shortcut;
use super::{Block, Entry};
use crate::Error;

/// A [`Bottleneck`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BottleneckConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Channels of the 3x3 convolution; the output has [`BottleneckConfig::EXPANSION`] times as many.
    pub width: i64,
    /// Step of the 3x3 convolution.
    pub stride: i64,
}

impl BottleneckConfig {
    /// Channels of the output over those of the 3x3 convolution.
    pub const EXPANSION: i64 = 4;

    /// Takes `conv1` (unless predicted) to `conv3`, `bn1` to `bn3` and, where the shape changes, `downsample`:
    /// torchvision's names.
    ///
    /// # Errors
    /// Sizes out of range, or a taken name.
    pub fn build(&self, params: &Params, entry: Entry) -> Result<Bottleneck, Error> {
        let out_channels = self.width * Self::EXPANSION;
        let conv = |in_channels, out_channels, kernel, stride| Conv2dConfig {
            stride,
            padding: kernel / 2,
            bias: false,
            init: WeightInit::KaimingNormalFanOut,
            ..Conv2dConfig::new(in_channels, out_channels, kernel)
        };
        let norm = |channels| BatchNorm2dConfig::new(channels);
        Ok(Bottleneck {
            conv1: own(entry, || conv(self.in_channels, self.width, 1, 1).build(&(params / "conv1")))?,
            bn1: norm(self.width).build(&(params / "bn1"))?,
            conv2: conv(self.width, self.width, 3, self.stride).build(&(params / "conv2"))?,
            bn2: norm(self.width).build(&(params / "bn2"))?,
            conv3: conv(self.width, out_channels, 1, 1).build(&(params / "conv3"))?,
            bn3: norm(out_channels).build(&(params / "bn3"))?,
            shortcut: Shortcut::build(params, self.in_channels, out_channels, self.stride)?,
        })
    }
}

/// `relu(norm(W3 * relu(norm(W2 * relu(norm(W1 * X))))) + shortcut(X))`: `[B, in, H, W]` to
/// `[B, 4 width, H / stride, W / stride]`; the stride is in the 3x3 convolution, as in torchvision.
///
/// He et al., arXiv 1512.03385, figure 5.
#[derive(Debug)]
pub struct Bottleneck {
    conv1: Option<Conv2d>,
    bn1: BatchNorm2d,
    conv2: Conv2d,
    bn2: BatchNorm2d,
    conv3: Conv2d,
    bn3: BatchNorm2d,
    shortcut: Shortcut,
}

impl Block for Bottleneck {
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

impl Bottleneck {
    fn after_entry(&self, y: &Tensor, x: &Tensor, mode: Mode) -> Tensor {
        let y = ConvNorm(&self.conv2, &self.bn2).forward_relu(y, mode);
        ConvNorm(&self.conv3, &self.bn3).forward_add_relu(&y, &self.shortcut.forward(x, mode), mode)
    }
}
