//! What a forward pass is for, and the interface of a layer.

use tch::Tensor;

/// What a forward pass is for: batch-norm and dropout differ between the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Statistics of the batch, running statistics updated, dropout on.
    Train,
    /// Running statistics, dropout off.
    Eval,
}

impl Mode {
    /// Whether this is [`Mode::Train`].
    pub fn is_train(self) -> bool {
        self == Mode::Train
    }
}

/// A layer of one tensor in and one out.
pub trait Module: Send {
    /// Applies the layer.
    ///
    /// # Panics
    /// On a tensor whose shape is not the one that the layer was built for (tch's plain methods panic).
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor;
}
