//! One finished run as one small file.

use std::fs;
use std::path::Path;

use mp_routing::{LayerStatistics, figure};
use mp_train::atomic::{self, Existing};
use mp_train::watch::read_rows;
use mp_train::{Recipe, RunFolder};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The version of the layout that is written.
const FORMAT: u32 = 1;

/// One finished run: all that a study needs of it, without its checkpoints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u32,
    /// The study.
    pub study: String,
    /// The entrant.
    pub entrant: String,
    /// What decided every random act.
    pub seed: u64,
    /// The factor of the recipe's learning rate.
    pub factor: f64,
    /// The complete recipe, as TOML; the data by the name that the study gives it.
    pub recipe: String,
    /// Where the run broke off, if it did not end: its weights or losses were no finite numbers.
    pub diverged: Option<String>,
    /// Numbers that are trained.
    pub parameters: u64,
    /// Multiply-adds of one image.
    pub multiply_adds: u64,
    /// The figures of each epoch.
    pub epochs: Vec<EpochRecord>,
    /// Which images `valid_*` are measured on: `holdout`, `valid` or `test`.
    pub valid_split: String,
    /// What the last weights make of the test images, which nothing was chosen by.
    pub test: Option<Judgement>,
    /// How it routes, of a network that does.
    pub routes: Option<RoutesRecord>,
    /// Seconds in training steps.
    pub train_seconds: f64,
    /// What ran it.
    pub machine: Machine,
    /// Of names, labels and sizes of the training images.
    pub images: String,
}

/// An epoch in figures; shares and nats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// From 1.
    pub epoch: u64,
    /// Mean loss while it trained.
    #[serde(with = "figure")]
    pub train_loss: f64,
    /// Share classified right while it trained.
    #[serde(with = "figure")]
    pub train_accuracy: f64,
    /// Cross-entropy on the validation images.
    #[serde(with = "figure")]
    pub valid_loss: f64,
    /// Share of them classified right.
    #[serde(with = "figure")]
    pub valid_accuracy: f64,
    /// Mutual information of input and route, layer by layer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub information: Vec<f64>,
}

/// What a network makes of some images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// How many.
    pub images: u64,
    /// Share classified right.
    pub accuracy: f64,
    /// Cross-entropy.
    #[serde(with = "figure")]
    pub loss: f64,
    /// Each class with the share of its images that were classified right.
    pub classes: Vec<(String, Option<f64>)>,
}

/// How a network routes the validation images after the last epoch, and what that is worth on the test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoutesRecord {
    /// Its layers, without the figures of single classes.
    pub layers: Vec<LayerRecord>,
    /// Accuracy with every gate replaced by its mean.
    pub frozen: Option<f64>,
    /// Accuracy with the routes of other images.
    pub shuffled: Option<f64>,
    /// Accuracy with even routes.
    pub uniform: Option<f64>,
}

/// One routing layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Its name.
    pub name: String,
    /// Mutual information of input and route, in nats.
    pub mutual_information: f64,
    /// Mean weight of each connection, `[S][T]`.
    pub utilisation: Vec<Vec<f64>>,
}

impl LayerRecord {
    /// The share of all weight that the least used target gets.
    pub fn least_share(&self) -> f64 {
        let targets = self.utilisation.first().map_or(0, Vec::len);
        let sum = |target: usize| self.utilisation.iter().map(|row| row[target]).sum::<f64>();
        let all: f64 = (0..targets).map(sum).sum();
        (0..targets).map(sum).fold(f64::INFINITY, f64::min) / all
    }
}

impl From<&LayerStatistics> for LayerRecord {
    fn from(layer: &LayerStatistics) -> Self {
        LayerRecord {
            name: layer.name.clone(),
            mutual_information: layer.mutual_information,
            utilisation: layer.utilisation.clone(),
        }
    }
}

/// What ran it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Where the network was: `cpu`, `cuda:0`.
    pub device: String,
    /// Threads of libtorch.
    pub threads: usize,
    /// Version of mp-train.
    pub version: String,
    /// Version of libtorch.
    pub libtorch: String,
}

/// Whose run it is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The study.
    pub study: String,
    /// The entrant.
    pub entrant: String,
    /// The seed.
    pub seed: u64,
    /// The factor of the learning rate.
    pub factor: f64,
}

