//! What can go wrong when blocks are built.

use crate::{Execution, Shape};

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
    /// Features of a shape that a block does not take.
    #[error("{block} takes {expected}, found features of {found}")]
    Shape {
        /// The block.
        block: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What came.
        found: Shape,
    },
    /// A cross-prediction before a block that has no first layer of which it could take the place.
    #[error(
        "a cross-prediction cannot stand before the layer `{layer}`: its blocks have no single first layer to predict"
    )]
    NotCrossable {
        /// The layer.
        layer: String,
    },
    /// Hard routes before a layer that cannot have them.
    #[error("hard routes cannot stand before the layer `{layer}`: {problem}")]
    Hard {
        /// The layer.
        layer: String,
        /// Why, and what to do.
        problem: &'static str,
    },
    /// A layer of the block could not be built.
    #[error(transparent)]
    Layer(#[from] mp_nn::Error),
    /// The routing before the block could not be built.
    #[error(transparent)]
    Routing(#[from] mp_routing::Error),
}

impl Error {
    /// Maps in which a window of the block does not fit.
    pub fn too_small(block: &'static str, found: Shape) -> Self {
        Error::Shape { block, expected: "a map that its window fits", found }
    }
}
