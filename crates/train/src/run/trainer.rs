//! The loop: batch, paths, logits and trace, loss, step, metrics, checkpoint.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mp_data::{Batch, Loader, SkipCount, Uneven};
use tch::{Device, Tensor};

use super::running::Running;
use super::teacher::procedure;
use crate::Error;
use crate::checkpoint::{self, Best, Checkpoint, Header, Position, Stopwatch};
use crate::evaluate::{Evaluation, evaluate, evaluate_together};
use crate::images::{Corpus, Origin, targets_to_device, to_device};
use crate::learn::{self, Classification, Learner, Procedure, Targets, TrainBatch, seed};
use crate::processes::Processes;
use crate::recipe::{ClassWeights, Precision, Recipe};
use crate::schedule::Schedule;
use crate::watch::{Epoch, Event, Interval, Observer};
use crate::weights::Fit;

/// A run, ready to start or to go on.
pub struct Trainer<'a> {
    recipe: &'a Recipe,
    learner: Learner,
    procedure: Box<dyn Procedure>,
    schedule: Schedule,
    train: Loader,
    valid: Loader,
    /// Whether `valid` has a part of the images, not all of them.
    judges_together: bool,
    header: Header,
    running: Running,
    processes: Processes,
    /// The damaged images that this process skipped and that no header has yet.
    skipped: SkipCount,
}

/// What a run is connected to.
pub struct Surroundings<'s> {
    /// The folder of its checkpoints.
    pub checkpoints: &'s Path,
    /// Who is told how it goes.
    pub observer: &'s mut dyn Observer,
    /// Once set, the run ends at the next step with a checkpoint.
    pub stop: &'s AtomicBool,
}

/// How a run ended, when nothing went wrong.
#[derive(Debug)]
pub struct Ended {
    /// Whether all epochs are done; otherwise it was asked to stop, and has left a checkpoint to go on from.
    pub finished: bool,
    /// Where it stands, its best epoch and its times.
    pub header: Header,
}

impl<'a> Trainer<'a> {
    /// A run of `recipe` from its start.
    ///
    /// # Errors
    /// A model that cannot be built for these images, and whatever the loaders refuse.
    pub fn new(recipe: &'a Recipe, corpus: &Corpus, device: Device) -> Result<Self, Error> {
        Self::among(&Processes::alone(), recipe, corpus, device)
    }

    /// The same, of a run that several processes share: each learns from an equal part of every batch, and all take the same steps.
    ///
    /// # Errors
    /// As [`Trainer::new`]; [`Error::Invalid`] where a batch cannot be shared out equally.
    pub fn among(processes: &Processes, recipe: &'a Recipe, corpus: &Corpus, device: Device) -> Result<Self, Error> {
        let identity = corpus.identity(recipe);
        let train = corpus.train_part(recipe, processes.share(Uneven::Drop))?;
        let smallest = corpus.train.len().min(recipe.train.batch_size / processes.count());
        learn::ensure_varied(&identity.model, &identity.options(), smallest)?;
        let steps_per_epoch = recipe.train.steps(train.batches_per_epoch());
        let learner = Learner::among(processes, &identity.model, &identity.options(), recipe, device)?
            .minimising(Classification::of(recipe, corpus.class_weights(recipe)?));
        let procedure = procedure(recipe, &learner, &identity, steps_per_epoch)?;
        Ok(Self {
            recipe,
            learner,
            procedure,
            schedule: recipe.rates(steps_per_epoch),
            train,
            valid: corpus.valid_part(recipe, processes.share(Uneven::Leave))?,
            judges_together: corpus.valid.len() >= processes.count(),
            header: Header::new(identity),
            running: Running::default(),
            processes: processes.clone(),
            skipped: SkipCount::default(),
        })
    }

