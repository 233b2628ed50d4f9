//! One run, from a recipe to a folder: begun or gone on with, trained epoch by epoch, and ended when it is asked to stop.

mod differences;
pub mod interrupt;
mod prior;
mod running;
mod teacher;
mod trainer;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use mp_zoo::Cost;
use tch::Device;

use crate::Error;
use crate::bench::tune::{self, Tuning};
use crate::checkpoint::{Checkpoint, Header, Which};
use crate::folder::{Lock, RunFolder, Summary};
use crate::images::{Corpus, Origin};
use crate::machine::{self, device_name};
use crate::processes::Processes;
use crate::recipe::Recipe;
use crate::watch::{Event, Observer, Recorder, Row};

use differences::Changes;
use prior::Prior;

pub use differences::changes_numbers;
pub use trainer::{Ended, Surroundings, Trainer};

/// Whether a run begins or goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// In a folder that holds no run yet.
    New,
    /// In a new folder: the one after the last of `out`, `out-2`, `out-3`, ... Of several that start at once, each gets its
    /// own.
    Numbered,
    /// In the folder of a run, from its last checkpoint. The recipe may differ from the run's in what changes no number, in
    /// `train.epochs`, and in the place of the data.
    Resume,
    /// The same, from the checkpoint that is named, whatever the run has reported since.
    ResumeFrom(Which),
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
    /// Why a run that was asked to stop has no new summary; its checkpoint is written all the same.
    pub unwritten: Option<Error>,
    /// Nobody else writes the folder until this is dropped.
    _lock: Option<Lock>,
}

/// Trains `recipe` in the folder `out`. `cache` is the folder of downloaded data sets; `progress` is told how it goes;
/// setting `stop` ends the run at the next step, with a checkpoint.
///
/// Sets the number of libtorch's threads for the whole process.
///
/// # Errors
/// Everything about the recipe, the data and the model, before anything is written; then what [`Trainer::run`] gives. A run
/// that goes on: [`Error::Different`] with every difference, and whatever else is in its way.
pub fn train(
    recipe: &Recipe,
    out: &Path,
    start: Start,
    cache: &Path,
    progress: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Finished, Error> {
    recipe.check()?;
    let device = recipe.train.device.device()?;
    train_together(&Processes::alone(), recipe, out, start, cache, device, progress, stop)
}

/// Trains `recipe` in the folder `out` as [`train`] does, on several processes that have met, each of which calls this with the same
/// arguments but for the device. The first writes the folder, which the others must see where a run goes on; only it is to speak.
///
/// # Errors
/// As [`train`]; [`Error::Processes`] where processes do not mean the same, or one is lost. A process that fails leaves word for the
/// others.
#[expect(clippy::too_many_arguments, reason = "those of `train`, and two that say who computes and where")]
pub fn train_together(
    processes: &Processes,
    recipe: &Recipe,
    out: &Path,
    start: Start,
    cache: &Path,
    device: Device,
    progress: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Finished, Error> {
    let run = Run { processes, out, start, cache, device, stop };
    let finished = run.train(recipe, progress);
    if let Err(error) = &finished {
        processes.leave(error);
    }
    finished
}

/// The arguments of a run, but for what is trained.
struct Run<'a> {
    processes: &'a Processes,
    out: &'a Path,
    start: Start,
    cache: &'a Path,
    device: Device,
    stop: &'a AtomicBool,
}

impl Run<'_> {
    fn train(&self, recipe: &Recipe, progress: &mut dyn Observer) -> Result<Finished, Error> {
        let Run { processes, out, start, cache, device, stop } = *self;
        recipe.check()?;
        processes.ensure_same("recipe", &recipe.to_toml()?)?;
        let typed = &recipe.data.name;
        let recipe = &with_absolute_paths(recipe);
        let first = processes.is_first();
        let prior = match start {
            Start::New => {
                processes.of_first(|| RunFolder::ensure_free(out))?;
                None
            }
            Start::Numbered => None,
            Start::Resume => Some(Prior::read(out, None, first)?),
            Start::ResumeFrom(which) => Some(Prior::read(out, Some(which), first)?),
        };
        machine::use_threads(recipe.train.threads);
        let (corpus, mut notes, found) = match &prior {
            Some(prior) => unchanged(prior, recipe, cache)?,
            None => (Corpus::open(recipe, cache)?, Vec::new(), None),
        };
        ensure_wanted(stop)?;
        let checkpoint = prior.as_ref().and_then(|prior| prior.checkpoint.as_ref());
        let tuned = tuned(processes, recipe, &corpus, checkpoint, cache)?;
        ensure_wanted(stop)?;
        let mut trainer = Trainer::among(processes, &tuned, &corpus, device)?;
        match checkpoint {
            Some(checkpoint) => trainer.resume(checkpoint)?,
            None => notes.extend(trainer.start()?),
        }
        progress.observe(&Event::Data(&corpus.description(typed)))?;
        let steps_per_epoch = trainer.steps_per_epoch();
        let origin = match found {
            // Of the same images, which are not listed twice.
            Some(found) => Origin { recipe: recipe.to_toml()?, steps_per_epoch, ..found },
            None => Origin::of(recipe, &corpus, steps_per_epoch)?,
        };
        processes.meet()?;
        processes.ensure_same("data", &origin.images())?;
        trainer.keep_origin(origin);

        ensure_wanted(stop)?;
        let (folder, lock) = match prior {
            Some(prior) => {
                if first {
                    prior.settle()?;
                    if prior.folder.recipe().ok().as_ref() != Some(recipe) {
                        prior.folder.write_recipe(recipe)?;
                    }
                }
                notes.splice(..0, prior.notes);
                (prior.folder, prior.lock)
            }
            None => {
                let mut lock = None;
                let folder = processes.of_first(|| {
                    let (folder, taken) = begin(out, start, recipe)?;
                    lock = Some(taken);
                    Ok(folder.path().to_owned())
                })?;
                (RunFolder::of_another(folder), lock)
            }
        };
        if device.is_cuda() {
            let (name, hardware) = (device_name(device), machine::hardware(device));
            notes.push(format!("runs on {name}, {hardware}, in {}", recipe.train.precision.name()));
        }
        let cost = trainer.learner().cost();
        let checkpoints = folder.checkpoints();
        if !first {
            let around = Surroundings { checkpoints: &checkpoints, observer: &mut (), stop };
            let complete = trainer.run(around)?.finished;
            return Ok(Finished { folder, summary: None, complete, unwritten: None, _lock: None });
        }
        let recorder = Recorder::new(&folder, trainer.position(), corpus.train.classes())?;
        let mut observers = Both { recorder, progress };
        for text in &notes {
            observers.observe(&Event::Note { position: trainer.position(), text })?;
        }
        let ended = trainer.run(Surroundings { checkpoints: &checkpoints, observer: &mut observers, stop })?;

        let summary = summarise(recipe, &corpus, cost, device, processes.count(), &ended, observers.recorder.rows());
        let unwritten = match summary.as_ref().map_or(Ok(()), |summary| folder.write_summary(summary)) {
            Err(error) if ended.finished => return Err(error),
            written => written.err(),
        };
        Ok(Finished { folder, summary, complete: ended.finished, unwritten, _lock: lock })
    }
}

