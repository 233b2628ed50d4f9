//! Every batch by its labels.

use super::{Found, Learner, Procedure, TrainBatch};
use crate::Error;

/// The objective's gradient of every batch, from the first step to the last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Supervised;

impl Procedure for Supervised {
    fn accumulate(&mut self, learner: &mut Learner, batch: &TrainBatch<'_>) -> Result<Found, Error> {
        let TrainBatch { images, targets, share } = batch;
        learner.accumulate(images, targets.labels, targets.mixed, *share)
    }
}
