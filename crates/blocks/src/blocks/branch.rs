//! The convolutions of a residual block beside its shortcut.

use mp_nn::{Conv2dConfig, WeightInit};

/// What a residual block computes beside its shortcut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// Two 3x3 convolutions, the first with the stride.
    Basic {
        /// Channels of both.
        channels: i64,
    },
    /// A 1x1 convolution, a 3x3 one, and a 1x1 one.
    Bottleneck {
        /// Channels of the first convolution; those of the 3x3 one but in SENet-154.
        reduced: i64,
        /// Channels of the 3x3 convolution.
        width: i64,
        /// Channels of the last convolution.
        channels: i64,
        /// Groups of the 3x3 convolution.
        groups: i64,
    },
}

/// Which convolution of a bottleneck has the stride.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strided {
    /// The 3x3 one, as in torchvision, timm and fb.resnet.torch.
    #[default]
    Spatial,
    /// The first 1x1 one, as in the Caffe networks of the papers: a quarter of the map is looked at, and the block costs less.
    First,
}

impl Branch {
    /// Channels of a bottleneck's output over those of its stage.
    pub const EXPANSION: i64 = 4;

    /// The bottleneck of ResNet-50: its output has four times the `width`.
    pub fn bottleneck(width: i64) -> Self {
        Branch::Bottleneck { reduced: width, width, channels: width * Self::EXPANSION, groups: 1 }
    }

    /// The bottleneck of ResNeXt and of the wide ResNets: `groups` of `base / 64` of the stage's width each, rounded down.
    /// With 1 group and a base of 128 it is twice as wide as ResNet-50's.
    pub fn grouped(width: i64, groups: i64, base: i64) -> Self {
        let inner = groups * (width * base / 64).max(1);
        Branch::Bottleneck { reduced: inner, width: inner, channels: width * Self::EXPANSION, groups }
    }

    /// Channels of its output.
    pub fn channels(&self) -> i64 {
        match *self {
            Branch::Basic { channels } | Branch::Bottleneck { channels, .. } => channels,
        }
    }

    /// The convolutions in order; none has a bias.
    pub(super) fn convolutions(
        &self,
        in_channels: i64,
        stride: i64,
        strided: Strided,
        init: WeightInit,
    ) -> Vec<Conv2dConfig> {
        let conv = |in_channels, out_channels, kernel: i64, stride| Conv2dConfig {
            stride,
            padding: kernel / 2,
            bias: false,
            init,
            ..Conv2dConfig::new(in_channels, out_channels, kernel)
        };
        match *self {
            Branch::Basic { channels } => vec![conv(in_channels, channels, 3, stride), conv(channels, channels, 3, 1)],
            Branch::Bottleneck { reduced, width, channels, groups } => {
                let (first, spatial) = if strided == Strided::First { (stride, 1) } else { (1, stride) };
                vec![
                    conv(in_channels, reduced, 1, first),
                    Conv2dConfig { groups, ..conv(reduced, width, 3, spatial) },
                    conv(width, channels, 1, 1),
                ]
            }
        }
    }
}
