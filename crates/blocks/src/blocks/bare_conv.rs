//! A convolution alone: the first layer of a network whose blocks begin with a norm.

use mp_nn::{Conv2d, Conv2dConfig, Module, Params, Tensor, WeightInit};
use mp_routing::Pass;

use super::{entry_of, window};
use crate::{Block, BlockConfig, Crossable, EntryShape, Error, Parted, Shape};

/// A [`BareConv`]; [`BareConvConfig::new`] gives a 3x3 kernel that keeps height and width.
#[derive(Clone, Debug, PartialEq)]
pub struct BareConvConfig {
    /// Channels of the output.
    pub out_channels: i64,
    /// Height and width of the kernel.
    pub kernel: i64,
    /// Step of the kernel.
    pub stride: i64,
    /// How the weights start.
    pub init: WeightInit,
}

impl BareConvConfig {
    /// A 3x3 convolution that keeps height and width.
    pub fn new(out_channels: i64) -> Self {
        BareConvConfig { out_channels, kernel: 3, stride: 1, init: WeightInit::KaimingNormalFanOut }
    }

    fn convolution(&self, input: Shape) -> Result<Conv2dConfig, Error> {
        Ok(Conv2dConfig {
            stride: self.stride,
            padding: self.kernel / 2,
            bias: false,
            init: self.init,
            ..Conv2dConfig::new(input.map("a convolution")?.0, self.out_channels, self.kernel)
        })
    }
}

impl BlockConfig for BareConvConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (_, height, width) = input.map("a convolution")?;
        let size = |size| window(size, self.kernel, self.stride, self.kernel / 2);
        let (height, width) = (size(height), size(width));
        if height.min(width) < 1 {
            return Err(Error::too_small("a convolution", input));
        }
        Ok(Shape::Map { channels: self.out_channels, height, width })
    }

    /// Takes `conv.weight`.
    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(BareConv(Some(self.convolution(input)?.build(&(params / "conv"))?))))
    }

    fn crossable(&self) -> Option<&dyn Crossable> {
        Some(self)
    }
}

impl Crossable for BareConvConfig {
    fn entry(&self, input: Shape) -> Result<EntryShape, Error> {
        Ok(EntryShape::of_normed(&self.convolution(input)?))
    }

    fn build_predicted(&self, _input: Shape, _params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(BareConv(None)))
    }
}

/// `W * X`, with zeros around the map so that a stride of 1 keeps its size: `[B, in, H, W]` to `[B, out, H', W']`.
#[derive(Debug)]
pub struct BareConv(Option<Conv2d>);

impl Block for BareConv {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        entry_of(&self.0).forward(x, pass.mode)
    }

    fn parted(&self) -> Option<&dyn Parted> {
        Some(self)
    }
}

impl Parted for BareConv {
    fn entry(&self) -> Option<&Conv2d> {
        self.0.as_ref()
    }

    fn after(&self, entry: &Tensor, _around: Option<&Tensor>, _pass: &mut Pass) -> Tensor {
        entry.shallow_clone()
    }
}
