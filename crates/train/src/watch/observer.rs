//! What a training run tells the world while it runs.

use crate::Error;
use crate::checkpoint::Position;
use crate::evaluate::Evaluation;

/// One thing that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// What was understood of the data, in a line or two.
    Data(&'a str),
    /// The loop begins, or goes on from a checkpoint.
    Start {
        /// Where it begins.
        position: Position,
        /// Epochs of the whole run.
        epochs: u64,
        /// Steps of each epoch.
        steps_per_epoch: u64,
    },
    /// Something about a run that goes on, which whoever started it should know.
    Note {
        /// Where it begins.
        position: Position,
        /// One line.
        text: &'a str,
    },
    /// A step was taken; sent for each.
    Step(Position),
    /// The losses since the last report were read: every `train.log_every` steps, counted from the start of the run.
    Interval(&'a Interval),
    /// An epoch is complete and evaluated; its checkpoint is written right after.
    Epoch(&'a Epoch),
    /// No better epoch than `best` for `train.patience` epochs: the run ends here, with the checkpoint of this epoch.
    OutOfPatience {
        /// After the epoch.
        position: Position,
        /// The best epoch, counted from 1.
        best: u64,
    },
    /// A checkpoint was written.
    Saved(Position),
    /// The run was asked to stop, and its checkpoint is written.
    Stopped(Position),
}

/// Means over the steps since the last report.
#[derive(Debug, Clone, PartialEq)]
pub struct Interval {
    /// After which step.
    pub position: Position,
    /// The learning rate of the last step.
    pub rate: f64,
    /// The training loss of each step, with label smoothing and routing losses.
    pub losses: Vec<f64>,
    /// The share of these images that was classified right, as the training forward pass saw them.
    pub accuracy: f64,
    /// The part of the loss that comes from the gates, where there is one.
    pub routing_loss: Option<f64>,
    /// Images trained on per second of training.
    pub images_per_second: f64,
}

impl Interval {
    /// The mean of the losses.
    pub fn loss(&self) -> f64 {
        self.losses.iter().sum::<f64>() / self.losses.len() as f64
    }
}

/// One epoch, with its evaluation.
#[derive(Debug)]
pub struct Epoch {
    /// After the epoch: `epoch` counts it as complete, `step_in_epoch` is 0.
    pub position: Position,
    /// The learning rate of its last step.
    pub rate: f64,
    /// The mean training loss, with label smoothing and routing losses.
    pub train_loss: f64,
    /// The share of training images classified right, as the training forward pass saw them.
    pub train_accuracy: f64,
    /// On the validation images, after the epoch.
    pub valid: Evaluation,
    /// The same with the averages of the weights, by which the run is then judged; only with `train.ema`.
    pub average: Option<Evaluation>,
    /// Whether no earlier epoch was more accurate.
    pub best: bool,
    /// Seconds of training, evaluation and checkpoints apart.
    pub train_seconds: f64,
    /// Images trained on per second of training.
    pub images_per_second: f64,
}

/// Somebody who is told.
pub trait Observer {
    /// Takes note of `event`.
    ///
    /// # Errors
    /// Any; it ends the run.
    fn observe(&mut self, event: &Event<'_>) -> Result<(), Error>;
}

/// Takes note of nothing.
impl Observer for () {
    fn observe(&mut self, _: &Event<'_>) -> Result<(), Error> {
        Ok(())
    }
}
