//! Dense layer.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, Init, Meter, Mode, Module, Params, Role, numbers_of_one};

/// A dense layer; [`LinearConfig::new`] gives it a bias.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearConfig {
    /// Features of the input.
    pub in_features: i64,
    /// Features of the output.
    pub out_features: i64,
    /// Whether a bias is added.
    pub bias: bool,
}

impl LinearConfig {
    /// A dense layer with a bias, as in PyTorch.
    pub fn new(in_features: i64, out_features: i64) -> Self {
        LinearConfig { in_features, out_features, bias: true }
    }

    /// Takes `weight` `[out, in]` and, where there is one, `bias` `[out]`, both uniform within `1 / sqrt(in)`.
    ///
    /// # Errors
    /// Features below 1, or a taken name.
    pub fn build(&self, params: &Params) -> Result<Linear, Error> {
        for (what, value) in [("in_features", self.in_features), ("out_features", self.out_features)] {
            if value < 1 {
                let what = format!("{what} of the dense layer `{}`", params.path());
                return Err(Error::config(what, "at least 1", value));
            }
        }
        let init = Init::kaiming_uniform(self.in_features);
        let weight = params.parameter("weight", &[self.out_features, self.in_features], init.clone(), Role::Weight)?;
        let bias =
            if self.bias { Some(params.parameter("bias", &[self.out_features], init, Role::Bias)?) } else { None };
        Ok(Linear { weight, bias, meter: params.meter().clone() })
    }
}

/// `y = W x + b`: `[B, in]` to `[B, out]`.
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
