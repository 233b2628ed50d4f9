//! The way around a residual branch.

use mp_nn::{BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, Mode, Module, Params, Tensor, WeightInit};

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

    /// `relu(branch + shortcut(x))`, in the memory of the branch: no gradient reads it, and a new map a block costs time.
    pub(super) fn join(&self, mut branch: Tensor, x: &Tensor, mode: Mode) -> Tensor {
        let _ = match &self.0 {
            None => branch.g_add_(x),
            Some((conv, norm)) => branch.g_add_(&norm.forward(&conv.forward(x, mode), mode)),
        };
        branch.relu_()
    }
}
