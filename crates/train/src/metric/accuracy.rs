//! The share of images classified right.

use super::{Evaluation, Metric};

pub(super) struct Accuracy;

impl Metric for Accuracy {
    fn higher_is_better(&self) -> bool {
        true
    }

    fn of(&self, evaluation: &Evaluation) -> Option<f64> {
        Some(evaluation.accuracy())
    }
}
