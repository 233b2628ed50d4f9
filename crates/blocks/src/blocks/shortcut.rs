//! The way around a residual branch.

use mp_nn::{BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, Mode, Params, Tensor, WeightInit};

use crate::Error;

/// The input itself, or, where its shape changes, a 1x1 convolution and a norm (option B of He et al., arXiv 1512.03385),
/// named `downsample.0` and `downsample.1` as in torchvision.
#[derive(Debug)]
pub(super) struct Shortcut(Option<(Conv2d, BatchNorm2d)>);

impl Shortcut {
    pub(super) fn build(params: &Params, in_channels: i64, out_channels: i64, stride: i64) -> Result<Self, Error> {
        if stride == 1 && in_channels == out_channels {
            return Ok(Shortcut(None));
        }
        let place = params / "downsample";
        let conv = Conv2dConfig {
            stride,
            bias: false,
            init: WeightInit::KaimingNormalFanOut,
            ..Conv2dConfig::new(in_channels, out_channels, 1)
        };
        Ok(Shortcut(Some((conv.build(&(&place / 0))?, BatchNorm2dConfig::new(out_channels).build(&(&place / 1))?))))
    }

    /// What is added to the branch.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match &self.0 {
            None => x.shallow_clone(),
            Some((conv, norm)) => ConvNorm(conv, norm).forward(x, mode),
        }
    }
}
