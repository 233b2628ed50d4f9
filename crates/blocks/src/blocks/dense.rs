//! Dense layer, ReLU and dropout.

use mp_nn::{Dropout, Linear, LinearConfig, Mode, Module, Params, Tensor};

use super::conv::{entry_of, own};
use super::{Block, Entry};
use crate::Error;

/// A [`DenseBlock`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseBlockConfig {
    /// Features of the input.
    pub in_features: i64,
    /// Features of the output.
    pub out_features: i64,
    /// Probability of dropout after the activation; 0 turns it off.
    pub dropout: f64,
}

impl DenseBlockConfig {
    /// Takes `dense1.weight` and `dense1.bias`, unless predicted.
    ///
    /// # Errors
    /// Sizes or probability out of range, or a taken name.
    pub fn build(&self, params: &Params, entry: Entry) -> Result<DenseBlock, Error> {
        let dense = LinearConfig::new(self.in_features, self.out_features);
        Ok(DenseBlock {
            dense1: own(entry, || dense.build(&(params / "dense1")))?,
            dropout: Dropout::new(self.dropout)?,
        })
    }
}

/// `dropout(relu(W x + b))`: `[B, in]` to `[B, out]`.
#[derive(Debug)]
pub struct DenseBlock {
    dense1: Option<Linear>,
    dropout: Dropout,
}

impl Block for DenseBlock {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.forward_predicted(&entry_of(&self.dense1).forward(x, mode), x, mode)
    }

    fn forward_predicted(&self, predicted: &Tensor, _x: &Tensor, mode: Mode) -> Tensor {
        self.dropout.forward(&predicted.relu(), mode)
    }
}
