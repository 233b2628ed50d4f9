//! What the Inception networks have in common: convolutions without biases, each with a batch-norm of `eps` 1e-3 and a ReLU,
//! in sequences side by side whose channels are concatenated.

use mp_blocks::{ConcatConfig, NamedBlock, PlainConvConfig, Pooling, PoolingBlockConfig, SequenceConfig, SharedBlock};
use mp_nn::{AvgPool2d, MaxPool2d, Pair, WeightInit};

use crate::{Error, Plan, PlannedBlock, Size};

/// Added to the variances.
const EPS: f64 = 1e-3;

/// Makes the convolutions of one network: widths scaled as its knob says, all with one start.
#[derive(Clone, Copy)]
pub(super) struct Convs<'a> {
    pub(super) size: &'a Size,
    pub(super) init: WeightInit,
}

impl Convs<'_> {
    /// The width of the published network, scaled.
    pub(super) fn width(&self, width: i64) -> i64 {
        self.size.scaled(width, 4)
    }

    /// A convolution that keeps height and width.
    pub(super) fn same(&self, width: i64, kernel: impl Into<Pair>) -> PlainConvConfig {
        PlainConvConfig { init: self.init, ..PlainConvConfig::normed(self.width(width), kernel, EPS) }
    }

    /// A convolution without padding.
    pub(super) fn valid(&self, width: i64, kernel: i64) -> PlainConvConfig {
        self.same(width, kernel).valid()
    }

    /// A 3x3 convolution without padding and with a step of 2, which halves a map.
    pub(super) fn halving(&self, width: i64) -> PlainConvConfig {
        PlainConvConfig { stride: 2, ..self.valid(width, 3) }
    }
}

/// The convolutions of a stem with their public places. Where the images are small, it keeps their size: nothing in it
/// takes steps or lacks padding, and the pools are left out.
pub(super) fn push_stem(plan: &mut Plan, stem: Vec<(&str, PlainConvConfig)>, keep_size: bool) -> Result<(), Error> {
    for (place, conv) in stem {
        let conv = if keep_size {
            let padding = PlainConvConfig::new(1, conv.kernel).padding;
            PlainConvConfig { stride: 1, padding, pools: Vec::new(), ..conv }
        } else {
            conv
        };
        plan.push("stem", conv)?.named(place);
    }
    Ok(())
}

/// The largest of each 3x3 window, at every second place.
pub(super) fn max_halving() -> SharedBlock {
    PoolingBlockConfig(vec![Pooling::max(3, 2)]).into()
}

/// The largest of each 3x3 window, at every place.
pub(super) fn max_same() -> SharedBlock {
    PoolingBlockConfig(vec![Pooling::Max(MaxPool2d { padding: 1, ..MaxPool2d::new(3, 1) })]).into()
}

/// The mean of each 3x3 window, at every place; at the edges over nine cells with zeros among them, or over those in the map.
pub(super) fn mean_same(count_include_pad: bool) -> SharedBlock {
    PoolingBlockConfig(vec![Pooling::Average(AvgPool2d { padding: 1, count_include_pad, ..AvgPool2d::new(3, 1) })])
        .into()
}

/// A block with its place.
pub(super) fn at(place: impl Into<String>, block: impl Into<SharedBlock>) -> NamedBlock {
    (place.into(), block.into())
}

/// Blocks one after the other, each with its place.
pub(super) fn chain(blocks: Vec<NamedBlock>) -> SharedBlock {
    SequenceConfig(blocks).into()
}

/// Blocks one after the other, called `0`, `1`, ...
pub(super) fn numbered<B: Into<SharedBlock>>(blocks: impl IntoIterator<Item = B>) -> SharedBlock {
    chain(blocks.into_iter().enumerate().map(|(number, block)| at(number.to_string(), block)).collect())
}

/// Sequences side by side, called `branch0`, `branch1`, ... from `first` on.
pub(super) fn branches(first: usize, branches: Vec<SharedBlock>) -> ConcatConfig {
    ConcatConfig(branches.into_iter().zip(first..).map(|(block, at)| (format!("branch{at}"), block)).collect())
}

/// Pushes a block with its public place.
pub(super) fn push(
    plan: &mut Plan,
    stage: &str,
    place: impl Into<String>,
    block: impl Into<SharedBlock>,
) -> Result<(), Error> {
    let pushed: &mut PlannedBlock = plan.push(stage, block)?;
    pushed.named(place);
    Ok(())
}
