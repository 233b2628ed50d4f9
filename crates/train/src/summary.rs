//! A run in one object.

use std::collections::BTreeMap;

use mp_data::SkipCount;
use serde::{Deserialize, Serialize};

use crate::recipe::Precision;

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
    /// Images validated on.
    pub valid_images: usize,
    /// Trainable parameters.
    pub parameters: u64,
    /// Multiply-adds of one image's forward pass.
    pub multiply_adds: u64,
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
    /// Seconds spent in training steps, over all parts of a resumed run; validation is not counted.
    pub train_seconds: f64,
    /// Training images per second of `train_seconds`.
    pub images_per_second: f64,
    /// Share of `train_seconds` spent waiting for a batch.
    pub data_wait_fraction: f64,
    /// Mean training loss of the last epoch, with label smoothing and routing losses.
    pub train_loss_last: f64,
    /// Share of training images classified rightly in the last epoch, while it trained.
    pub train_accuracy_last: f64,
    /// Cross-entropy on the validation images after the last epoch.
    pub valid_loss_last: f64,
    /// Share of validation images classified rightly after the last epoch.
    pub valid_accuracy_last: f64,
    /// The greatest validation accuracy of any epoch.
    pub valid_accuracy_best: f64,
    /// The epoch that had it, from 1.
    pub best_epoch: u64,
    /// Mutual information between input and route of each routing layer, in nats; empty without routing.
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

/// Which images serve for validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValidSplit {
    /// The test images of the data set: it has no validation images, and none are kept aside.
    Test,
    /// The validation images of the data set.
    Valid,
    /// Training images kept aside: `data.holdout`.
    Holdout,
}

impl std::fmt::Display for ValidSplit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::Valid => "valid",
            Self::Holdout => "holdout",
        })
    }
}