/// Fails once somebody asks to stop. Before the first step there is nothing to save.
fn ensure_wanted(stop: &AtomicBool) -> Result<(), Error> {
    if stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}

/// Makes the folder of a new run. The name is taken only now, so that what was refused before leaves nothing.
fn begin(out: &Path, start: Start, recipe: &Recipe) -> Result<(RunFolder, Lock), Error> {
    let (Start::Numbered, Some(root), Some(name)) = (start, out.parent(), out.file_name().and_then(OsStr::to_str))
    else {
        return RunFolder::begin(out, recipe);
    };
    loop {
        match RunFolder::begin(&RunFolder::next_free(root, name), recipe) {
            // Somebody who started at the same moment was quicker: the next name is ours.
            Err(Error::Occupied { .. } | Error::Locked { .. }) => {}
            made => return made,
        }
    }
}

/// The images of a run that goes on, as they were, with what is worth saying about what has changed, and what they were found
/// to be where that was compared.
fn unchanged(prior: &Prior, asked: &Recipe, cache: &Path) -> Result<(Corpus, Vec<String>, Option<Origin>), Error> {
    let stored = with_absolute_paths(&prior.recipe()?);
    // Opened as the run had it: what differs then is the images.
    let mut same = stored.clone();
    same.data.name.clone_from(&asked.data.name);
    let header = prior.checkpoint.as_ref().map(|checkpoint| &checkpoint.header);
    let opened = match header {
        Some(header) => Corpus::of_run(&same, cache, &header.identity),
        None => Corpus::open(&same, cache),
    };
    let steps = match (header.and_then(Header::origin), &opened) {
        (Some(origin), _) => Some(origin.steps_per_epoch),
        (None, Ok(corpus)) => Some(corpus.steps_per_epoch(&stored)?),
        (None, Err(_)) => None,
    };
    let mut changes = Changes::of_recipes(&stored, asked, header.zip(steps))?;
    let mut found = None;
    if let (Some(header), Ok(corpus)) = (header, &opened) {
        let (of_images, here) = Changes::of_images(header, corpus, &same)?;
        changes = changes.and(of_images);
        found = here;
    }
    let Changes { refused, notes } = changes;
    if refused.is_empty() {
        return Ok((opened?, notes, found));
    }
    Err(Error::Different { path: prior.folder.path().to_owned(), differences: refused })
}

