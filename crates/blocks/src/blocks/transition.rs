//! What lies between the dense blocks of a densely connected network.

use mp_nn::{AvgPool2d, BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, Module, Params, Tensor, WeightInit};
use mp_routing::Pass;

use super::entry_of;
use crate::{Before, Block, BlockConfig, Crossable, EntryShape, Error, Parted, Shape};

const POOL: i64 = 2;

/// A [`Transition`].
#[derive(Clone, Debug, PartialEq)]
pub struct TransitionConfig {
    /// Channels of the output.
    pub out_channels: i64,
    /// How the convolution starts.
    pub init: WeightInit,
}

impl TransitionConfig {
    fn convolution(&self, input: Shape) -> Result<Conv2dConfig, Error> {
        let in_channels = input.map("a transition")?.0;
        Ok(Conv2dConfig { bias: false, init: self.init, ..Conv2dConfig::new(in_channels, self.out_channels, 1) })
    }

    /// Takes `norm` and `conv` (unless predicted): torchvision's names.
    fn assemble(&self, input: Shape, params: &Params, predicted: bool) -> Result<Transition, Error> {
        let conv = self.convolution(input)?;
        Ok(Transition {
            norm: BatchNorm2dConfig::new(conv.in_channels).build(&(params / "norm"))?,
            conv: if predicted { None } else { Some(conv.build(&(params / "conv"))?) },
        })
    }
}

impl BlockConfig for TransitionConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (_, height, width) = input.map("a transition")?;
        let (height, width) = (height / POOL, width / POOL);
        if height.min(width) < 1 {
            return Err(Error::too_small("a transition", input));
        }
        Ok(Shape::Map { channels: self.out_channels, height, width })
    }

    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, false)?))
    }

    fn crossable(&self) -> Option<&dyn Crossable> {
        Some(self)
    }
}

impl Crossable for TransitionConfig {
    fn entry(&self, input: Shape) -> Result<EntryShape, Error> {
        Ok(EntryShape::of_normed(&self.convolution(input)?))
    }

    fn build_predicted(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, true)?))
    }
}

/// `mean(W * relu(norm(X)))`, a 1x1 convolution and means over 2x2 cells: `[B, in, H, W]` to `[B, out, H / 2, W / 2]`. Huang
/// et al., arXiv 1608.06993.
#[derive(Debug)]
pub struct Transition {
    norm: BatchNorm2d,
    conv: Option<Conv2d>,
}

impl Block for Transition {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let y = entry_of(&self.conv).forward(&self.norm.forward_relu(x, pass.mode), pass.mode);
        self.after(&y, None, pass)
    }

    fn parted(&self) -> Option<&dyn Parted> {
        Some(self)
    }
}

impl Parted for Transition {
    fn before(&self, x: &Tensor, pass: &mut Pass) -> Before {
        Before { entry: self.norm.forward_relu(x, pass.mode), around: None }
    }

    fn entry(&self) -> Option<&Conv2d> {
        self.conv.as_ref()
    }

    fn after(&self, entry: &Tensor, _around: Option<&Tensor>, pass: &mut Pass) -> Tensor {
        AvgPool2d::new(POOL, POOL).forward(entry, pass.mode)
    }
}
