//! What a block is: the interface that ours have, and that other crates can give theirs.

use std::fmt::{self, Debug, Formatter};
use std::ops::Deref;
use std::sync::Arc;

use mp_nn::{Conv2d, Params, Tensor};
use mp_routing::{ConvShape, DenseShape, Pass};

use crate::{Droppable, Error, Shape};

/// The settings of a block of one path. The shape of its input is given when it is built.
pub trait BlockConfig: Debug + Send + Sync {
    /// The shape that the block gives for the shape that it gets.
    ///
    /// # Errors
    /// A shape that the block does not take: of another kind, or too small.
    fn output(&self, input: Shape) -> Result<Shape, Error>;

    /// Builds the block, with its parameters at `params`.
    ///
    /// # Errors
    /// As [`BlockConfig::output`]; a setting out of range, or a taken name.
    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error>;

    /// Whether images choose within the block what is run.
    fn decides(&self) -> bool {
        false
    }

    /// The block as one whose first layer a cross-prediction can replace; `None` if it has no such layer.
    fn crossable(&self) -> Option<&dyn Crossable> {
        None
    }

    /// The block as one that can drop something at random while it trains; `None` if it has no place for that.
    fn droppable(&self) -> Option<&dyn Droppable> {
        None
    }
}

/// A block whose first layer, the *entry*, can be left to a cross-prediction, which then does for all paths at once what
/// the entries would do for each.
pub trait Crossable {
    /// The layer that a cross-prediction replaces.
    ///
    /// # Errors
    /// As [`BlockConfig::output`].
    fn entry(&self, input: Shape) -> Result<EntryShape, Error>;

    /// Builds the block without its entry. It is then only used by its parts: see [`Block::parted`].
    ///
    /// # Errors
    /// As [`BlockConfig::build`].
    fn build_predicted(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error>;
}

/// The first layer of a block, as a cross-prediction makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryShape {
    /// A convolution.
    Convolution(ConvShape),
    /// A dense layer.
    Dense(DenseShape),
}

/// A block of one path: one tensor in, one tensor out.
pub trait Block: Send {
    /// Applies the whole block. What it decides on the way is appended to the pass's trace.
    ///
    /// # Panics
    /// On a tensor of another shape than the block was built for, and in a block built without its entry.
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor;

    /// The block taken apart at its entry, where it can be.
    fn parted(&self) -> Option<&dyn Parted> {
        None
    }
}

/// A block taken apart: what comes before its entry, the entry, and what comes after it.
pub trait Parted {
    /// What the entry reads, and what bypasses it. Most blocks begin with their entry, which reads the input.
    fn before(&self, x: &Tensor, pass: &mut Pass) -> Before {
        let _ = pass;
        Before { entry: x.shallow_clone(), around: None }
    }

    /// The entry, where it is a convolution of the block's own.
    fn entry(&self) -> Option<&Conv2d> {
        None
    }

    /// Applies what comes after the entry to what the entry gave.
    ///
    /// # Panics
    /// Without `around`, if [`Parted::before`] gives one; on tensors of another shape.
    fn after(&self, entry: &Tensor, around: Option<&Tensor>, pass: &mut Pass) -> Tensor;
}

/// What [`Parted::before`] gives.
#[derive(Debug)]
pub struct Before {
    /// What the entry reads.
    pub entry: Tensor,
    /// What bypasses the entry, such as a shortcut's input.
    pub around: Option<Tensor>,
}

/// Settings that several paths share; `config.into()` makes one of any [`BlockConfig`].
#[derive(Clone)]
pub struct SharedBlock(Arc<dyn BlockConfig>);

impl<C: BlockConfig + 'static> From<C> for SharedBlock {
    fn from(config: C) -> Self {
        SharedBlock(Arc::new(config))
    }
}

impl Deref for SharedBlock {
    type Target = dyn BlockConfig;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Debug for SharedBlock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
