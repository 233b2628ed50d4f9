//! Dense layer.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{BiasInit, Error, Meter, Mode, Module, Params, Role, WeightInit, numbers_of_one};

/// A dense layer; [`LinearConfig::new`] gives it a bias and PyTorch's start.
///
/// ```
/// use mp_nn::{BiasInit, LinearConfig, WeightInit};
///
/// let normal = WeightInit::Normal { std: 0.005 };
/// let dense = LinearConfig { init: normal, bias_init: BiasInit::Constant(1.0), ..LinearConfig::new(9216, 4096) };
/// assert!(dense.bias);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearConfig {
    /// Features of the input.
    pub in_features: i64,
    /// Features of the output.
    pub out_features: i64,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the weights start.
    #[serde(default)]
    pub init: WeightInit,
    /// How the bias starts.
    #[serde(default)]
    pub bias_init: BiasInit,
}

impl LinearConfig {
    /// A dense layer with a bias, as in PyTorch.
    pub fn new(in_features: i64, out_features: i64) -> Self {
        LinearConfig {
            in_features,
            out_features,
            bias: true,
            init: WeightInit::default(),
            bias_init: BiasInit::default(),
        }
    }

    /// Takes `weight` `[out, in]` and, where there is one, `bias` `[out]`.
    ///
    /// # Errors
    /// Features below 1, a start that is not finite, or a taken name.
    pub fn build(&self, params: &Params) -> Result<Linear, Error> {
        let at = |what: &str| format!("{what} of the dense layer `{}`", params.path());
        for (what, value) in [("in_features", self.in_features), ("out_features", self.out_features)] {
            if value < 1 {
                return Err(Error::config(at(what), "at least 1", value));
            }
        }
        self.init.check(at("init"))?;
        self.bias_init.check(at("bias_init"))?;
        let shape = [self.out_features, self.in_features];
        let start = self.init.start(self.in_features, self.out_features);
        let weight = params.parameter("weight", &shape, start, Role::Weight)?;
        let bias = if self.bias {
            let start = self.bias_init.start(self.in_features);
            Some(params.parameter("bias", &[self.out_features], start, Role::Bias)?)
        } else {
            None
        };
        Ok(Linear { weight, bias, meter: params.meter().clone() })
    }
}

/// `y = W x + b`: `[B, in]` to `[B, out]`.
///
/// ```
/// use mp_nn::{Device, Kind, LinearConfig, Mode, Module, Store, Tensor};
///
/// let store = Store::new(Device::Cpu, 0);
/// let dense = LinearConfig::new(10, 3).build(&(&store.root() / "fc"))?;
/// assert_eq!(dense.forward(&Tensor::zeros([2, 10], (Kind::Float, Device::Cpu)), Mode::Eval).size(), [2, 3]);
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    meter: Meter,
}

impl Module for Linear {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Tensor {
        let y = x.linear(&self.weight, self.bias.as_ref());
        self.meter.add(numbers_of_one(&y) * self.weight.size()[1] as u64);
        y
    }
}
