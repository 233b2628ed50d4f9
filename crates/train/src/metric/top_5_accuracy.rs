//! The share of images whose class is among the five most probable ones.

use super::{Evaluation, Metric};

pub(super) struct Top5Accuracy;

impl Metric for Top5Accuracy {
    fn higher_is_better(&self) -> bool {
        true
    }

    fn of(&self, evaluation: &Evaluation) -> Option<f64> {
        evaluation.top_5_accuracy()
    }
}
