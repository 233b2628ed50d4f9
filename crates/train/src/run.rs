//! One run, from a recipe to a folder.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mp_zoo::Cost;
use tch::Device;

use crate::checkpoint::{self, Checkpoint, Header};
use crate::corpus::Corpus;
use crate::metrics::Row;
use crate::observer::{Event, Observer};
use crate::recipe::Recipe;
use crate::recorder::Recorder;
use crate::run_folder::RunFolder;
use crate::summary::Summary;
use crate::trainer::{Ended, Surroundings, Trainer};
use crate::tune::{self, Tuning};
use crate::{Error, machine};

/// Whether a run begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// In a folder that holds no run yet.
    New,
    /// In the folder of a run of the same recipe, from its last checkpoint.
    Resume,
}

/// What [`train`] leaves.
#[derive(Debug)]
pub struct Finished {
    /// The folder.
    pub folder: RunFolder,
    /// The summary, once an epoch is complete.
    pub summary: Option<Summary>,
    /// Whether all epochs are done; otherwise it was asked to stop and can be resumed.
    pub complete: bool,
}

/// Trains `recipe` in the folder `out`. `cache` is the folder of downloaded data sets; `progress` is told how it goes;
/// setting `stop` ends the run at the next step, with a checkpoint.
///
/// Sets the number of libtorch's threads for the whole process.
///
/// # Errors
/// Everything about the recipe, the data and the model, before anything is written; then what [`Trainer::run`] gives.
pub fn train(
    recipe: &Recipe,
    out: &Path,
    start: Start,
    cache: &Path,
    progress: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Finished, Error> {
    recipe.check()?;
    match start {
        Start::New => RunFolder::ensure_free(out)?,
        Start::Resume => RunFolder::open(out)?.ensure_recipe(recipe)?,
    }
    machine::use_threads(recipe.train.threads);
    let device = Device::cuda_if_available();
    let corpus = Corpus::open(recipe, cache)?;
    let tuned = tuned(recipe, &corpus, out, start, cache)?;
    let mut trainer = Trainer::new(&tuned, &corpus, device)?;

    let folder = match start {
        Start::New => RunFolder::create(out, recipe)?,
        Start::Resume => RunFolder::open(out)?,
    };
    let checkpoints = folder.checkpoints();
    if start == Start::Resume {
        trainer.resume(&checkpoints)?;
    }
    progress.observe(&Event::Data(&corpus.description(&recipe.data.name)))?;
    let cost = trainer.learner().cost();
    let recorder = Recorder::new(&folder, trainer.position(), corpus.train.classes())?;
    let mut observers = Both { recorder, progress };
    let ended = trainer.run(Surroundings { checkpoints: &checkpoints, observer: &mut observers, stop })?;

    let summary = summarise(recipe, &corpus, cost, device, &ended, observers.recorder.rows());
    if let Some(summary) = &summary {
        folder.write_summary(summary)?;
    }
    Ok(Finished { folder, summary, complete: ended.finished })
}

/// The recipe with the way in which each layer of paths is computed, where it leaves that to measurement. A run that goes on
/// keeps the ways of its checkpoint: others would round differently.
fn tuned(recipe: &Recipe, corpus: &Corpus, out: &Path, start: Start, cache: &Path) -> Result<Recipe, Error> {
    let mut tuned = recipe.clone();
    let model = corpus.identity(recipe);
    if !recipe.train.tune_paths || !recipe.model.routing.execution.is_empty() {
        return Ok(tuned);
    }
    let last = match start {
        Start::New => None,
        Start::Resume => Some(checkpoint::last(&RunFolder::open(out)?.checkpoints())).filter(|last| last.exists()),
    };
    tuned.model.routing.execution = match last {
        Some(last) => Checkpoint::load(&last)?.header.identity.routing.execution,
        // What has no parallel paths has nothing to choose.
        None if mp_zoo::layers(&model.model, &model.options())?.is_empty() => return Ok(tuned),
        None => {
            let tuning = Tuning {
                model: model.model.clone(),
                options: model.options(),
                precision: recipe.train.precision,
                batch: recipe.train.batch_size,
                threads: recipe.train.threads,
            };
            tune::explain(&tuning, cache, &mut |_| {})?.execution()
        }
    };
    Ok(tuned)
}

/// The run in one object, once an epoch is complete.
fn summarise(
    recipe: &Recipe,
    corpus: &Corpus,
    cost: Cost,
    device: Device,
    ended: &Ended,
    rows: &[Row],
) -> Option<Summary> {
    let Header { position, best, timing, images, skipped, skipped_valid, .. } = &ended.header;
    let (best, last) = (best.as_ref()?, rows.last()?);
    let metric = |name: &str| last.get(name).unwrap_or(f64::NAN);
    let mutual_information = last.metrics.iter().filter_map(|(name, value)| {
        let layer = name.strip_prefix("route/")?.strip_suffix("/mutual_information")?;
        Some((layer.to_owned(), *value))
    });
    Some(Summary {
        model: recipe.model.name.clone(),
        data: recipe.data.name.clone(),
        valid_split: corpus.valid_split,
        train_images: corpus.train.len(),
        valid_images: corpus.valid.len(),
        parameters: cost.parameters,
        multiply_adds: cost.multiply_adds,
        epochs: recipe.train.epochs,
        epochs_done: position.epoch,
        steps: position.step,
        batch_size: recipe.train.batch_size,
        seed: recipe.train.seed,
        precision: recipe.train.precision,
        device: device_name(device),
        threads: tch::get_num_threads() as usize,
        train_seconds: timing.train,
        images_per_second: *images as f64 / timing.train,
        data_wait_fraction: timing.waited / timing.train,
        train_loss_last: metric("train/loss"),
        train_accuracy_last: metric("train/accuracy"),
        valid_loss_last: metric("valid/loss"),
        valid_accuracy_last: metric("valid/accuracy"),
        valid_accuracy_best: best.accuracy(),
        best_epoch: best.epoch,
        mutual_information: mutual_information.collect(),
        skipped: skipped.clone(),
        skipped_valid: skipped_valid.clone(),
        stopped_early: ended.finished && position.epoch < recipe.train.epochs,
        finished: ended.finished,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

/// The name that summaries use: `cpu`, `cuda:0`.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Files first: what a person sees has been kept.
struct Both<'p> {
    recorder: Recorder,
    progress: &'p mut dyn Observer,
}

impl Observer for Both<'_> {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        self.recorder.observe(event)?;
        self.progress.observe(event)
    }
}
