//! What can go wrong when blocks are built.

use crate::Execution;

/// An error of this crate. Every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Joint entries asked of blocks that have no convolution of their own there.
    #[error(
        "paths of the layer `{layer}`: expected `separate`, found `{}`: their first layers are no convolutions of their own",
        execution.name()
    )]
    Execution {
        /// The layer.
        layer: String,
        /// What was asked for.
        execution: Execution,
    },
    /// A layer of the block could not be built.
    #[error(transparent)]
    Layer(#[from] mp_nn::Error),
    /// The routing before the block could not be built.
    #[error(transparent)]
    Routing(#[from] mp_routing::Error),
}