    /// Gives the model the weights that its recipe says it starts from, if it says any; what was found there, on one line.
    ///
    /// # Errors
    /// A file that cannot be read; [`Error::NoFit`].
    pub fn start(&mut self) -> Result<Option<String>, Error> {
        let Some(file) = self.recipe.model.start()? else { return Ok(None) };
        let fit = Fit::to_start(&file, &self.header.identity.model, &self.header.identity.options())?;
        let (noise, seed) = (self.recipe.model.init_noise, self.recipe.train.seed);
        self.learner.start_from(|store| fit.start(store, noise, seed))?;
        Ok(Some(format!("starts from {fit}")))
    }

    /// Goes back to where the checkpoint was taken.
    ///
    /// # Errors
    /// A checkpoint of another model, or of another optimiser.
    pub fn resume(&mut self, checkpoint: &Checkpoint) -> Result<(), Error> {
        checkpoint.ensure_model(&self.header.identity.model)?;
        checkpoint.restore_weights(self.learner.store())?;
        checkpoint.restore_state(self.learner.optimiser_state())?;
        checkpoint.restore_state(self.learner.average_state())?;
        checkpoint.restore_state(self.schedule.state())?;
        checkpoint.restore_state(self.procedure.state())?;
        self.running = Running::restore(checkpoint)?;
        let crop = self.header.identity.crop;
        self.header = checkpoint.header.clone();
        // Older files leave it to the recipe.
        self.header.identity.crop = self.header.identity.crop.or(crop);
        Ok(())
    }

    /// What the checkpoints say that the run is made of.
    pub fn keep_origin(&mut self, origin: Origin) {
        self.header = self.header.clone().with_origin(origin);
    }

    /// Where the run stands.
    pub fn position(&self) -> Position {
        self.header.position
    }

