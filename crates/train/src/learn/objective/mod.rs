//! What training minimises: the interface, and ours, one a file.

mod classification;

use tch::Tensor;

use mp_zoo::Output;

use crate::Error;

pub use classification::Classification;

/// What the images of a batch stand for.
#[derive(Debug)]
pub struct Targets<'a> {
    /// Their classes `[B]`, i64.
    pub labels: &'a Tensor,
    /// The probabilities of the classes `[B, N]`, float32, which are learnt instead where images were mixed.
    pub mixed: Option<&'a Tensor>,
}

impl<'a> Targets<'a> {
    /// Images as they are, of these classes.
    pub fn of(labels: &'a Tensor) -> Self {
        Targets { labels, mixed: None }
    }

    /// What a cross-entropy takes: probabilities where there are any, otherwise classes.
    pub fn classes(&self) -> &'a Tensor {
        self.mixed.unwrap_or(self.labels)
    }
}

/// The loss of one batch; scalars of float32 at least, with their graph.
#[derive(Debug)]
pub struct Loss {
    /// What is reported.
    pub total: Tensor,
    /// What the backward pass starts from: the same, or so many times that as makes every part of the model learn at the
    /// recipe's rate.
    pub minimised: Tensor,
    /// The part of it that comes from the gates, already weighted.
    pub routing: Option<Tensor>,
}

/// What training minimises: a function of what a forward pass gave and of what its images stand for.
pub trait Objective: Send {
    /// The loss of a forward pass.
    ///
    /// # Errors
    /// A part that the model's heads or routes cannot give.
    fn loss(&self, output: &Output, targets: &Targets<'_>) -> Result<Loss, Error>;

    /// So many times what a task's loss is, the backward pass takes of it: see [`Loss::minimised`].
    fn scale(&self, output: &Output) -> f64 {
        let _ = output;
        1.0
    }

    /// What a batch counts among those of one step, so that their mean is that over all of their images. `mixed` says whether
    /// its images are.
    fn mass(&self, labels: &[i64], mixed: bool) -> f64 {
        let _ = mixed;
        labels.len() as f64
    }
}
