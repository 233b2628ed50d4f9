//! Highway layers.

use mp_nn::{BiasInit, Conv2d, Conv2dConfig, Module, Params, Tensor, WeightInit};
use mp_routing::Pass;

use super::Pooling;
use crate::{Block, BlockConfig, Error, Shape};

/// `y = H(x) T(x) + x (1 - T(x))` with `H(x) = relu(W_H * x + b_H)` and the gate `T(x) = sigmoid(W_T * x + b_T)`, both 3x3
/// convolutions that keep the input's shape: `[B, C, H, W]` to the same. Every cell of every channel has a gate of its own.
///
/// Srivastava, Greff and Schmidhuber, arXiv 1505.00387. The gates start nearly closed, so that layers at first pass their
/// input on.
///
/// ```
/// use mp_blocks::{BlockConfig, HighwayConfig, Shape};
/// use mp_nn::{Device, Kind, Store, Tensor};
/// use mp_routing::Pass;
///
/// let closed = HighwayConfig { gate_bias: -100.0, ..HighwayConfig::default() };
/// let store = Store::new(Device::Cpu, 0);
/// let layer = closed.build(Shape::square(4, 5), &store.root())?;
/// let x = Tensor::ones([1, 4, 5, 5], (Kind::Float, Device::Cpu));
/// assert_eq!(layer.forward(&x, &mut Pass::eval()), x);
/// assert_eq!(store.parameter_count(), 2 * (9 * 4 * 4 + 4));
/// # Ok::<(), mp_blocks::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct HighwayConfig {
    /// Start of `b_T`.
    pub gate_bias: f64,
    /// How the weights of both convolutions start.
    pub init: WeightInit,
    /// What follows.
    pub pools: Vec<Pooling>,
}

impl Default for HighwayConfig {
    fn default() -> Self {
        HighwayConfig { gate_bias: -2.0, init: WeightInit::XavierUniform, pools: Vec::new() }
    }
}

impl BlockConfig for HighwayConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        input.map("a highway layer")?;
        Pooling::output_of(&self.pools, input)
    }

    /// Takes `h` and `t`.
    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        let (channels, ..) = input.map("a highway layer")?;
        let conv = |name: &str, bias| {
            let config = Conv2dConfig {
                padding: 1,
                init: self.init,
                bias_init: BiasInit::Constant(bias),
                ..Conv2dConfig::new(channels, channels, 3)
            };
            config.build(&(params / name))
        };
        Ok(Box::new(Highway { h: conv("h", 0.0)?, t: conv("t", self.gate_bias)?, pools: self.pools.clone() }))
    }
}

#[derive(Debug)]
struct Highway {
    h: Conv2d,
    t: Conv2d,
    pools: Vec<Pooling>,
}

impl Block for Highway {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let (h, t) = (self.h.forward(x, pass.mode).relu(), self.t.forward(x, pass.mode).sigmoid());
        // x + t (h - x) is the same and has one product less.
        Pooling::forward_all(&self.pools, x + t * (h - x))
    }
}
