//! The layer of densely connected networks: a few new maps appended to its input.

use mp_nn::{Conv2d, Conv2dConfig, ConvNorm, Dropout, Mode, Module, Params, Tensor, WeightInit};
use mp_routing::Pass;

use super::entry_of;
use super::norm_conv::NormConv;
use crate::{
    Before, Block, BlockConfig, Crossable, DropRates, Droppable, EntryShape, Error, Parted, Recalibration, Shape,
    SharedBlock,
};

/// A [`DenseLayer`].
#[derive(Clone, Debug, PartialEq)]
pub struct DenseLayerConfig {
    /// Maps that it appends: the growth rate `k`.
    pub growth: i64,
    /// How it computes them.
    pub steps: DenseSteps,
    /// Probability of dropout after the last convolution.
    pub dropout: f64,
    /// How the convolutions start.
    pub init: WeightInit,
    /// What scales the new maps before they are appended.
    pub recalibration: Option<Recalibration>,
}

/// How a dense layer computes its `k` new maps; norm and ReLU come before every convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenseSteps {
    /// A 3x3 convolution.
    Single,
    /// A 1x1 convolution to so many times `k` maps (4 in DenseNet-BC), and a 3x3 one.
    Bottleneck(i64),
    /// Two 3x3 convolutions to `k` maps.
    Stacked,
}

impl DenseLayerConfig {
    /// Without dropout and recalibration.
    pub fn new(growth: i64, steps: DenseSteps) -> Self {
        DenseLayerConfig { growth, steps, dropout: 0.0, init: WeightInit::KaimingNormalFanOut, recalibration: None }
    }

    fn convolutions(&self, in_channels: i64) -> Vec<Conv2dConfig> {
        let conv = |in_channels, out_channels, kernel: i64| Conv2dConfig {
            padding: kernel / 2,
            bias: false,
            init: self.init,
            ..Conv2dConfig::new(in_channels, out_channels, kernel)
        };
        let k = self.growth;
        match self.steps {
            DenseSteps::Single => vec![conv(in_channels, k, 3)],
            DenseSteps::Bottleneck(times) => vec![conv(in_channels, times * k, 1), conv(times * k, k, 3)],
            DenseSteps::Stacked => vec![conv(in_channels, k, 3), conv(k, k, 3)],
        }
    }

    /// Takes `norm1`, `conv1` (unless predicted), `norm2`, `conv2`: torchvision's names; then the recalibration's.
    pub(super) fn assemble(&self, input: Shape, params: &Params, predicted: bool) -> Result<DenseLayer, Error> {
        let (in_channels, height, width) = input.map("a dense layer of maps")?;
        let steps = NormConv::build_all(&self.convolutions(in_channels), params, predicted)?;
        let new = Shape::Map { channels: self.growth, height, width };
        let recalibration = self.recalibration.as_ref().map(|r| r.build(new, params)).transpose()?;
        Ok(DenseLayer { steps, dropout: Dropout::new(self.dropout)?, recalibration })
    }
}

impl BlockConfig for DenseLayerConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (channels, height, width) = input.map("a dense layer of maps")?;
        Ok(Shape::Map { channels: channels + self.growth, height, width })
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

impl Droppable for DenseLayerConfig {
    fn rates(&self) -> DropRates {
        DropRates { dropout: Some(self.dropout), ..DropRates::default() }
    }

    fn with_rates(&self, rates: &DropRates) -> SharedBlock {
        DenseLayerConfig { dropout: rates.dropout.unwrap_or(self.dropout), ..self.clone() }.into()
    }
}

impl Crossable for DenseLayerConfig {
    fn entry(&self, input: Shape) -> Result<EntryShape, Error> {
        let first = self.convolutions(input.map("a dense layer of maps")?.0).swap_remove(0);
        Ok(EntryShape::of_normed(&first))
    }

    fn build_predicted(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, true)?))
    }
}

/// `[X, H(X)]`, `H` being norm, ReLU and convolution once or twice: `[B, in, H, W]` to `[B, in + k, H, W]`. Huang et al.,
/// arXiv 1608.06993.
pub struct DenseLayer {
    steps: Vec<NormConv>,
    dropout: Dropout,
    recalibration: Option<Box<dyn Module>>,
}

impl DenseLayer {
    /// The new maps alone, `[B, k, H, W]`.
    pub(super) fn new_maps(&self, x: &Tensor, mode: Mode) -> Tensor {
        let y = self.steps[0].norm.forward_relu(x, mode);
        let first = entry_of(&self.steps[0].conv);
        match &self.steps[..] {
            [_, second] => self.after_norms(ConvNorm(first, &second.norm).forward_relu(&y, mode), mode),
            _ => self.finished(first.forward(&y, mode), mode),
        }
    }

    /// What comes after the second norm and its ReLU.
    fn after_norms(&self, y: Tensor, mode: Mode) -> Tensor {
        self.finished(entry_of(&self.steps[1].conv).forward(&y, mode), mode)
    }

    fn finished(&self, y: Tensor, mode: Mode) -> Tensor {
        let y = self.dropout.forward(&y, mode);
        match &self.recalibration {
            None => y,
            Some(recalibration) => recalibration.forward(&y, mode),
        }
    }
}

impl Block for DenseLayer {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        Tensor::cat(&[x, &self.new_maps(x, pass.mode)], 1)
    }

    fn parted(&self) -> Option<&dyn Parted> {
        Some(self)
    }
}

impl Parted for DenseLayer {
    fn before(&self, x: &Tensor, pass: &mut Pass) -> Before {
        Before { entry: self.steps[0].norm.forward_relu(x, pass.mode), around: Some(x.shallow_clone()) }
    }

    fn entry(&self) -> Option<&Conv2d> {
        self.steps[0].conv.as_ref()
    }

    fn after(&self, entry: &Tensor, around: Option<&Tensor>, pass: &mut Pass) -> Tensor {
        let around = around.expect("a dense layer appends to its input");
        let new = match &self.steps[..] {
            [_, second] => self.after_norms(second.norm.forward_relu(entry, pass.mode), pass.mode),
            _ => self.finished(entry.shallow_clone(), pass.mode),
        };
        Tensor::cat(&[around, &new], 1)
    }
}
