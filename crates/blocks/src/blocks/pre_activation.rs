//! The residual block of pre-activation networks: norm and ReLU before every convolution, nothing after the addition.

use mp_nn::{Conv2d, Conv2dConfig, ConvNorm, Dropout, Mode, Module, Params, StochasticDepth, Tensor, WeightInit};
use mp_routing::Pass;

use super::branch::{Branch, Strided};
use super::norm_conv::NormConv;
use super::{entry_of, window};
use crate::{
    Before, Block, BlockConfig, Crossable, DropRates, Droppable, EntryShape, Error, Parted, Recalibration, Shape,
    SharedBlock,
};

/// A pre-activation residual block.
#[derive(Clone, Debug, PartialEq)]
pub struct PreActivationConfig {
    /// What it computes beside its shortcut.
    pub branch: Branch,
    /// Step by which height and width shrink.
    pub stride: i64,
    /// Which convolution of a bottleneck has the stride.
    pub strided: Strided,
    /// Probability of dropout before the last convolution: 0.3 in the wide networks for CIFAR that have it.
    pub dropout: f64,
    /// Probability with which an image skips the branch in training.
    pub drop_path: f64,
    /// How the convolutions start.
    pub init: WeightInit,
    /// What scales the branch before it is added.
    pub recalibration: Option<Recalibration>,
}

impl PreActivationConfig {
    /// A block with its stride in the 3x3 convolution, and without recalibration; nothing is dropped.
    pub fn new(branch: Branch, stride: i64) -> Self {
        PreActivationConfig {
            branch,
            stride,
            strided: Strided::default(),
            dropout: 0.0,
            drop_path: 0.0,
            init: WeightInit::KaimingNormalFanOut,
            recalibration: None,
        }
    }

    fn convolutions(&self, in_channels: i64) -> Vec<Conv2dConfig> {
        self.branch.convolutions(in_channels, self.stride, self.strided, self.init)
    }

    /// Takes `norm1`, `conv1` (unless predicted), `norm2`, `conv2`, ... and, where the shape changes, `downsample.conv`:
    /// timm's names; then the recalibration's.
    fn assemble(&self, input: Shape, params: &Params, predicted: bool) -> Result<PreActivation, Error> {
        let in_channels = input.map("a pre-activation block")?.0;
        let channels = self.branch.channels();
        let shortcut = if self.stride == 1 && in_channels == channels {
            None
        } else {
            let (stride, init) = (self.stride, self.init);
            let conv = Conv2dConfig { stride, bias: false, init, ..Conv2dConfig::new(in_channels, channels, 1) };
            Some(conv.build(&(params / "downsample" / "conv"))?)
        };
        let steps = NormConv::build_all(&self.convolutions(in_channels), params, predicted)?;
        let output = self.output(input)?;
        let recalibration = self.recalibration.as_ref().map(|r| r.build(output, params)).transpose()?;
        let (dropout, drop_path) = (Dropout::new(self.dropout)?, StochasticDepth::new(self.drop_path)?);
        Ok(PreActivation { steps, shortcut, dropout, drop_path, recalibration })
    }
}

impl BlockConfig for PreActivationConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (_, height, width) = input.map("a pre-activation block")?;
        let size = |size| window(size, 1, self.stride, 0);
        Ok(Shape::Map { channels: self.branch.channels(), height: size(height), width: size(width) })
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

impl Droppable for PreActivationConfig {
    fn rates(&self) -> DropRates {
        DropRates { path: Some(self.drop_path), dropout: Some(self.dropout), block: None }
    }

    fn with_rates(&self, rates: &DropRates) -> SharedBlock {
        let dropout = rates.dropout.unwrap_or(self.dropout);
        PreActivationConfig { dropout, drop_path: rates.path.unwrap_or(self.drop_path), ..self.clone() }.into()
    }
}

impl Crossable for PreActivationConfig {
    fn entry(&self, input: Shape) -> Result<EntryShape, Error> {
        let first = self.convolutions(input.map("a pre-activation block")?.0).swap_remove(0);
        Ok(EntryShape::of_normed(&first))
    }

    fn build_predicted(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, true)?))
    }
}

/// `F(Z) + shortcut`, `Z = relu(norm(X))`: `[B, in, H, W]` to `[B, out, H / stride, W / stride]`. The shortcut is `X`, or,
/// where the shape changes, a bare 1x1 convolution of `Z`.
///
/// He et al., arXiv 1603.05027; Zagoruyko and Komodakis, arXiv 1605.07146.
pub struct PreActivation {
    steps: Vec<NormConv>,
    shortcut: Option<Conv2d>,
    dropout: Dropout,
    drop_path: StochasticDepth,
    recalibration: Option<Box<dyn Module>>,
}

impl Block for PreActivation {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let active = self.steps[0].norm.forward_relu(x, pass.mode);
        let around = if self.shortcut.is_some() { &active } else { x };
        let y = ConvNorm(entry_of(&self.steps[0].conv), &self.steps[1].norm).forward_relu(&active, pass.mode);
        self.after_second_norm(y, around, pass.mode)
    }

    fn parted(&self) -> Option<&dyn Parted> {
        Some(self)
    }
}

impl Parted for PreActivation {
    fn before(&self, x: &Tensor, pass: &mut Pass) -> Before {
        let entry = self.steps[0].norm.forward_relu(x, pass.mode);
        let around = if self.shortcut.is_some() { entry.shallow_clone() } else { x.shallow_clone() };
        Before { entry, around: Some(around) }
    }

    fn entry(&self) -> Option<&Conv2d> {
        self.steps[0].conv.as_ref()
    }

    fn after(&self, entry: &Tensor, around: Option<&Tensor>, pass: &mut Pass) -> Tensor {
        let around = around.expect("a residual block's shortcut has an input");
        self.after_second_norm(self.steps[1].norm.forward_relu(entry, pass.mode), around, pass.mode)
    }
}

impl PreActivation {
    /// What comes after the first convolution with the norm and ReLU that follow it.
    fn after_second_norm(&self, mut y: Tensor, around: &Tensor, mode: Mode) -> Tensor {
        for pair in self.steps[1..].windows(2) {
            y = ConvNorm(entry_of(&pair[0].conv), &pair[1].norm).forward_relu(&y, mode);
        }
        let last = self.steps.last().expect("a residual branch has at least two convolutions");
        y = entry_of(&last.conv).forward(&self.dropout.forward(&y, mode), mode);
        if let Some(recalibration) = &self.recalibration {
            y = recalibration.forward(&y, mode);
        }
        y = self.drop_path.forward(&y, mode);
        match &self.shortcut {
            None => y + around,
            Some(conv) => y + conv.forward(around, mode),
        }
    }
}
