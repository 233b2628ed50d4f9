//! A dense layer with all that may stand before and after it.

use mp_nn::{Activation, BiasInit, Dropout, Linear, LinearConfig, Maxout, Module, Params, Tensor, WeightInit};
use mp_routing::{DenseShape, Pass};

use super::entry_of;
use crate::{
    Before, Block, BlockConfig, Crossable, DropRates, Droppable, EntryShape, Error, Parted, Shape, SharedBlock,
};

/// Dropout, dense layer, activation, maxout, dropout; [`PlainDenseConfig::new`] gives a dense layer and a ReLU.
///
/// ```
/// use mp_blocks::{BlockConfig, PlainDenseConfig, Shape};
///
/// // AlexNet's, as torchvision has it: dropout comes before the layer.
/// let dense = PlainDenseConfig { dropout_before: 0.5, ..PlainDenseConfig::new(4096) };
/// assert_eq!(dense.output(Shape::Vector(9216))?, Shape::Vector(4096));
/// # Ok::<(), mp_blocks::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PlainDenseConfig {
    /// Features of the output.
    pub out_features: i64,
    /// How the weights start.
    pub init: WeightInit,
    /// How the bias starts.
    pub bias_init: BiasInit,
    /// What follows.
    pub activation: Activation,
    /// Pieces of which maxout takes the largest: the layer has so many times the output's features.
    pub pieces: i64,
    /// Probability of dropout before the layer; 0 turns it off.
    pub dropout_before: f64,
    /// Probability of dropout at the end; 0 turns it off.
    pub dropout: f64,
}

impl PlainDenseConfig {
    /// A dense layer and a ReLU.
    pub fn new(out_features: i64) -> Self {
        PlainDenseConfig {
            out_features,
            init: WeightInit::default(),
            bias_init: BiasInit::default(),
            activation: Activation::Relu,
            pieces: 1,
            dropout_before: 0.0,
            dropout: 0.0,
        }
    }

    /// Takes `dense1.weight` and `dense1.bias`, unless predicted.
    fn assemble(&self, input: Shape, params: &Params, predicted: bool) -> Result<PlainDense, Error> {
        let dense = LinearConfig {
            init: self.init,
            bias_init: self.bias_init,
            ..LinearConfig::new(input.vector("a dense layer")?, self.out_features * self.pieces)
        };
        Ok(PlainDense {
            dropout_before: Dropout::new(self.dropout_before)?,
            dense1: if predicted { None } else { Some(dense.build(&(params / "dense1"))?) },
            activation: self.activation,
            maxout: if self.pieces == 1 { None } else { Some(Maxout::new(self.pieces)?) },
            dropout: Dropout::new(self.dropout)?,
        })
    }
}

impl BlockConfig for PlainDenseConfig {
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

/// A rate is set where there is one: before the layer, at the end, or at both.
impl Droppable for PlainDenseConfig {
    fn rates(&self) -> DropRates {
        DropRates { dropout: Some(self.dropout_before.max(self.dropout)), ..DropRates::default() }
    }

    fn with_rates(&self, rates: &DropRates) -> SharedBlock {
        let set = |rate: f64| if rate > 0.0 { rates.dropout.unwrap_or(rate) } else { rate };
        let (dropout_before, dropout) = (set(self.dropout_before), set(self.dropout));
        PlainDenseConfig { dropout_before, dropout, ..self.clone() }.into()
    }
}

impl Crossable for PlainDenseConfig {
    fn entry(&self, _input: Shape) -> Result<EntryShape, Error> {
        Ok(EntryShape::Dense(DenseShape { out_features: self.out_features * self.pieces, bias: true }))
    }

    fn build_predicted(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, true)?))
    }
}

/// See [`PlainDenseConfig`].
#[derive(Debug)]
struct PlainDense {
    dropout_before: Dropout,
    dense1: Option<Linear>,
    activation: Activation,
    maxout: Option<Maxout>,
    dropout: Dropout,
}

impl Block for PlainDense {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let read = self.before(x, pass).entry;
        self.after(&entry_of(&self.dense1).forward(&read, pass.mode), None, pass)
    }

    fn parted(&self) -> Option<&dyn Parted> {
        Some(self)
    }
}

impl Parted for PlainDense {
    fn before(&self, x: &Tensor, pass: &mut Pass) -> Before {
        Before { entry: self.dropout_before.forward(x, pass.mode), around: None }
    }

    fn after(&self, entry: &Tensor, _around: Option<&Tensor>, pass: &mut Pass) -> Tensor {
        let mut y = self.activation.forward(entry, pass.mode);
        if let Some(maxout) = &self.maxout {
            y = maxout.forward(&y, pass.mode);
        }
        self.dropout.forward(&y, pass.mode)
    }
}
