//! The mean over the classes that have images of the share of each class's images classified right.

use super::{Evaluation, Metric};

pub(super) struct BalancedAccuracy;

impl Metric for BalancedAccuracy {
    fn higher_is_better(&self) -> bool {
        true
    }

    fn of(&self, evaluation: &Evaluation) -> Option<f64> {
        let matrix = evaluation.confusion.matrix();
        let shares: Vec<f64> = matrix
            .iter()
            .enumerate()
            .map(|(class, row)| (row[class], row.iter().sum::<u64>()))
            .filter(|(_, images)| *images > 0)
            .map(|(right, images)| right as f64 / images as f64)
            .collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }
}
