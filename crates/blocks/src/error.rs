//! What can go wrong when blocks are built.

/// An error of this crate. Every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A layer of the block could not be built.
    #[error(transparent)]
    Layer(#[from] mp_nn::Error),
    /// The routing before the block could not be built.
    #[error(transparent)]
    Routing(#[from] mp_routing::Error),
}
