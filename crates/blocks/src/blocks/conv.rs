//! Convolution, norm, ReLU and pooling.

use mp_nn::{
    BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, Params, Tensor, WeightInit, global_avg_pool,
    max_pool2d,
};

use super::{entry_of, window};
use crate::{Block, BlockConfig, Crossable, EntryShape, Error, Parted, Shape};
use mp_routing::Pass;

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
    fn output(self, input: Shape) -> Result<Shape, Error> {
        match self {
            Pool::None => Ok(input),
            Pool::GlobalAverage => Ok(Shape::Vector(input.channels())),
            Pool::Max { kernel, stride, padding } => {
                let (channels, height, width) = input.map("a pooling")?;
                let pooled = |size| window(size, kernel, stride, padding);
                let (height, width) = (pooled(height), pooled(width));
                if height.min(width) < 1 {
                    return Err(Error::too_small("a pooling", input));
                }
                Ok(Shape::Map { channels, height, width })
            }
        }
    }

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
    pub fn new(out_channels: i64) -> Self {
        ConvBlockConfig { out_channels, kernel: 3, stride: 1, padding: 1, pool: Pool::None }
    }

    fn convolution(&self, input: Shape) -> Result<Conv2dConfig, Error> {
        Ok(Conv2dConfig {
            stride: self.stride,
            padding: self.padding,
            bias: false,
            init: WeightInit::KaimingNormalFanOut,
            ..Conv2dConfig::new(input.map("a convolution")?.0, self.out_channels, self.kernel)
        })
    }

    /// Takes `conv1.weight` (unless predicted) and `bn1`: the names of torchvision's ResNet stem.
    fn assemble(&self, input: Shape, params: &Params, predicted: bool) -> Result<ConvBlock, Error> {
        let conv = self.convolution(input)?;
        Ok(ConvBlock {
            conv1: if predicted { None } else { Some(conv.build(&(params / "conv1"))?) },
            bn1: BatchNorm2dConfig::new(self.out_channels).build(&(params / "bn1"))?,
            pool: self.pool,
        })
    }
}

impl BlockConfig for ConvBlockConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (_, height, width) = input.map("a convolution")?;
        let convolved = |size| window(size, self.kernel, self.stride, self.padding);
        let (height, width) = (convolved(height), convolved(width));
        if height.min(width) < 1 {
            return Err(Error::too_small("a convolution", input));
        }
        self.pool.output(Shape::Map { channels: self.out_channels, height, width })
    }

    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, false)?))
    }

    fn crossable(&self) -> Option<&dyn Crossable> {
        Some(self)
    }
}

impl Crossable for ConvBlockConfig {
    fn entry(&self, input: Shape) -> Result<EntryShape, Error> {
        Ok(EntryShape::of_normed(&self.convolution(input)?))
    }

    fn build_predicted(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, true)?))
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
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        self.pool.forward(ConvNorm(entry_of(&self.conv1), &self.bn1).forward_relu(x, pass.mode))
    }

    fn parted(&self) -> Option<&dyn Parted> {
        Some(self)
    }
}

impl Parted for ConvBlock {
    fn entry(&self) -> Option<&Conv2d> {
        self.conv1.as_ref()
    }

    fn after(&self, entry: &Tensor, _around: Option<&Tensor>, pass: &mut Pass) -> Tensor {
        self.pool.forward(self.bn1.forward_relu(entry, pass.mode))
    }
}
