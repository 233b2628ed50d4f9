//! Dense layer, ReLU and dropout.

use mp_nn::{Dropout, Linear, LinearConfig, Module, Params, Tensor};
use mp_routing::{DenseShape, Pass};

use super::entry_of;
use crate::{Block, BlockConfig, Crossable, DropRates, Droppable, EntryShape, Error, Parted, Shape, SharedBlock};

/// A [`DenseBlock`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DenseBlockConfig {
    /// Features of the output.
    pub out_features: i64,
    /// Probability of dropout after the activation; 0 turns it off.
    pub dropout: f64,
}

impl DenseBlockConfig {
    /// Takes `dense1.weight` and `dense1.bias`, unless predicted.
    fn assemble(&self, input: Shape, params: &Params, predicted: bool) -> Result<DenseBlock, Error> {
        let dense = LinearConfig::new(input.vector("a dense layer")?, self.out_features);
        Ok(DenseBlock {
            dense1: if predicted { None } else { Some(dense.build(&(params / "dense1"))?) },
            dropout: Dropout::new(self.dropout)?,
        })
    }
}

impl BlockConfig for DenseBlockConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        input.vector("a dense layer")?;
        Ok(Shape::Vector(self.out_features))
    }

    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, false)?))
    }

    fn crossable(&self) -> Option<&dyn Crossable> {
        Some(self)
    }

    fn droppable(&self) -> Option<&dyn Droppable> {
        Some(self)
    }
}

impl Droppable for DenseBlockConfig {
    fn rates(&self) -> DropRates {
        DropRates { dropout: Some(self.dropout), ..DropRates::default() }
    }

    fn with_rates(&self, rates: &DropRates) -> SharedBlock {
        DenseBlockConfig { dropout: rates.dropout.unwrap_or(self.dropout), ..*self }.into()
    }
}

impl Crossable for DenseBlockConfig {
    fn entry(&self, _input: Shape) -> Result<EntryShape, Error> {
        Ok(EntryShape::Dense(DenseShape { out_features: self.out_features, bias: true }))
    }

    fn build_predicted(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, true)?))
    }
}

/// `dropout(relu(W x + b))`: `[B, in]` to `[B, out]`.
#[derive(Debug)]
pub struct DenseBlock {
    dense1: Option<Linear>,
    dropout: Dropout,
}

impl Block for DenseBlock {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        self.after(&entry_of(&self.dense1).forward(x, pass.mode), None, pass)
    }

    fn parted(&self) -> Option<&dyn Parted> {
        Some(self)
    }
}

impl Parted for DenseBlock {
    fn after(&self, entry: &Tensor, _around: Option<&Tensor>, pass: &mut Pass) -> Tensor {
        self.dropout.forward(&entry.relu(), pass.mode)
    }
}
