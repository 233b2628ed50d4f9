//! Norm and ReLU alone: what closes a network whose blocks begin with them.

use mp_nn::{BatchNorm2d, BatchNorm2dConfig, Params, Tensor};
use mp_routing::Pass;

use crate::{Block, BlockConfig, Error, Shape};

/// A [`NormRelu`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NormReluConfig;

impl BlockConfig for NormReluConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        input.map("a norm").map(|_| input)
    }

    /// Takes `norm`.
    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        let (channels, ..) = input.map("a norm")?;
        Ok(Box::new(NormRelu(BatchNorm2dConfig::new(channels).build(&(params / "norm"))?)))
    }
}

/// `relu(norm(X))`: `[B, C, H, W]` to the same.
#[derive(Debug)]
pub struct NormRelu(BatchNorm2d);

impl Block for NormRelu {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        self.0.forward_relu(x, pass.mode)
    }
}
