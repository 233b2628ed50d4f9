//! The best epoch of a run.

use serde::{Deserialize, Serialize};

use crate::metric::{Evaluation, MetricName};

/// The best epoch so far by the recipe's metric, by the averaged weights where there are any; of those that are equally good, the
/// one with the lowest loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Which, counted from 1.
    pub epoch: u64,
    /// Validation images that it classified right.
    pub correct: u64,
    /// Validation images.
    pub images: u64,
    /// Their mean loss; `None` where it is no finite number, and in a checkpoint that was written before it was kept.
    #[serde(default)]
    pub loss: Option<f64>,
    /// What the metric says of it, more being better; `None` for the accuracy, which is `correct` over `images`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
}

impl Best {
    /// What `epoch`, counted from 1, has reached.
    pub fn of(epoch: u64, valid: &Evaluation, metric: MetricName) -> Self {
        let Evaluation { correct, images, loss, .. } = *valid;
        let loss = Some(loss).filter(|loss| loss.is_finite());
        let score = metric.metric().score(valid);
        let score = Some(score).filter(|score| metric != MetricName::Accuracy && score.is_finite());
        Self { epoch, correct, images, loss, score }
    }

    /// Whether it is better than an earlier one, or as good at a lower loss. Where a loss is not known, the earlier one stays;
    /// an epoch that was judged by another metric is worse than any.
    pub fn is_better_than(&self, earlier: &Self) -> bool {
        let lower = matches!((self.loss, earlier.loss), (Some(loss), Some(earlier)) if loss < earlier);
        match (self.score, earlier.score) {
            (Some(score), Some(earlier)) => score > earlier || score == earlier && lower,
            (None, None) => self.correct > earlier.correct || self.correct == earlier.correct && lower,
            _ => true,
        }
    }

    /// The share of validation images that it classified right.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_equally_accurate_epochs_the_one_with_the_lower_loss_is_better() {
        let best = |correct, loss| Best { epoch: 1, correct, images: 10, loss, score: None };
        for (later, earlier, better) in [
            (best(8, Some(0.9)), best(7, Some(0.1)), true),
            (best(7, Some(0.1)), best(8, Some(0.9)), false),
            (best(8, Some(0.4)), best(8, Some(0.5)), true),
            (best(8, Some(0.5)), best(8, Some(0.5)), false),
            (best(8, Some(0.6)), best(8, Some(0.5)), false),
            // A checkpoint from before losses were kept, and a loss that is no number.
            (best(8, Some(0.1)), best(8, None), false),
            (best(8, None), best(8, Some(0.5)), false),
            (best(9, None), best(8, Some(0.5)), true),
        ] {
            assert_eq!(later.is_better_than(&earlier), better, "{later:?} after {earlier:?}");
        }
    }

    #[test]
    fn a_best_epoch_without_a_loss_is_read() {
        let old: Best = serde_json::from_str(r#"{"epoch":3,"correct":7,"images":10}"#).unwrap();
        assert_eq!(old, Best { epoch: 3, correct: 7, images: 10, loss: None, score: None });
    }

    #[test]
    fn a_metric_of_which_less_is_better_decides() {
        let of = |correct, loss| {
            let found = Evaluation { images: 10, correct, loss, ..Evaluation::default() };
            Best::of(1, &found, MetricName::Loss)
        };
        assert!(of(5, 0.5).is_better_than(&of(9, 0.6)), "the accuracy does not count");
        assert!(!of(9, 0.5).is_better_than(&of(5, 0.5)));
    }
}
