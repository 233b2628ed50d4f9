//! The blocks that a path is made of, one a file.

mod branch;
mod compose;
mod conv;
mod dense;
mod dense_layer;
mod highway;
mod multipath_dense;
mod norm_conv;
mod norm_relu;
mod plain_conv;
mod plain_dense;
mod pooling;
mod pre_activation;
mod rescale;
mod residual;
mod resnest;
mod response;
mod shortcut;
mod skip_gate;
mod skippable;
mod split_attention;
mod subsampling;
mod transition;
mod view;

pub use branch::{Branch, Strided};
pub use compose::{ConcatConfig, NamedBlock, ScaledSumConfig, SequenceConfig};
pub use conv::{ConvBlock, ConvBlockConfig, Pool};
pub use dense::{DenseBlock, DenseBlockConfig};
pub use dense_layer::{DenseLayer, DenseLayerConfig, DenseSteps};
pub use highway::HighwayConfig;
pub use multipath_dense::{MultipathDense, MultipathDenseConfig};
pub use norm_relu::{NormRelu, NormReluConfig};
pub use plain_conv::PlainConvConfig;
pub use plain_dense::PlainDenseConfig;
pub use pooling::{Pooling, PoolingBlockConfig};
pub use pre_activation::{PreActivation, PreActivationConfig};
pub use rescale::RescaleConfig;
pub use residual::{Residual, ResidualConfig};
pub use resnest::{ResNeSt, ResNeStConfig};
pub use response::ResponseConfig;
pub use shortcut::ShortcutConfig;
pub use skip_gate::SkipGateConfig;
pub use skippable::{SkipForm, Skippable, SkippableConfig};
pub use subsampling::{CodesConfig, SubsamplingConfig, WiredConvConfig};
pub use transition::{Transition, TransitionConfig};
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
