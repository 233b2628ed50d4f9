//! Pooling by the largest as a block of its own, for stems whose pool is not the plain one.

use mp_nn::{MaxPool2d, Module, Params, Tensor};
use mp_routing::Pass;

use crate::{Block, BlockConfig, Error, Shape};

/// `[B, C, H, W]` to `[B, C, H', W']`; see [`MaxPool2d`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPoolConfig(pub MaxPool2d);

impl BlockConfig for MaxPoolConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (channels, height, width) = input.map("a pooling")?;
        let size = |size| self.0.output_size(size).map_err(|_| Error::too_small("a pooling", input));
        Ok(Shape::Map { channels, height: size(height)?, width: size(width)? })
    }

    fn build(&self, input: Shape, _params: &Params) -> Result<Box<dyn Block>, Error> {
        self.output(input)?;
        Ok(Box::new(Pooling(self.0)))
    }
}

struct Pooling(MaxPool2d);

impl Block for Pooling {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        self.0.forward(x, pass.mode)
    }
}
