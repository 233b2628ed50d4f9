//! The residual blocks of ResNets: two 3x3 convolutions, or a 1x1, a 3x3 and a 1x1.

use mp_nn::{
    BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, Mode, Module, Params, StochasticDepth, Tensor,
    WeightInit,
};
use mp_routing::{ConvShape, Pass};

use super::branch::{Branch, Strided};
use super::shortcut::{Shortcut, ShortcutConfig};
use super::{entry_of, window};
use crate::{
    Before, Block, BlockConfig, Crossable, DropRates, Droppable, EntryShape, Error, Parted, Recalibration, Shape,
    SharedBlock,
};

/// A residual block.
#[derive(Clone, Debug, PartialEq)]
pub struct ResidualConfig {
    /// What it computes beside its shortcut.
    pub branch: Branch,
    /// Step by which height and width shrink.
    pub stride: i64,
    /// Which convolution of a bottleneck has the stride.
    pub strided: Strided,
    /// What goes around the branch where the shape changes.
    pub shortcut: ShortcutConfig,
    /// What scales the branch before it is added.
    pub recalibration: Option<Recalibration>,
    /// Whether a ReLU stands before the recalibration too, as in timm's `legacy_seresnet18` and `legacy_seresnet34`.
    pub rectified: bool,
    /// Probability with which an image skips the branch in training.
    pub drop_path: f64,
}

impl ResidualConfig {
    /// A block with the shortcut of torchvision, its stride in the 3x3 convolution, and without recalibration; no image skips
    /// its branch.
    pub fn new(branch: Branch, stride: i64) -> Self {
        ResidualConfig {
            branch,
            stride,
            strided: Strided::default(),
            shortcut: ShortcutConfig::default(),
            recalibration: None,
            rectified: false,
            drop_path: 0.0,
        }
    }

    /// The block of ResNet-18, ResNet-34 and the CIFAR ResNets.
    pub fn basic(channels: i64, stride: i64) -> Self {
        Self::new(Branch::Basic { channels }, stride)
    }

    /// The block of ResNet-50 and deeper ones: its output has four times the `width`.
    pub fn bottleneck(width: i64, stride: i64) -> Self {
        Self::new(Branch::bottleneck(width), stride)
    }

    /// The convolutions in order, without their norms.
    fn convolutions(&self, in_channels: i64) -> Vec<Conv2dConfig> {
        self.branch.convolutions(in_channels, self.stride, self.strided, WeightInit::KaimingNormalFanOut)
    }

    /// Takes `conv1` (unless predicted), `bn1`, `conv2`, ... and, where the shape changes, `downsample`: torchvision's
    /// names; then the recalibration's.
    pub(super) fn assemble(&self, input: Shape, params: &Params, predicted: bool) -> Result<Residual, Error> {
        let in_channels = input.map("a residual block")?.0;
        let mut steps = Vec::new();
        for (number, conv) in (1..).zip(self.convolutions(in_channels)) {
            let own = !(predicted && number == 1);
            steps.push(Step {
                conv: if own { Some(conv.build(&(params / format!("conv{number}").as_str()))?) } else { None },
                norm: BatchNorm2dConfig::new(conv.out_channels).build(&(params / format!("bn{number}").as_str()))?,
            });
        }
        let shortcut = self.shortcut.build(params, input, self.branch.channels(), self.stride)?;
        let output = self.output(input)?;
        let recalibration = self.recalibration.as_ref().map(|r| r.build(output, params)).transpose()?;
        let drop_path = StochasticDepth::new(self.drop_path)?;
        Ok(Residual { steps, shortcut, recalibration, rectified: self.rectified, drop_path })
    }
}

impl BlockConfig for ResidualConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (_, height, width) = input.map("a residual block")?;
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

impl Droppable for ResidualConfig {
    fn rates(&self) -> DropRates {
        DropRates { path: Some(self.drop_path), ..DropRates::default() }
    }

    fn with_rates(&self, rates: &DropRates) -> SharedBlock {
        ResidualConfig { drop_path: rates.path.unwrap_or(self.drop_path), ..self.clone() }.into()
    }
}

impl Crossable for ResidualConfig {
    fn entry(&self, input: Shape) -> Result<EntryShape, Error> {
        let first = self.convolutions(input.map("a residual block")?.0).swap_remove(0);
        Ok(EntryShape::of_normed(&first))
    }