/// The recipe with the places of its data, its teacher and its starting weights as they are found from any folder. Links stay as
/// they were named: where they lead may change.
fn with_absolute_paths(recipe: &Recipe) -> Recipe {
    let mut recipe = recipe.clone();
    if mp_data::Manifest::find(&recipe.data.name).is_err() {
        make_absolute(&mut recipe.data.name);
    }
    if let Some(teacher) = recipe.procedure.teacher_mut() {
        make_absolute(teacher);
    }
    let init = &recipe.model.init;
    if !init.is_empty()
        && let Some(path) = std::path::absolute(init).ok().and_then(|path| path.into_os_string().into_string().ok())
    {
        recipe.model.init = path;
    }
    recipe
}

/// Makes a path that leads somewhere absolute.
fn make_absolute(path: &mut String) {
    let absolute = std::path::absolute(&path).ok().filter(|path| path.exists());
    if let Some(absolute) = absolute.and_then(|path| path.into_os_string().into_string().ok()) {
        *path = absolute;
    }
}

/// The recipe with the way in which each layer of paths is computed, where it leaves that to measurement. A run that goes on
/// keeps the ways of its checkpoint: others would round differently.
fn tuned(
    processes: &Processes,
    recipe: &Recipe,
    corpus: &Corpus,
    checkpoint: Option<&Checkpoint>,
    cache: &Path,
) -> Result<Recipe, Error> {
    let mut tuned = recipe.clone();
    if let Some(checkpoint) = checkpoint {
        tuned.model.routing.execution.clone_from(&checkpoint.header.identity.routing.execution);
        return Ok(tuned);
    }
    let model = corpus.identity(recipe);
    if !recipe.train.tune_paths || !recipe.model.routing.execution.is_empty() {
        return Ok(tuned);
    }
    // What has no parallel paths has nothing to choose.
    if mp_zoo::layers(&model.model, &model.options())?.is_empty() {
        return Ok(tuned);
    }
    let tuning = Tuning {
        model: model.model.clone(),
        options: model.options(),
        precision: recipe.train.precision,
        batch: recipe.train.batch_size,
        threads: recipe.train.threads,
        device: recipe.train.device,
    };
    // Others might measure otherwise, and round otherwise.
    tuned.model.routing.execution =
        processes.of_first(|| Ok(tune::explain(&tuning, cache, &mut |_| {})?.execution()))?;
    Ok(tuned)
}

/// The run in one object, once an epoch is complete.
fn summarise(
    recipe: &Recipe,
    corpus: &Corpus,
    cost: Cost,
    device: Device,
    processes: usize,
    ended: &Ended,
    rows: &[Row],
) -> Option<Summary> {
    let Header { position, best, timing, images, skipped, skipped_valid, confusion, .. } = &ended.header;
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
        valid_images: corpus.valid.len().saturating_sub(skipped_valid.images as usize),
        parameters: cost.parameters,
        multiply_adds: cost.multiply_adds,
        routed_multiply_adds: last.get("valid/routed_multiply_adds"),
        epochs: recipe.train.epochs,
        epochs_done: position.epoch,
        steps: position.step,
        batch_size: recipe.train.batch_size,
        seed: recipe.train.seed,
        precision: recipe.train.precision,
        device: device_name(device),
        threads: tch::get_num_threads() as usize,
        processes,
        train_seconds: timing.train,
        images_per_second: *images as f64 / timing.train,
        data_wait_fraction: timing.waited / timing.train,
        train_loss_last: metric("train/loss"),
        train_accuracy_last: metric("train/accuracy"),
        valid_loss_last: metric("valid/loss"),
        valid_accuracy_last: metric("valid/accuracy"),
        valid_top_5_last: last.get("valid/top_5_accuracy"),
        valid_accuracy_best: best.accuracy(),
        best_epoch: best.epoch,
        classes: confusion.by_class(corpus.train.classes()),
        confused: confusion.confused(corpus.train.classes()).into_iter().take(Summary::MOST_CONFUSED).collect(),
        mutual_information: mutual_information.collect(),
        skipped: skipped.clone(),
        skipped_valid: skipped_valid.clone(),
        stopped_early: ended.finished && position.epoch < recipe.train.epochs,
        finished: ended.finished,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_the_data_stays_a_link() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("current");
        std::fs::create_dir(root.path().join("monday")).unwrap();
        std::os::unix::fs::symlink("monday", &link).unwrap();
        let mut recipe = Recipe::default();
        recipe.data.name = link.display().to_string();
        assert_eq!(with_absolute_paths(&recipe).data.name, recipe.data.name);
    }
}
