//! What blocks drop at random while they train, and the interface by which a network sets it.

use crate::SharedBlock;

/// Rates at which a block drops, each from 0 up to but not including 1.
///
/// ```
/// use mp_blocks::{BlockConfig, DropRates, ResidualConfig};
///
/// let block = ResidualConfig::basic(16, 1);
/// let droppable = block.droppable().expect("a residual block has a branch to skip");
/// assert_eq!(droppable.rates(), DropRates { path: Some(0.0), ..DropRates::default() });
/// let skipped = droppable.with_rates(&DropRates { path: Some(0.2), ..DropRates::default() });
/// assert_eq!(skipped.droppable().and_then(|block| block.rates().path), Some(0.2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DropRates {
    /// Of the whole branch beside a shortcut, image by image: [`StochasticDepth`](mp_nn::StochasticDepth).
    pub path: Option<f64>,
    /// Of single numbers: [`Dropout`](mp_nn::Dropout).
    pub dropout: Option<f64>,
    /// Of squares of maps: [`DropBlock`](mp_nn::DropBlock).
    pub block: Option<f64>,
}

/// A block that drops something at random while it trains.
pub trait Droppable {
    /// The rates as they are; `None` where the block has no place for such a rate.
    fn rates(&self) -> DropRates;

    /// The block with other rates; `None` leaves one as it is, and a rate for which there is no place is ignored.
    fn with_rates(&self, rates: &DropRates) -> SharedBlock;
}
