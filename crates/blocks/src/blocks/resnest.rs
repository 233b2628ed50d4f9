//! The block of ResNeSt.

use mp_nn::{
    AvgPool2d, BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, DropBlock, Mode, Module, Params,
    StochasticDepth, Tensor, WeightInit,
};
use mp_routing::Pass;

use super::branch::Branch;
use super::entry_of;
use super::shortcut::{Shortcut, ShortcutConfig};
use super::split_attention::{SplitAttention, SplitAttentionConfig, dropping_relu};
use crate::{
    Before, Block, BlockConfig, Crossable, DropRates, Droppable, EntryShape, Error, Parted, Shape, SharedBlock,
};

/// Height and width of what DropBlock drops, as in the authors' code.
const DROPPED: i64 = 3;

/// A [`ResNeSt`].
#[derive(Clone, Debug, PartialEq)]
pub struct ResNeStConfig {
    /// The stage's width; the output has four times as many channels.
    pub width: i64,
    /// Channels of a group over 64ths of the width.
    pub base: i64,
    /// Groups.
    pub cardinality: i64,
    /// Alternatives of each group.
    pub radix: i64,
    /// Step by which height and width shrink.
    pub stride: i64,
    /// Whether the mean that shrinks the map stands before the 3x3 convolution, as in the paper's fast forms.
    pub average_first: bool,
    /// Probability with which an image skips the branch in training.
    pub drop_path: f64,
    /// Share of each convolution's normed maps that DropBlock drops in training, in squares of 3x3.
    pub drop_block: f64,
}

impl ResNeStConfig {
    /// The block of ResNeSt-50: one group with two alternatives, as wide as ResNet's; nothing is dropped.
    pub fn new(width: i64, stride: i64) -> Self {
        ResNeStConfig {
            width,
            base: 64,
            cardinality: 1,
            radix: 2,
            stride,
            average_first: false,
            drop_path: 0.0,
            drop_block: 0.0,
        }
    }

    fn channels(&self) -> i64 {
        self.width * Branch::EXPANSION
    }

    /// Channels of the 3x3 convolution: of each group as many as the radix divides.
    fn inner(&self) -> i64 {
        (self.width * self.base / 64 / self.radix).max(1) * self.radix * self.cardinality
    }

    fn pool(&self) -> Option<AvgPool2d> {
        (self.stride > 1).then(|| AvgPool2d { padding: 1, ..AvgPool2d::new(3, self.stride) })
    }

    fn convolution(in_channels: i64, out_channels: i64) -> Conv2dConfig {
        let init = WeightInit::KaimingNormalFanOut;
        Conv2dConfig { bias: false, init, ..Conv2dConfig::new(in_channels, out_channels, 1) }
    }

    /// Takes `conv1` (unless predicted), `bn1`, `conv2.conv`, `conv2.bn0`, ..., `conv3`, `bn3` and, where the shape changes,
    /// `downsample`: the names of the authors' and timm's weights.
    fn assemble(&self, input: Shape, params: &Params, predicted: bool) -> Result<ResNeSt, Error> {
        let in_channels = input.map("a ResNeSt block")?.0;
        let (inner, channels) = (self.inner(), self.channels());
        let (cardinality, radix) = (self.cardinality, self.radix);
        let entry = Self::convolution(in_channels, inner);
        let drop_block = DropBlock::new(self.drop_block, DROPPED)?;
        let split = SplitAttentionConfig { channels: inner, cardinality, radix, stride: 1, drop_block };
        Ok(ResNeSt {
            conv1: if predicted { None } else { Some(entry.build(&(params / "conv1"))?) },
            bn1: BatchNorm2dConfig::new(inner).build(&(params / "bn1"))?,
            conv2: split.build(&(params / "conv2"))?,
            conv3: Self::convolution(inner, channels).build(&(params / "conv3"))?,
            bn3: BatchNorm2dConfig::new(channels).build(&(params / "bn3"))?,
            shortcut: ShortcutConfig::Averaged.build(params, input, channels, self.stride)?,
            pool: self.pool(),
            average_first: self.average_first,
            drop_path: StochasticDepth::new(self.drop_path)?,
            drop_block,
        })
    }
}

