//! The way around a residual branch.

use mp_nn::{
    AvgPool2d, BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, Mode, Module, Params, Tensor, WeightInit,
};

use crate::{Error, Shape};

/// What goes around a residual branch where the shape changes; elsewhere it is the input itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortcutConfig {
    /// A convolution with the stride, and a norm: option B of He et al. (arXiv 1512.03385), named `downsample.0` and
    /// `downsample.1` as in torchvision.
    Projection {
        /// Height and width of its kernel: 1, but 3 in SENet-154.
        kernel: i64,
    },
    /// Means over the stride, then a 1x1 convolution and a norm, named `downsample.1` and `downsample.2` as in timm: He et
    /// al. (ResNet-D), arXiv 1812.01187. A last window that the map does not fill is the mean of what it holds.
    Averaged,
    /// Every `stride`-th row and column, between channels of zeros, half of the missing ones before and half after: option A
    /// of arXiv 1512.03385 as in the public weights for CIFAR. It has no parameters.
    Padded,
    /// The same with all channels of zeros after, as in fb.resnet.torch.
    Appended,
}

impl Default for ShortcutConfig {
    fn default() -> Self {
        ShortcutConfig::Projection { kernel: 1 }
    }
}

#[derive(Debug)]
pub(super) enum Shortcut {
    Identity,
    Projection(Conv2d, BatchNorm2d),
    Averaged(AvgPool2d, Conv2d, BatchNorm2d),
    Padded { stride: i64, before: i64, after: i64 },
}

impl ShortcutConfig {
    pub(super) fn build(
        self,
        params: &Params,
        input: Shape,
        out_channels: i64,
        stride: i64,
    ) -> Result<Shortcut, Error> {
        let in_channels = input.channels();
        if stride == 1 && in_channels == out_channels {
            return Ok(Shortcut::Identity);
        }
        let place = params / "downsample";
        let conv = |kernel: i64, stride| Conv2dConfig {
            stride,
            padding: kernel / 2,
            bias: false,
            init: WeightInit::KaimingNormalFanOut,
            ..Conv2dConfig::new(in_channels, out_channels, kernel)
        };
        let norm = BatchNorm2dConfig::new(out_channels);
        let missing = out_channels - in_channels;
        if missing < 0 && matches!(self, ShortcutConfig::Padded | ShortcutConfig::Appended) {
            let expected = "no more channels than it gives, as its shortcut only adds channels";
            return Err(Error::Shape { block: "a residual block", expected, found: input });
        }
        Ok(match self {
            ShortcutConfig::Projection { kernel } => {
                Shortcut::Projection(conv(kernel, stride).build(&(&place / 0))?, norm.build(&(&place / 1))?)
            }
            ShortcutConfig::Averaged => {
                let pool = AvgPool2d { ceil: true, count_include_pad: false, ..AvgPool2d::new(stride, stride) };
                Shortcut::Averaged(pool, conv(1, 1).build(&(&place / 1))?, norm.build(&(&place / 2))?)
            }
            ShortcutConfig::Padded => Shortcut::Padded { stride, before: missing / 2, after: missing - missing / 2 },
            ShortcutConfig::Appended => Shortcut::Padded { stride, before: 0, after: missing },
        })
    }
}

impl Shortcut {
    /// What is added to the branch.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match self {
            Shortcut::Identity => x.shallow_clone(),
            Shortcut::Projection(conv, norm) => ConvNorm(conv, norm).forward(x, mode),
            Shortcut::Averaged(pool, conv, norm) if pool.stride == 1 => ConvNorm(conv, norm).forward(x, mode),
            Shortcut::Averaged(pool, conv, norm) => ConvNorm(conv, norm).forward(&pool.forward(x, mode), mode),
            Shortcut::Padded { stride, before, after } => x
                .slice(2, None, None, *stride)
                .slice(3, None, None, *stride)
                .constant_pad_nd([0, 0, 0, 0, *before, *after]),
        }
    }
}
