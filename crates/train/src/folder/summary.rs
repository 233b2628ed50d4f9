//! A run in one object.

use std::collections::BTreeMap;

use mp_data::SkipCount;
use mp_routing::figure;
use serde::{Deserialize, Serialize};

use crate::evaluate::{ClassResult, Confused};
use crate::recipe::Precision;
use crate::split::ValidSplit;

/// A run in one object: `summary.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The model's name.
    pub model: String,
    /// The data set's name.
    pub data: String,
    /// Which images `valid_*` were measured on.
    pub valid_split: ValidSplit,
    /// Images trained on.
    pub train_images: usize,
    /// Images that the last validation judged; damaged ones that it skipped are not among them.
    pub valid_images: usize,
    /// Trainable parameters.
    pub parameters: u64,
    /// Multiply-adds of one image's forward pass.
    pub multiply_adds: u64,
    /// Multiply-adds of what a validation image chose, on average after the last epoch, with what runs for every image; none for a
    /// model that runs the same for all of them.
    #[serde(default, with = "figure")]
    pub routed_multiply_adds: Option<f64>,
    /// Epochs asked for.
    pub epochs: u64,
    /// Epochs done.
    pub epochs_done: u64,
    /// Steps of the optimiser done.
    pub steps: u64,
    /// Images per forward pass.
    pub batch_size: usize,
    /// What decides every random act.
    pub seed: u64,
    /// Number format of the forward pass.
    pub precision: Precision,
    /// Where it ran: `cpu`, `cuda:0`.
    pub device: String,
    /// Threads of libtorch.
    pub threads: usize,
    /// Processes that trained together, each with so many threads.
    #[serde(default = "one")]
    pub processes: usize,
    /// Seconds spent in training steps, over all parts of a resumed run; validation is not counted.
    #[serde(with = "figure")]
    pub train_seconds: f64,
    /// Training images per second of `train_seconds`.
    #[serde(with = "figure")]
    pub images_per_second: f64,
    /// Share of `train_seconds` spent waiting for a batch.
    #[serde(with = "figure")]
    pub data_wait_fraction: f64,
    /// Mean training loss of the last epoch, with label smoothing and routing losses.
    #[serde(with = "figure")]
    pub train_loss_last: f64,
    /// Share of training images classified rightly in the last epoch, while it trained.
    #[serde(with = "figure")]
    pub train_accuracy_last: f64,
    /// Cross-entropy on the validation images after the last epoch.
    #[serde(with = "figure")]
    pub valid_loss_last: f64,
    /// Share of validation images classified rightly after the last epoch.
    #[serde(with = "figure")]
    pub valid_accuracy_last: f64,
    /// Share of validation images after the last epoch whose class is among the five most probable ones; none for five classes
    /// and fewer.
    #[serde(default, with = "figure")]
    pub valid_top_5_last: Option<f64>,
    /// The greatest validation accuracy of any epoch; with `train.ema`, that of the averaged weights.
    #[serde(with = "figure")]
    pub valid_accuracy_best: f64,
    /// The epoch that had it, from 1.
    pub best_epoch: u64,
    /// How the validation images of each class were classified after the last epoch.
    #[serde(default)]
    pub classes: Vec<ClassResult>,
    /// The pairs of classes that were taken for each other then, the most frequent first, [`Summary::MOST_CONFUSED`] at most.
    #[serde(default)]
    pub confused: Vec<Confused>,
    /// Mutual information between input and route of each routing layer, in nats; empty without routing.
    #[serde(with = "figure")]
    pub mutual_information: BTreeMap<String, f64>,
    /// Damaged training images that were skipped, over all epochs (`data.damaged = "skip"`).
    #[serde(default)]
    pub skipped: SkipCount,
    /// Damaged validation images that the last validation skipped; it judges by the others.
    #[serde(default)]
    pub skipped_valid: SkipCount,
    /// Whether it ended before the last epoch, as no better one had come for `train.patience` epochs.
    #[serde(default)]
    pub stopped_early: bool,
    /// Whether every epoch is done, or those that `train.patience` allowed; a run that was interrupted can be resumed.
    pub finished: bool,
    /// Version of mp-train.
    pub version: String,
}

impl Summary {
    /// The most pairs of classes that a summary lists; a thousand classes could have a million.
    pub const MOST_CONFUSED: usize = 1000;
}

/// What runs of versions were that knew of no others.
fn one() -> usize {
    1
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A summary with nothing special in it.
    pub(crate) fn summary() -> Summary {
        Summary {
            model: "base_cnn".to_owned(),
            data: "digits".to_owned(),
            valid_split: ValidSplit::Test,
            train_images: 10,
            valid_images: 5,
            parameters: 100,
            multiply_adds: 1000,
            routed_multiply_adds: None,
            epochs: 2,
            epochs_done: 2,
            steps: 4,
            batch_size: 5,
            seed: 1,
            precision: Precision::Fp32,
            device: "cpu".to_owned(),
            threads: 1,
            processes: 1,
            train_seconds: 1.0,
            images_per_second: 20.0,
            data_wait_fraction: 0.1,
            train_loss_last: 0.5,
            train_accuracy_last: 0.75,
            valid_loss_last: 0.6,
            valid_accuracy_last: 0.6,
            valid_top_5_last: None,
            valid_accuracy_best: 0.8,
            best_epoch: 1,
            classes: Vec::new(),
            confused: Vec::new(),
            mutual_information: BTreeMap::new(),
            skipped: SkipCount::default(),
            skipped_valid: SkipCount::default(),
            stopped_early: false,
            finished: true,
            version: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn figures_that_are_not_finite_read_back() {
        let mut written = summary();
        (written.train_loss_last, written.valid_loss_last) = (f64::INFINITY, f64::NEG_INFINITY);
        written.mutual_information.insert("stage2".to_owned(), f64::INFINITY);
        let text = serde_json::to_string(&written).unwrap();
        assert!(text.contains(r#""train_loss_last":"inf""#), "{text}");
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), written);
    }

    #[test]
    fn a_summary_of_an_older_version_is_read() {
        let mut old = serde_json::to_value(summary()).unwrap();
        for key in ["classes", "confused", "valid_top_5_last", "routed_multiply_adds"] {
            old.as_object_mut().unwrap().remove(key);
        }
        // What could not be read then.
        old["train_loss_last"] = serde_json::Value::Null;
        let read: Summary = serde_json::from_value(old).unwrap();
        assert!(read.train_loss_last.is_nan() && read.classes.is_empty());
    }
}