impl Machine {
    /// This machine, with this program.
    fn here() -> Self {
        Machine {
            processor: mp_train::machine::processor(),
            device: String::new(),
            threads: 0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            libtorch: env!("LIBTORCH_VERSION").to_owned(),
        }
    }
}

impl Record {
    /// What a finished run folder holds. `recipe` is the run's as the study says it.
    ///
    /// # Errors
    /// Files of the run that are missing or cannot be read.
    pub fn of_run(folder: &RunFolder, recipe: &Recipe, identity: Identity) -> Result<Self, Error> {
        let broken = |what: &str| Error::record(folder.path(), format!("{what}: expected a finished run"));
        let summary = folder.summary()?.ok_or_else(|| broken("summary.json is missing"))?;
        let checkpoint = mp_train::Checkpoint::load(&folder.checkpoint(mp_train::checkpoint::Which::Last)?)?;
        let images = checkpoint.header.origin().map(|origin| origin.train.fingerprint.clone()).unwrap_or_default();
        let layers: Vec<LayerRecord> =
            folder.routes()?.map(|routes| routes.layers.iter().map(LayerRecord::from).collect()).unwrap_or_default();
        let epochs = read_rows(&folder.metrics())?
            .iter()
            .map(|row| {
                let figure = |name: &str| row.get(name).unwrap_or(f64::NAN);
                let information =
                    |(name, value): &(String, f64)| name.ends_with("/mutual_information").then_some(*value);
                EpochRecord {
                    epoch: row.epoch,
                    train_loss: figure("train/loss"),
                    train_accuracy: figure("train/accuracy"),
                    valid_loss: figure("valid/loss"),
                    valid_accuracy: figure("valid/accuracy"),
                    information: row.metrics.iter().filter_map(information).collect(),
                }
            })
            .collect();
        Ok(Record {
            parameters: summary.parameters,
            multiply_adds: summary.multiply_adds,
            epochs,
            valid_split: summary.valid_split.to_string(),
            routes: (!layers.is_empty()).then_some(RoutesRecord {
                layers,
                frozen: None,
                shuffled: None,
                uniform: None,
            }),
            train_seconds: summary.train_seconds,
            machine: Machine { device: summary.device, threads: summary.threads, ..Machine::here() },
            images,
            ..Self::empty(recipe, identity)?
        })
    }

    /// A run that broke off, with what it said.
    ///
    /// # Errors
    /// A recipe without a TOML form.
    pub fn of_diverged(recipe: &Recipe, identity: Identity, reason: String) -> Result<Self, Error> {
        Ok(Record { diverged: Some(reason), ..Self::empty(recipe, identity)? })
    }

    /// Whose run it is, without what it found.
    fn empty(recipe: &Recipe, Identity { study, entrant, seed, factor }: Identity) -> Result<Self, Error> {
        Ok(Record {
            format: FORMAT,
            study,
            entrant,
            seed,
            factor,
            recipe: recipe.to_toml()?,
            diverged: None,
            parameters: 0,
            multiply_adds: 0,
            epochs: Vec::new(),
            valid_split: String::new(),
            test: None,
            routes: None,
            train_seconds: 0.0,
            machine: Machine { threads: recipe.train.threads, ..Machine::here() },
            images: String::new(),
        })
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Error::Record`] for what is none, or of a later version.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
        let record: Record = serde_json::from_str(&text)
            .map_err(|error| Error::record(path, format!("no record of a run ({error}): move it away")))?;
        if record.format != FORMAT {
            let message = format!(
                "of format {}, expected {FORMAT}: another version of mp-train wrote it; move it away",
                record.format
            );
            return Err(Error::record(path, message));
        }
        Ok(record)
    }

    /// Writes it; the file appears when it is whole.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::record(path, error.to_string()))?;
        Ok(atomic::write(path, format!("{text}\n").as_bytes(), Existing::Replace)?)
    }

    /// Validation accuracy after the last epoch; none of a run that broke off.
    pub fn last(&self) -> Option<f64> {
        self.epochs.last().map(|epoch| epoch.valid_accuracy)
    }

    /// The greatest validation accuracy of any epoch.
    pub fn best(&self) -> Option<f64> {
        self.epochs
            .iter()
            .map(|epoch| epoch.valid_accuracy)
            .fold(None, |best: Option<f64>, found| Some(best.map_or(found, |best| best.max(found))))
    }
}
