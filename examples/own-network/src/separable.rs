//! A user's own block: a depthwise and a 1x1 convolution, each with its norm and a ReLU.

use mp_blocks::{Block, BlockConfig, Error, Shape};
use mp_nn::{BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, Params, Tensor};
use mp_routing::Pass;

/// A [`Separable`] block.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SeparableConfig {
    /// Channels of the output.
    pub(crate) out_channels: i64,
    /// Step of the depthwise convolution.
    pub(crate) stride: i64,
}

impl SeparableConfig {
    fn depthwise(&self, channels: i64) -> Conv2dConfig {
        Conv2dConfig { stride: self.stride, padding: 1, bias: false, ..Conv2dConfig::depthwise(channels, 3) }
    }
}

impl BlockConfig for SeparableConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (channels, height, width) = input.map("a separable block")?;
        let size = |size| self.depthwise(channels).output_size(size);
        Ok(Shape::Map { channels: self.out_channels, height: size(height), width: size(width) })
    }

    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        let (channels, ..) = input.map("a separable block")?;
        let pointwise = Conv2dConfig { bias: false, ..Conv2dConfig::new(channels, self.out_channels, 1) };
        Ok(Box::new(Separable {
            depthwise: self.depthwise(channels).build(&(params / "depthwise"))?,
            norm1: BatchNorm2dConfig::new(channels).build(&(params / "norm1"))?,
            pointwise: pointwise.build(&(params / "pointwise"))?,
            norm2: BatchNorm2dConfig::new(self.out_channels).build(&(params / "norm2"))?,
        }))
    }
}

/// `[B, in, H, W]` to `[B, out, H / stride, W / stride]`. Howard et al., arXiv 1704.04861, figure 3.
struct Separable {
    depthwise: Conv2d,
    norm1: BatchNorm2d,
    pointwise: Conv2d,
    norm2: BatchNorm2d,
}

impl Block for Separable {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let y = ConvNorm(&self.depthwise, &self.norm1).forward_relu(x, pass.mode);
        ConvNorm(&self.pointwise, &self.norm2).forward_relu(&y, pass.mode)
    }
}