    /// Steps of each epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.recipe.train.steps(self.train.batches_per_epoch())
    }

    /// The model with what trains it.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Trains to the end, or until asked to stop.
    ///
    /// # Errors
    /// [`Error::Diverged`], with the last good checkpoint kept; a batch that could not be read; a checkpoint that could
    /// not be written; whatever the observer returns.
    pub fn run(mut self, mut around: Surroundings<'_>) -> Result<Ended, Error> {
        let more = self.procedure.state().into_iter().map(|(_, tensor)| tensor).collect();
        self.learner.learn_together(&self.processes, more)?;
        let (position, epochs) = (self.header.position, self.recipe.train.epochs);
        around.observer.observe(&Event::Start { position, epochs, steps_per_epoch: self.steps_per_epoch() })?;
        while self.header.position.epoch < epochs && !self.is_out_of_patience() {
            let epoch = self.epoch(&mut around).and_then(|()| self.end_epoch(&mut around));
            match epoch {
                Ok(()) => {}
                Err(Error::Interrupted) => {
                    self.save(&mut around)?;
                    around.observer.observe(&Event::Stopped(self.header.position))?;
                    return Ok(Ended { finished: false, header: self.header });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Ended { finished: true, header: self.header })
    }

    /// Trains from the present position to the end of the epoch.
    fn epoch(&mut self, around: &mut Surroundings<'_>) -> Result<(), Error> {
        let Position { epoch, step_in_epoch, .. } = self.header.position;
        let accumulate = self.recipe.train.accumulate;
        let mut batches = self.train.epoch(epoch, step_in_epoch as usize * accumulate);
        let mut stopwatch = Stopwatch::start(batches.waited());

        loop {
            let group = batches.by_ref().take(accumulate).collect::<Result<Vec<Batch>, _>>()?;
            if group.is_empty() {
                break;
            }
            let asked = self.processes.ask(around.stop)?;
            self.step(&group)?;
            group.into_iter().for_each(|batch| batches.recycle(batch));
            around.observer.observe(&Event::Step(self.header.position))?;

            let step = self.header.position.step;
            if step.is_multiple_of(self.recipe.train.log_every) {
                self.running.read(&self.processes)?;
                stopwatch.lap(&mut self.header.timing, batches.waited());
                self.report(around)?;
            }
            let every = self.recipe.train.checkpoint_every;
            // The end of an epoch has a checkpoint of its own.
            let is_last = self.header.position.step_in_epoch == self.steps_per_epoch();
            if every > 0 && step.is_multiple_of(every) && !is_last {
                stopwatch.lap(&mut self.header.timing, batches.waited());
                self.save(around)?;
                stopwatch = Stopwatch::start(batches.waited());
            }
            if asked.answer(around.stop)? {
                stopwatch.lap(&mut self.header.timing, batches.waited());
                return Err(Error::Interrupted);
            }
        }
        self.ensure_finite()?;
        stopwatch.lap(&mut self.header.timing, batches.waited());
        Ok(())
    }

    /// One step of the optimiser, over the images of one or more batches.
    fn step(&mut self, batches: &[Batch]) -> Result<(), Error> {
        let steps = self.steps_per_epoch() * self.recipe.train.epochs;
        let position = &mut self.header.position;
        let rate = self.schedule.rate(position.step);
        tch::manual_seed(seed::of_process(self.recipe.train.seed, position.step, self.processes.rank()));
        self.procedure.begin_step(position.step, steps);
        self.learner.begin_step(position.step as f64 / steps.max(1) as f64);
        position.step += 1;
        position.step_in_epoch += 1;

        let images: usize = batches.iter().map(|batch| batch.labels.len()).sum();
        let mass = |batch: &Batch| {
            let labels = batch.labels.as_slice().unwrap_or_default();
            self.learner.objective().mass(labels, batch.targets.is_some())
        };
        let masses: Vec<f64> = batches.iter().map(mass).collect();
        let count = self.processes.count() as f64;
        // Of the same batches on all processes. Without weights of classes, as much falls to every process.
        let all = match self.recipe.train.class_weights {
            ClassWeights::Equal => masses.iter().map(|mass| mass * count).collect(),
            _ => self.processes.sums(&masses)?,
        };
        let total: f64 = all.iter().sum();
        for (index, (batch, mass)) in batches.iter().zip(masses).enumerate() {
            let share = mass / total;
            let counted = batch.labels.len() as f64 * count * mass / all[index];
            let device = self.learner.store().device();
            self.skipped.add(batch);
            self.learner.begin_batch(index + 1 == batches.len());
            let ((x, labels), targets) = (to_device(batch, device)?, targets_to_device(batch, device)?);
            let targets = Targets { labels: &labels, mixed: targets.as_ref() };
            // Gradients are averaged over the processes, and are to add up.
            let batch_here = TrainBatch { images: &x, targets, share: share * count };
            let found = self.procedure.accumulate(&mut self.learner, &batch_here)?;
            self.running.push(position.step, batch.labels.len(), counted, share, found);
        }
        self.learner.settle()?;
        self.learner.step(rate);
        let gradients = self.procedure.parameters().into_iter().map(|parameter| parameter.grad());
        self.processes.average(&gradients.filter(Tensor::defined).collect::<Vec<_>>())?;
        self.procedure.end_step(rate);
        self.header.images += (images * self.processes.count()) as u64;
        Ok(())
    }

    fn report(&mut self, around: &mut Surroundings<'_>) -> Result<(), Error> {
        let sums = std::mem::take(&mut self.running.interval);
        let seconds = std::mem::take(&mut self.header.timing.interval);
        let interval = Interval {
            position: self.header.position,
            rate: self.last_rate(),
            losses: std::mem::take(&mut self.running.losses),
            accuracy: sums.accuracy(),
            routing_loss: self.learner.has_routing_loss().then(|| sums.mean_routing_loss()),
            images_per_second: sums.images / seconds,
        };
        around.observer.observe(&Event::Interval(&interval))
    }

    /// Evaluates, notes whether this epoch is the best, and moves on to the next.
    fn end_epoch(&mut self, around: &mut Surroundings<'_>) -> Result<(), Error> {
        let (classes, precision) = (self.header.identity.classes.len(), self.recipe.train.precision);
        let step = self.header.position.step;
        let processes = if self.judges_together { &self.processes } else { &Processes::alone() };
        let judge = |learner: &Learner| judge(processes, learner, &self.valid, classes, precision, step, around.stop);
        let valid = judge(&self.learner)?;
        let average = self.learner.with_average(judge).transpose()?;
        let sums = std::mem::take(&mut self.running.epoch);
        let seconds = std::mem::take(&mut self.header.timing.epoch);
        let Position { epoch, step, .. } = self.header.position;
        let position = Position { epoch: epoch + 1, step_in_epoch: 0, step };
        self.header.skipped_valid = valid.skipped.clone();
        self.header.confusion = valid.confusion.clone();
        let judged = average.as_ref().unwrap_or(&valid);
        let metric = self.recipe.train.metric;
        let reached = Best::of(position.epoch, judged, metric);
        let score = metric.metric().score(judged);
        let best = self.header.best.is_none_or(|best| reached.is_better_than(&best));

        self.header.position = position;
        if best {
            self.header.best = Some(reached);
        }
        // Before the checkpoint: a run that dies between the two repeats the epoch's end and reports it again.
        around.observer.observe(&Event::Epoch(&Epoch {
            position,
            rate: self.last_rate(),
            train_loss: sums.mean_loss(),
            train_accuracy: sums.accuracy(),
            valid,
            average,
            best,
            train_seconds: seconds,
            images_per_second: sums.images / seconds,
        }))?;
        self.schedule.epoch_done(score);
        if let (true, Some(best)) = (self.is_out_of_patience(), self.header.best) {
            around.observer.observe(&Event::OutOfPatience { position, best: best.epoch })?;
        }
        if best {
            self.count_skipped()?;
            self.write(&checkpoint::best(around.checkpoints))?;
        }
        self.save(around)
    }

    /// Whether so many epochs have gone by since the best one that no more are worth it. It follows from the header alone, so
    /// that a resumed run stops where it would have stopped.
    fn is_out_of_patience(&self) -> bool {
        let patience = self.recipe.train.patience;
        let Header { position, best, .. } = &self.header;
        patience > 0 && best.is_some_and(|best| position.epoch.saturating_sub(best.epoch) >= patience)
    }

    fn last_rate(&self) -> f64 {
        self.schedule.rate(self.header.position.step.saturating_sub(1))
    }

    fn save(&mut self, around: &mut Surroundings<'_>) -> Result<(), Error> {
        self.ensure_finite()?;
        self.count_skipped()?;
        self.write(&checkpoint::last(around.checkpoints))?;
        around.observer.observe(&Event::Saved(self.header.position))
    }

    /// Adds to the header what the processes have skipped since the last time.
    fn count_skipped(&mut self) -> Result<(), Error> {
        for skipped in self.processes.gather(std::mem::take(&mut self.skipped))? {
            self.header.skipped.add_all(&skipped);
        }
        Ok(())
    }

    /// The first process writes for all, and they wait for it.
    fn write(&self, path: &Path) -> Result<(), Error> {
        if self.processes.is_first() {
            let state = self.learner.optimiser_state().into_iter().chain(self.schedule.state());
            let state = state.chain(self.learner.average_state()).chain(self.procedure.state());
            let state = state.chain(self.running.state()).collect();
            Checkpoint::save(path, &self.header, self.learner.store(), state)?;
        }
        self.processes.meet()
    }

    /// A finite loss may still have had a gradient that was not: weights are looked at too before they are kept.
    fn ensure_finite(&mut self) -> Result<(), Error> {
        self.running.read(&self.processes)?;
        if self.learner.is_finite() {
            return Ok(());
        }
        Err(Error::Diverged { step: self.header.position.step, found: "a weight is no finite number".to_owned() })
    }
}

/// Evaluates after step `step`. Weights may be finite, and so large that no logits are.
fn judge(
    processes: &Processes,
    learner: &Learner,
    valid: &Loader,
    classes: usize,
    precision: Precision,
    step: u64,
    stop: &AtomicBool,
) -> Result<Evaluation, Error> {
    let (model, device) = (learner.model(), learner.store().device());
    let found = match processes.are_one() {
        true => evaluate(model, valid, classes, precision, device, stop, None)?,
        false => evaluate_together(processes, model, valid, classes, precision, device)?,
    };
    if found.loss.is_finite() {
        return Ok(found);
    }
    Err(Error::Diverged { step, found: format!("the validation loss is {}", found.loss) })
}
