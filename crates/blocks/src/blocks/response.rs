//! Local response normalisation as a block.

use mp_nn::{LocalResponseNorm, LocalResponseNormConfig, Module, Params, Tensor};
use mp_routing::Pass;

use crate::{Block, BlockConfig, Error, Shape};

/// Local response normalisation by itself, for networks in which a pooling comes before it; in a
/// [`PlainConvConfig`](crate::PlainConvConfig) it comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ResponseConfig(
    /// The normalisation.
    pub LocalResponseNormConfig,
);

impl BlockConfig for ResponseConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        input.map("a local response normalisation")?;
        Ok(input)
    }

    fn build(&self, input: Shape, _params: &Params) -> Result<Box<dyn Block>, Error> {
        self.output(input)?;
        Ok(Box::new(Response(self.0.build()?)))
    }
}

#[derive(Debug)]
struct Response(LocalResponseNorm);

impl Block for Response {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        self.0.forward(x, pass.mode)
    }
}
