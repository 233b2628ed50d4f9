//! What can go wrong when a model is asked for by name.

use mp_blocks::Execution;

/// An error of this crate. Every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name's base is none of the families.
    #[error("there is no model `{name}`: {hint}")]
    UnknownModel {
        /// The name that came.
        name: String,
        /// The nearest names, or how to list all.
        hint: String,
    },
    /// The base is known, but what follows it is not a variant.
    #[error("`{name}`: `{part}` is no variant: expected {expected}, as in `{example}`")]
    UnknownVariant {
        /// The name that came.
        name: String,
        /// How names of its base are made.
        expected: String,
        /// One of them.
        example: String,
        /// The part that is not understood.
        part: String,
    },
    /// Parallel paths asked of a network that is no chain of blocks.
    #[error(
        "`{name}`: `{base}` is no chain of blocks, so that there are no paths of it: expected `{base}` or `{base}_eMEMBERS`"
    )]
    NotAChain {
        /// The name that came.
        name: String,
        /// Its base.
        base: String,
    },
    /// A family or a mechanism that cannot be registered.
    #[error("cannot register the {what}: {problem}")]
    Register {
        /// Which.
        what: String,
        /// Why not.
        problem: String,
    },
    /// A number in the name is outside its range.
    #[error("`{name}`: {what}: expected {expected}, found {found}")]
    Range {
        /// The name that came.
        name: String,
        /// What the number counts.
        what: &'static str,
        /// The range.
        expected: String,
        /// The number that came.
        found: String,
    },
    /// The images or the classes do not fit the model.
    #[error("`{name}` {problem}")]
    Input {
        /// The model.
        name: String,
        /// What does not fit, and what would.
        problem: String,
    },
    /// A routing position that the model does not have.
    #[error("`{name}` has no routing position `{position}`: expected `stages`, `blocks` or a list of {}", valid.join(", "))]
    UnknownPosition {
        /// The model.
        name: String,
        /// The position that came.
        position: String,
        /// Those that there are.
        valid: Vec<String>,
    },
    /// A way to compute paths that a block of the model does not have.
    #[error("`{name}` cannot compute the paths of `{position}` `{}`: {problem}", execution.name())]
    Execution {
        /// The model.
        name: String,
        /// The block's position.
        position: String,
        /// What was asked for.
        execution: Execution,
        /// What is expected.
        problem: String,
    },
    /// A block or a routing layer could not be built.
    #[error(transparent)]
    Blocks(#[from] mp_blocks::Error),
    /// A layer could not be built.
    #[error(transparent)]
    Layer(#[from] mp_nn::Error),
    /// A routing layer could not be built.
    #[error(transparent)]
    Routing(#[from] mp_routing::Error),
}
