//! By which figures of an evaluation a run is judged: which epoch is the best, when it stops early, when its rate falls. One
//! file each, and the table of those that a recipe can name.

mod accuracy;
mod balanced_accuracy;
mod confusion;
mod evaluation;
mod loss;
mod spending;
mod top_5_accuracy;

use serde::{Deserialize, Serialize};

pub use confusion::{ClassResult, Confused, Confusion};
pub use evaluation::{Evaluation, TOP};
pub use spending::Spending;
pub(crate) use spending::{Spenders, Spent};

/// A figure of an evaluation, and which way is better.
pub trait Metric: Send + Sync {
    /// Whether more of it is better.
    fn higher_is_better(&self) -> bool;

    /// The figure; `None` where an evaluation has none, as the share of five classes where there are no more than that.
    fn of(&self, evaluation: &Evaluation) -> Option<f64>;

    /// The figure so turned that more is better; minus infinity where there is none, or no number.
    fn score(&self, evaluation: &Evaluation) -> f64 {
        let turned = |figure: f64| if self.higher_is_better() { figure } else { -figure };
        self.of(evaluation).filter(|figure| !figure.is_nan()).map_or(f64::NEG_INFINITY, turned)
    }
}

macro_rules! metrics {
    ($($(#[$about:meta])* $metric:ident($file:ident) = $name:literal,)*) => {
        /// A figure of the validation images, by which epochs may be compared.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        pub enum MetricName {
            $($(#[$about])* #[serde(rename = $name)] $metric,)*
        }

        impl MetricName {
            /// All of them, in the order in which they are reported.
            pub const ALL: &'static [Self] = &[$(Self::$metric),*];

            /// The name in recipes and, after `valid/`, in files.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$metric => $name,)*
                }
            }

            /// How it is computed.
            pub fn metric(self) -> &'static dyn Metric {
                match self {
                    $(Self::$metric => &$file::$metric,)*
                }
            }
        }
    };
}

metrics! {
    /// The mean cross-entropy: less is better.
    Loss(loss) = "loss",
    /// The share of images classified right.
    Accuracy(accuracy) = "accuracy",
    /// The mean over the classes of the share of each class's images classified right.
    BalancedAccuracy(balanced_accuracy) = "balanced_accuracy",
    /// The share of images whose class is among the five most probable ones.
    Top5Accuracy(top_5_accuracy) = "top_5_accuracy",
}

#[expect(clippy::derivable_impls, reason = "the default is not the first of the table")]
impl Default for MetricName {
    fn default() -> Self {
        Self::Accuracy
    }
}

/// The figures that an evaluation has, in the order of the table.
pub fn figures(evaluation: &Evaluation) -> impl Iterator<Item = (&'static str, f64)> {
    MetricName::ALL.iter().filter_map(|name| Some((name.name(), name.metric().of(evaluation)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four images of class 0, all right; one of class 1, taken for class 0; none of class 2.
    fn evaluation() -> Evaluation {
        let confusion = Confusion::of(3, [(0, 0), (0, 0), (0, 0), (0, 0), (1, 0)].into_iter());
        Evaluation { images: 5, correct: 4, loss: 0.75, confusion, ..Evaluation::default() }
    }

    #[test]
    fn figures_of_an_evaluation() {
        let of = |name: MetricName| name.metric().of(&evaluation());
        assert_eq!(of(MetricName::Accuracy), Some(0.8));
        assert_eq!(of(MetricName::BalancedAccuracy), Some(0.5), "the mean of 1 and 0");
        assert_eq!(of(MetricName::Top5Accuracy), None, "three classes have no best five");
        assert_eq!(of(MetricName::Loss), Some(0.75));
    }

    #[test]
    fn a_score_is_better_the_higher_it_is() {
        let score = |name: MetricName| name.metric().score(&evaluation());
        assert_eq!((score(MetricName::Accuracy), score(MetricName::Loss)), (0.8, -0.75));
        assert_eq!(score(MetricName::Top5Accuracy), f64::NEG_INFINITY);
    }
}
