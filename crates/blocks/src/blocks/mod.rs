//! The blocks that a path is made of, one a file.

mod compose;
mod conv;
mod dense;
mod highway;
mod plain_conv;
mod plain_dense;
mod pooling;
mod rescale;
mod residual;
mod response;
mod shortcut;
mod subsampling;
mod view;

pub use compose::{ConcatConfig, NamedBlock, ScaledSumConfig, SequenceConfig};
pub use conv::{ConvBlock, ConvBlockConfig, Pool};
pub use dense::{DenseBlock, DenseBlockConfig};
pub use highway::HighwayConfig;
pub use plain_conv::PlainConvConfig;
pub use plain_dense::PlainDenseConfig;
pub use pooling::{Pooling, PoolingBlockConfig};
pub use rescale::RescaleConfig;
pub use residual::{Branch, Residual, ResidualConfig};
pub use response::ResponseConfig;
pub use subsampling::{CodesConfig, SubsamplingConfig, WiredConvConfig};
pub use view::ImageView;

/// The block's own entry.
///
/// # Panics
/// In a block whose entry is predicted; see [`Block::forward`](crate::Block::forward).
fn entry_of<L>(entry: &Option<L>) -> &L {
    entry.as_ref().expect("`Block::forward` of a block whose entry is predicted: use its parts")
}

/// Height or width of what a sliding window gives, rounded down; 0 where the window does not fit.
fn window(size: i64, kernel: i64, stride: i64, padding: i64) -> i64 {
    let room = size + 2 * padding - kernel;
    if room < 0 { 0 } else { room / stride + 1 }
}
