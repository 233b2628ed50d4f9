//! How a batch is learnt from: the interface, and ours, one a file.

mod distillation;
mod hints;
mod score_function;
mod supervised;

use tch::Tensor;

use super::{Found, Learner, Targets};
use crate::Error;

pub use distillation::{Distillation, Teacher};
pub use hints::Hints;
pub use score_function::ScoreFunction;
pub use supervised::Supervised;

/// One batch on the model's device.
#[derive(Debug)]
pub struct TrainBatch<'a> {
    /// Images `[B, C, H, W]`.
    pub images: &'a Tensor,
    /// What they stand for.
    pub targets: Targets<'a>,
    /// The part of the step's mean that is theirs; those of all batches of a step sum to 1.
    pub share: f64,
}

/// How a batch is learnt from, and in which order a run learns what.
///
/// The loop asks it to add the gradients of each batch, steps the optimiser, and keeps its state in the checkpoint.
pub trait Procedure: Send {
    /// Adds the gradients of a batch to those that are there.
    ///
    /// # Errors
    /// What the model's heads, routes or features cannot give.
    fn accumulate(&mut self, learner: &mut Learner, batch: &TrainBatch<'_>) -> Result<Found, Error>;

    /// Told before each step: which of how many steps of the run it will be, from 0.
    fn begin_step(&mut self, step: u64, steps: u64) {
        let _ = (step, steps);
    }

    /// What it has learnt parameters of its own for, beside the learner's: their gradients are to be averaged where several
    /// processes learn together.
    fn parameters(&self) -> Vec<Tensor> {
        Vec::new()
    }

    /// Told after the learner's own step along the gathered gradients, at the same rate.
    fn end_step(&mut self, rate: f64) {
        let _ = rate;
    }

    /// What it has learnt itself, under the names that a checkpoint gives it: `procedure/regressor.weight`.
    fn state(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}
