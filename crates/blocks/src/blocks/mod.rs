//! The blocks that a path is made of, one a file.

mod bare_conv;
mod branch;
mod conv;
mod dense;
mod dense_layer;
mod max_pool;
mod multipath_dense;
mod norm_relu;
mod pre_activation;
mod residual;
mod resnest;
mod shortcut;
mod split_attention;
mod transition;

pub use bare_conv::{BareConv, BareConvConfig};
pub use branch::{Branch, Strided};
pub use conv::{ConvBlock, ConvBlockConfig, Pool};
pub use dense::{DenseBlock, DenseBlockConfig};
pub use dense_layer::{DenseLayer, DenseLayerConfig, DenseSteps};
pub use max_pool::MaxPoolConfig;
pub use multipath_dense::{MultipathDense, MultipathDenseConfig};
pub use norm_relu::{NormRelu, NormReluConfig};
pub use pre_activation::{PreActivation, PreActivationConfig};
pub use residual::{Residual, ResidualConfig};
pub use resnest::{ResNeSt, ResNeStConfig};
pub use shortcut::ShortcutConfig;
pub use transition::{Transition, TransitionConfig};

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
