//! The mean cross-entropy.

use super::{Evaluation, Metric};

pub(super) struct Loss;

impl Metric for Loss {
    fn higher_is_better(&self) -> bool {
        false
    }

    fn of(&self, evaluation: &Evaluation) -> Option<f64> {
        Some(evaluation.loss)
    }
}