    fn build_predicted(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, true)?))
    }
}

impl EntryShape {
    /// A convolution that a batch norm follows. Its own has no bias, which the norm would cancel; the predicted one has:
    /// weighted by the gates a bias differs from sample to sample, and the norm does not cancel that.
    pub fn of_normed(conv: &Conv2dConfig) -> Self {
        let Conv2dConfig { out_channels, kernel, stride, padding, init, .. } = *conv;
        EntryShape::Convolution(ConvShape { out_channels, kernel, stride, padding, bias: true, init })
    }
}

/// `relu(F(X) + shortcut(X))`, `F` being two or three convolutions, each with its norm, and ReLUs between them:
/// `[B, in, H, W]` to `[B, out, H / stride, W / stride]`.
///
/// He et al., arXiv 1512.03385, figures 2 and 5. A recalibration scales `F(X)` before the addition.
pub struct Residual {
    steps: Vec<Step>,
    shortcut: Shortcut,
    recalibration: Option<Box<dyn Module>>,
    rectified: bool,
    drop_path: StochasticDepth,
}

/// A convolution, unless it is predicted, and its norm.
#[derive(Debug)]
struct Step {
    conv: Option<Conv2d>,
    norm: BatchNorm2d,
}

impl Block for Residual {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        self.after_first(self.first(x, pass.mode), x, pass.mode)
    }

    fn parted(&self) -> Option<&dyn Parted> {
        Some(self)
    }
}

impl Parted for Residual {
    fn before(&self, x: &Tensor, _pass: &mut Pass) -> Before {
        Before { entry: x.shallow_clone(), around: Some(x.shallow_clone()) }
    }

    fn entry(&self) -> Option<&Conv2d> {
        self.steps[0].conv.as_ref()
    }

    fn after(&self, entry: &Tensor, around: Option<&Tensor>, pass: &mut Pass) -> Tensor {
        let around = around.expect("a residual block's shortcut has an input");
        self.after_first(self.steps[0].norm.forward_relu(entry, pass.mode), around, pass.mode)
    }
}

impl Residual {
    /// What goes around the branch.
    pub(super) fn around(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.shortcut.forward(x, mode)
    }

    /// `F(X)`, without the shortcut and the ReLU after it.
    pub(super) fn branch(&self, x: &Tensor, mode: Mode) -> Tensor {
        let y = self.up_to_last(self.first(x, mode), mode);
        let y = self.last().forward(&y, mode);
        match &self.recalibration {
            None => y,
            Some(recalibration) => recalibration.forward(&if self.rectified { y.relu() } else { y }, mode),
        }
    }

    /// `relu(F(X) + around)`.
    pub(super) fn beside(&self, x: &Tensor, around: &Tensor, mode: Mode) -> Tensor {
        self.joined(&self.up_to_last(self.first(x, mode), mode), around, mode)
    }

    fn first(&self, x: &Tensor, mode: Mode) -> Tensor {
        let first = &self.steps[0];
        ConvNorm(entry_of(&first.conv), &first.norm).forward_relu(x, mode)
    }

    /// What comes after the first convolution with its norm and ReLU.
    fn after_first(&self, y: Tensor, x: &Tensor, mode: Mode) -> Tensor {
        let y = self.up_to_last(y, mode);
        self.joined(&y, &self.around(x, mode), mode)
    }

    /// The convolutions between the first and the last.
    fn up_to_last(&self, mut y: Tensor, mode: Mode) -> Tensor {
        for step in &self.steps[1..self.steps.len() - 1] {
            y = ConvNorm(entry_of(&step.conv), &step.norm).forward_relu(&y, mode);
        }
        y
    }

    fn last(&self) -> ConvNorm<'_> {
        let last = &self.steps[self.steps.len() - 1];
        ConvNorm(entry_of(&last.conv), &last.norm)
    }

    /// The last convolution, and what goes around.
    fn joined(&self, y: &Tensor, around: &Tensor, mode: Mode) -> Tensor {
        let last = self.last();
        if self.recalibration.is_none() && !self.drop_path.is_active(mode) {
            return last.forward_add_relu(y, around, mode);
        }
        let mut y = if self.rectified { last.forward_relu(y, mode) } else { last.forward(y, mode) };
        if let Some(recalibration) = &self.recalibration {
            y = recalibration.forward(&y, mode);
        }
        (self.drop_path.forward(&y, mode) + around).relu_()
    }
}
