//! Activations.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Mode, Module};

/// An elementwise function after a layer: any shape to the same.
///
/// ```
/// use mp_nn::{Activation, Mode, Module, Tensor};
///
/// let x = Tensor::from_slice(&[-1.0_f32, 2.0]);
/// assert_eq!(Activation::Relu.forward(&x, Mode::Eval), Tensor::from_slice(&[0.0_f32, 2.0]));
/// assert!((Activation::ScaledTanh.forward(&x, Mode::Eval).double_value(&[0]) + 1.0).abs() < 1e-4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// `x`.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `max(x, 0)` for the first half of the channels, `-max(x, 0)` for the second (of an odd number, the smaller half), so
    /// that their mean stays near 0. Glorot et al., AISTATS 2011.
    BalancedRelu,
    /// `tanh x`.
    Tanh,
    /// `1.7159 tanh(2 x / 3)`, which takes 1 to 1 and -1 to -1. LeCun et al., Proceedings of the IEEE 86, 1998.
    ScaledTanh,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `ln(1 + exp x)`.
    Softplus,
}

impl Module for Activation {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Tensor {
        match self {
            Activation::Identity => x.shallow_clone(),
            Activation::Relu => x.relu(),
            Activation::BalancedRelu => {
                let channels = x.size()[1];
                let negative = channels / 2;
                let y = x.relu();
                Tensor::cat(&[y.narrow(1, 0, channels - negative), -y.narrow(1, channels - negative, negative)], 1)
            }
            Activation::Tanh => x.tanh(),
            Activation::ScaledTanh => (x * (2.0 / 3.0)).tanh() * 1.7159,
            Activation::Sigmoid => x.sigmoid(),
            Activation::Softplus => x.softplus(),
        }
    }
}