impl BlockConfig for ResNeStConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (_, height, width) = input.map("a ResNeSt block")?;
        let size = |size| match self.pool() {
            None => Ok(size),
            Some(pool) => pool.output_size(size).map_err(|_| Error::too_small("a ResNeSt block", input)),
        };
        Ok(Shape::Map { channels: self.channels(), height: size(height)?, width: size(width)? })
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

impl Droppable for ResNeStConfig {
    fn rates(&self) -> DropRates {
        DropRates { path: Some(self.drop_path), dropout: None, block: Some(self.drop_block) }
    }

    fn with_rates(&self, rates: &DropRates) -> SharedBlock {
        let drop_block = rates.block.unwrap_or(self.drop_block);
        ResNeStConfig { drop_block, drop_path: rates.path.unwrap_or(self.drop_path), ..self.clone() }.into()
    }
}

impl Crossable for ResNeStConfig {
    fn entry(&self, input: Shape) -> Result<EntryShape, Error> {
        Ok(EntryShape::of_normed(&Self::convolution(input.map("a ResNeSt block")?.0, self.inner())))
    }

    fn build_predicted(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, true)?))
    }
}

/// `relu(F(X) + shortcut(X))`, `F` being a 1x1 convolution, a 3x3 one with split attention, where the map shrinks a 3x3 mean
/// after (or before) it, and a 1x1 one: `[B, in, H, W]` to `[B, 4 width, H', W']`. Zhang et al., arXiv 2004.08955.
#[derive(Debug)]
pub struct ResNeSt {
    conv1: Option<Conv2d>,
    bn1: BatchNorm2d,
    conv2: SplitAttention,
    conv3: Conv2d,
    bn3: BatchNorm2d,
    shortcut: Shortcut,
    pool: Option<AvgPool2d>,
    average_first: bool,
    drop_path: StochasticDepth,
    drop_block: DropBlock,
}

impl Block for ResNeSt {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let first = ConvNorm(entry_of(&self.conv1), &self.bn1);
        let y = dropping_relu(&first, &self.drop_block, x, pass.mode);
        self.after_first(y, x, pass.mode)
    }

    fn parted(&self) -> Option<&dyn Parted> {
        Some(self)
    }
}

impl Parted for ResNeSt {
    fn before(&self, x: &Tensor, _pass: &mut Pass) -> Before {
        Before { entry: x.shallow_clone(), around: Some(x.shallow_clone()) }
    }

    fn entry(&self) -> Option<&Conv2d> {
        self.conv1.as_ref()
    }

    fn after(&self, entry: &Tensor, around: Option<&Tensor>, pass: &mut Pass) -> Tensor {
        let around = around.expect("a residual block's shortcut has an input");
        let y = if self.drop_block.is_active(pass.mode) {
            self.drop_block.forward(&self.bn1.forward(entry, pass.mode), pass.mode).relu()
        } else {
            self.bn1.forward_relu(entry, pass.mode)
        };
        self.after_first(y, around, pass.mode)
    }
}

impl ResNeSt {
    fn after_first(&self, mut y: Tensor, x: &Tensor, mode: Mode) -> Tensor {
        let (before, after) = if self.average_first { (self.pool, None) } else { (None, self.pool) };
        if let Some(pool) = before {
            y = pool.forward(&y, mode);
        }
        y = self.conv2.forward(&y, mode);
        if let Some(pool) = after {
            y = pool.forward(&y, mode);
        }
        let (last, around) = (ConvNorm(&self.conv3, &self.bn3), self.shortcut.forward(x, mode));
        if !self.drop_block.is_active(mode) && !self.drop_path.is_active(mode) {
            return last.forward_add_relu(&y, &around, mode);
        }
        let y = self.drop_block.forward(&last.forward(&y, mode), mode);
        (self.drop_path.forward(&y, mode) + around).relu_()
    }
}
