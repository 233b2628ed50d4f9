//! By which figure of an evaluation a run is judged: which epoch is the best, when it stops early, when its rate falls.

use super::Evaluation;
use crate::recipe::MetricName;

/// A figure of an evaluation, and which way is better.
pub trait Metric: Send + Sync {
    /// Its name, as in `valid/accuracy`.
    fn name(&self) -> &'static str;

    /// Whether more of it is better.
    fn higher_is_better(&self) -> bool;

    /// The figure; `None` where an evaluation has none, as the share of five classes where there are no more than that.
    fn of(&self, evaluation: &Evaluation) -> Option<f64>;

    /// The figure so turned that more is better; minus infinity where there is none.
    fn score(&self, evaluation: &Evaluation) -> f64 {
        let turned = |figure: f64| if self.higher_is_better() { figure } else { -figure };
        self.of(evaluation).map_or(f64::NEG_INFINITY, turned)
    }
}

/// The metric of a recipe.
pub fn metric(name: MetricName) -> &'static dyn Metric {
    match name {
        MetricName::Accuracy => &Accuracy,
        MetricName::BalancedAccuracy => &BalancedAccuracy,
        MetricName::Top5Accuracy => &Top5Accuracy,
        MetricName::Loss => &Loss,
    }
}

/// The share of images classified right.
struct Accuracy;

impl Metric for Accuracy {
    fn name(&self) -> &'static str {
        "accuracy"
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn of(&self, evaluation: &Evaluation) -> Option<f64> {
        Some(evaluation.accuracy())
    }
}

/// The mean over the classes that have images of the share of each class's images classified right.
struct BalancedAccuracy;

impl Metric for BalancedAccuracy {
    fn name(&self) -> &'static str {
        "balanced_accuracy"
    }

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

/// The share of images whose class is among the five most probable ones.
struct Top5Accuracy;

impl Metric for Top5Accuracy {
    fn name(&self) -> &'static str {
        "top_5_accuracy"
    }

    fn higher_is_better(&self) -> bool {
        true
    }

    fn of(&self, evaluation: &Evaluation) -> Option<f64> {
        evaluation.top_5_accuracy()
    }
}

/// The mean cross-entropy.
struct Loss;

impl Metric for Loss {
    fn name(&self) -> &'static str {
        "loss"
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn of(&self, evaluation: &Evaluation) -> Option<f64> {
        Some(evaluation.loss).filter(|loss| loss.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Confusion;
    use super::*;

    /// Four images of class 0, all right; one of class 1, taken for class 0; none of class 2.
    fn evaluation() -> Evaluation {
        let confusion = Confusion::of(3, [(0, 0), (0, 0), (0, 0), (0, 0), (1, 0)].into_iter());
        Evaluation { images: 5, correct: 4, loss: 0.75, confusion, ..Evaluation::default() }
    }

    #[test]
    fn figures_of_an_evaluation() {
        let of = |name| metric(name).of(&evaluation());
        assert_eq!(of(MetricName::Accuracy), Some(0.8));
        assert_eq!(of(MetricName::BalancedAccuracy), Some(0.5), "the mean of 1 and 0");
        assert_eq!(of(MetricName::Top5Accuracy), None, "three classes have no best five");
        assert_eq!(of(MetricName::Loss), Some(0.75));
    }

    #[test]
    fn a_score_is_better_the_higher_it_is() {
        let score = |name| metric(name).score(&evaluation());
        assert_eq!((score(MetricName::Accuracy), score(MetricName::Loss)), (0.8, -0.75));
        assert_eq!(score(MetricName::Top5Accuracy), f64::NEG_INFINITY);
    }
}
