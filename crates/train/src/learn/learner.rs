//! A model and all that moves it: forward, backward, step.

use std::collections::BTreeMap;
use std::sync::Arc;

use mp_nn::{AllSum, Entry, Mode, Role, Store};
use mp_parallel::Reducer;
use mp_routing::{Pass, Trace};
use mp_zoo::{Cost, Interface, Model, ModelName, ModelOptions, Output, Variant};
use tch::{Device, Kind, Tensor};

use super::ema::Ema;
use super::loss_scale::LossScale;
use super::replay::Recorder;
use super::{Classification, Objective, Targets, TrainBatch, finetune};
use crate::Error;
use crate::optim::{self, Gradients, Optimiser};
use crate::processes::{NormSums, Processes, is_real};
use crate::recipe::{PathGradients, Precision, Recipe};

/// A model with its parameters, its objective and its optimiser.
pub struct Learner {
    model: Model,
    store: Store,
    /// Those whose norm is taken together.
    gradients: Vec<Gradients>,
    optimiser: Box<dyn Optimiser>,
    objective: Box<dyn Objective>,
    interface: Interface,
    has_routing_loss: bool,
    precision: Precision,
    clip_norm: f64,
    ema: Option<Ema>,
    /// In float16 only.
    loss_scale: Option<LossScale>,
    norm_sums: Option<Arc<NormSums>>,
    /// Where steps are recorded.
    recorder: Option<Recorder>,
    /// Where several processes learn together.
    together: Option<Together>,
}

/// What a learner does with those of other processes.
struct Together {
    processes: Processes,
    reducer: Reducer,
    /// What is counted over the images of a process, not learnt.
    buffers: Vec<Tensor>,
    /// Whether the next backward pass ends the step.
    ends_step: bool,
}

/// What a forward pass in training found, as scalars on the device: reading them waits for it.
#[derive(Debug)]
pub struct Found {
    /// The mean loss of the batch, with label smoothing and routing losses.
    pub loss: Tensor,
    /// The routing losses' part of it.
    pub routing_loss: Option<Tensor>,
    /// How many images were classified right, i64.
    pub correct: Tensor,
}

impl Learner {
    /// A learner of the model `name`, with the starting weights of the recipe's seed, that drops at random what the recipe says.
    ///
    /// # Errors
    /// A model that cannot be built; [`Error::Precision`]; a routing loss that the model's routes cannot give;
    /// patterns of `[finetune]` that match nothing.
    pub fn new(name: &str, options: &ModelOptions, recipe: &Recipe, device: Device) -> Result<Self, Error> {
        Self::among(&Processes::alone(), name, options, recipe, device)
    }

    /// The same, of a learner that learns together with those of other processes: see [`Learner::learn_together`].
    ///
    /// # Errors
    /// As [`Learner::new`]; [`Error::Invalid`] where norms are to be synchronised in a model whose images choose what is run.
    pub fn among(
        processes: &Processes,
        name: &str,
        options: &ModelOptions,
        recipe: &Recipe,
        device: Device,
    ) -> Result<Self, Error> {
        let precision = recipe.train.precision;
        precision.prepare(device)?;
        mp_native::cuda::use_deterministic(recipe.train.deterministic);
        if let Device::Cuda(index) = device {
            mp_native::cuda::enter(index).map_err(|error| Error::gpu("use a GPU", &error))?;
        }
        let store = Store::new(device, recipe.train.seed);
        let norm_sums = if recipe.train.sync_batch_norm { processes.norm_sums() } else { None };
        if let Some(sums) = &norm_sums {
            store.normalise_over(Arc::clone(sums) as Arc<dyn AllSum>);
        }
        let options = &ModelOptions { drops: recipe.model.drops(), ..options.clone() };
        let model = mp_zoo::build(name, options, &store.root())?;
        let work = model.work();
        if norm_sums.is_some() && work.always < work.multiply_adds {
            return Err(Error::Invalid {
                key: "train.sync_batch_norm",
                value: format!("true for `{name}`"),
                expected: "false for a model whose images choose what is run: a process may have none for a norm"
                    .to_owned(),
            });
        }
        let image = Tensor::zeros(options.interface.input.batch(1), (Kind::Float, device));
        let has_routing_loss = {
            let _guard = tch::no_grad_guard();
            recipe.routing_loss.total(&model.forward(&image, Mode::Eval).trace)?.is_some()
        };

        let parameters = finetune::apply(&recipe.finetune, name, options, &store)?;
        let optimiser = optim::build_at_rates(&recipe.optimiser, parameters);
        let ema = recipe.train.ema.as_ref().map(|config| Ema::of(&store, config));
        let recorder = (device.is_cuda() && recipe.train.graphs).then(|| Recorder::new(&store));
        let gradients = jointly_clipped(finetune::trained(&store), model.name(), recipe.train.path_gradients);
        Ok(Self {
            model,
            store,
            gradients,
            optimiser,
            objective: Box::new(Classification::of(recipe, Vec::new())),
            interface: options.interface.clone(),
            has_routing_loss,
            precision,
            clip_norm: recipe.train.clip_norm,
            ema,
            loss_scale: (precision == Precision::Fp16).then(|| LossScale::new(device)),
            recorder,
            norm_sums,
            together: None,
        })
    }

    /// Makes the state that learners of several processes start from, and `more` of it, that of the first, and lets every step from now
    /// on follow the mean over the images of all of them. To be called once the learner has the values that it starts from.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn learn_together(&mut self, processes: &Processes, more: Vec<Tensor>) -> Result<(), Error> {
        let trained: Vec<Tensor> = finetune::trained(&self.store).into_iter().map(|entry| entry.tensor).collect();
        let Some(reducer) = processes.reducer(&trained)? else { return Ok(()) };
        let entries = self.store.entries();
        let memory = self.optimiser_state().into_iter().chain(self.average_state()).map(|(_, tensor)| tensor);
        let state = entries.iter().map(|entry| entry.tensor.shallow_clone()).chain(memory).chain(more);
        processes.make_equal("state of the network", &state.collect::<Vec<_>>())?;
        let buffers = entries.into_iter().filter(|entry| entry.role == Role::Buffer && is_real(&entry.tensor));
        let buffers = buffers.map(|entry| entry.tensor).collect();
        // Sums over processes are no part of a graph.
        self.recorder = None;
        self.together = Some(Together { processes: processes.clone(), reducer, buffers, ends_step: true });
        Ok(())
    }

    /// Told before each batch whether it is the last one of its step: its backward pass then averages the gradients of all
    /// processes.
    pub fn begin_batch(&mut self, ends_step: bool) {
        if let Some(together) = &mut self.together {
            together.ends_step = ends_step;
        }
    }

    /// Averages over processes what they count for themselves, as the running statistics of norms; to be called after the
    /// backward passes of a step. Several processes then always have the same state.
    ///
    /// # Errors
    /// [`Error::Processes`].
    pub fn settle(&self) -> Result<(), Error> {
        self.together.as_ref().map_or(Ok(()), |together| together.processes.average(&together.buffers))
    }

    /// The learner with another objective than the recipe's cross-entropy without class weights.
    #[must_use]
    pub fn minimising(mut self, objective: impl Objective + 'static) -> Self {
        self.objective = Box::new(objective);
        self
    }

    /// Lets `start` put other starting values in the place of the drawn ones; averages of the weights then start from them.
    ///
    /// # Errors
    /// Those of `start`.
    pub fn start_from<T>(&mut self, start: impl FnOnce(&Store) -> Result<T, Error>) -> Result<T, Error> {
        let found = start(&self.store)?;
        self.ema.iter_mut().for_each(Ema::restart);
        Ok(found)
    }

    /// What is minimised.
    pub fn objective(&self) -> &dyn Objective {
        &*self.objective
    }

    /// A forward pass in training, with its graph, keeping the features after the blocks at these positions.
    pub fn forward(&self, images: &Tensor, positions: &[&str]) -> Output {
        let _autocast = self.precision.begin(images.device());
        self.model.forward_tapping(images, Mode::Train, positions)
    }

    /// A forward pass in the way that `pass` says, with its graph.
    ///
    /// # Errors
    /// Routes that are forced and are not the model's.
    pub fn forward_in(&self, images: &Tensor, pass: Pass) -> Result<Output, Error> {
        let _autocast = self.precision.begin(images.device());
        Ok(self.model.forward_in(images, pass)?)
    }

    /// Sets the probability above which evaluation runs a layer that may be skipped.
    pub fn set_threshold(&mut self, threshold: f64) {
        self.model.set_threshold(threshold);
    }

    /// One image of zeros, of the size that the model was built for.
    pub fn blank_image(&self) -> Tensor {
        Tensor::zeros(self.interface.input.batch(1), (Kind::Float, self.store.device()))
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The parameters and buffers of the model.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Its parameters and multiply-adds.
    pub fn cost(&self) -> Cost {
        mp_zoo::cost(&self.store, &self.model)
    }

    /// The state of the optimiser under the names that a checkpoint gives it: `optimiser/mean/fc.weight`.
    pub fn optimiser_state(&self) -> Vec<(String, Tensor)> {
        let optimiser = self.optimiser.state().into_iter().map(|(name, tensor)| (format!("optimiser/{name}"), tensor));
        optimiser.chain(self.loss_scale.iter().flat_map(LossScale::state)).collect()
    }

    /// The averages of the weights under the names that a checkpoint gives them, `ema/fc.weight`; none without `train.ema`.
    pub fn average_state(&self) -> Vec<(String, Tensor)> {
        self.ema.as_ref().map(Ema::state).unwrap_or_default()
    }

    /// What `judge` finds while the averages are in the place of the weights; none without `train.ema`.
    pub fn with_average<T>(&mut self, judge: impl FnOnce(&Self) -> T) -> Option<T> {
        self.ema.as_mut()?.swap();
        let found = judge(self);
        self.ema.as_mut()?.swap();
        Some(found)
    }

    /// Told before each step which share of training is over, 0 to 1: what is annealed, as temperatures of gates are, depends on
    /// it.
    pub fn begin_step(&mut self, done: f64) {
        self.model.set_progress(done);
    }

    /// Whether the loss has a part that comes from the gates.
    pub fn has_routing_loss(&self) -> bool {
        self.has_routing_loss
    }

    /// Adds the gradients of the mean loss over a batch, times `share`, to those that are there.
    ///
    /// `images` is `[B, C, H, W]`, `labels` `[B]`; `targets`, `[B, N]`, are learnt instead of the labels where images were
    /// mixed, while what is classified right is still what the label says. With the shares of the batches of one step
    /// summing to 1, the step follows the mean over all their images.
    ///
    /// On a GPU the pass is recorded once it has been run a few times with one shape, and then started as a whole, where the model
    /// allows that.
    ///
    /// # Errors
    /// A routing loss that the model's routes cannot give.
    pub fn accumulate(
        &mut self,
        images: &Tensor,
        labels: &Tensor,
        targets: Option<&Tensor>,
        share: f64,
    ) -> Result<Found, Error> {
        let batch = TrainBatch { images, targets: Targets { labels, mixed: targets }, share };
        // Taken out, so that it can record what the learner does.
        let Some(mut recorder) = self.recorder.take() else { return self.pass(&batch) };
        let found = recorder.accumulate(self, &batch);
        self.recorder = Some(recorder);
        found
    }

    /// The pass itself, queued op by op.
    pub(super) fn pass(&self, batch: &TrainBatch<'_>) -> Result<Found, Error> {
        let TrainBatch { images, ref targets, share } = *batch;
        let output = forward(&self.model, images, Mode::Train, self.precision);
        let loss = self.objective.loss(&output, targets)?;
        self.backward(loss.minimised, share)?;
        Ok(Found {
            loss: loss.total.detach(),
            routing_loss: loss.routing.map(|routing| routing.detach()),
            correct: correct(output.logits(), targets.labels),
        })
    }

    /// Adds the gradients of `minimised`, times the batch's share of its step, to those that are there.
    ///
    /// # Errors
    /// [`Error::Processes`], where several processes learn together.
    pub(crate) fn backward(&self, minimised: Tensor, share: f64) -> Result<(), Error> {
        let minimised = if share == 1.0 { minimised } else { minimised * share };
        let minimised = match &self.loss_scale {
            Some(scale) => scale.apply(&minimised),
            None => minimised,
        };
        let Some(together) = &self.together else {
            minimised.backward();
            return Ok(());
        };
        // A pass over norms that were not summed is not worth its gradients, and the others are not there for it.
        if let Some(failure) = self.norm_sums.as_ref().and_then(|sums| sums.failure()) {
            return Err(together.processes.explain(failure));
        }
        together.backward(&minimised)
    }

    /// By how much the gathered gradients are greater than those of the loss: 1 but in float16, where the step takes it off.
    pub fn loss_scale(&self) -> f64 {
        self.loss_scale.as_ref().map_or(1.0, LossScale::value)
    }

    /// Kernels, copies and fills of a pass that was recorded; none before that, and where none is.
    pub fn graph_nodes(&self) -> Option<usize> {
        self.recorder.as_ref().and_then(Recorder::nodes)
    }

    /// Why no pass is recorded, where one was tried in vain.
    pub fn unrecorded(&self) -> Option<&str> {
        self.recorder.as_ref().and_then(Recorder::refused)
    }

    /// Takes one step along the gathered gradients with learning rate `rate`, and clears them.
    ///
    /// In float16 a step whose gradients are not all finite is left out, and the loss scaled less from then on.
    pub fn step(&mut self, rate: f64) {
        if let Some(scale) = &mut self.loss_scale
            && !scale.unscale(&mut self.gradients)
        {
            self.clear_gradients();
            return;
        }
        if self.clip_norm > 0.0 {
            for gradients in &mut self.gradients {
                let _norm = gradients.clip(self.clip_norm);
            }
        }
        self.optimiser.step(rate);
        self.clear_gradients();
        if let Some(ema) = &mut self.ema {
            ema.update();
        }
    }

    /// Drops the gathered gradients without a step.
    pub fn clear_gradients(&mut self) {
        self.gradients.iter_mut().for_each(Gradients::clear);
    }

    /// Whether every number of the model is finite; waits for the device.
    pub fn is_finite(&self) -> bool {
        let _guard = tch::no_grad_guard();
        // Counters are always finite, and lie on the CPU wherever the rest does.
        let entries = self.store.entries().into_iter().filter(|entry| entry.tensor.is_floating_point());
        let finite: Vec<Tensor> = entries.map(|entry| entry.tensor.isfinite().all()).collect();
        finite.is_empty() || Tensor::stack(&finite, 0).all().int64_value(&[]) != 0
    }
}

impl Together {
    fn backward(&self, loss: &Tensor) -> Result<(), Error> {
        let prepared = if self.ends_step { self.reducer.prepare(loss) } else { Ok(()) };
        let passed = prepared.and_then(|()| mp_parallel::backward(loss));
        passed.map_err(|error| self.processes.explain(error))
    }
}

/// The gradients whose norm is taken together: all of a network, and, where members learn each as it would alone, those of each
/// member of an ensemble.
fn jointly_clipped(parameters: Vec<Entry>, name: &str, gradients: PathGradients) -> Vec<Gradients> {
    let is_ensemble = name.parse::<ModelName>().is_ok_and(|name| matches!(name.variant, Variant::Ensemble { .. }));
    if !is_ensemble || gradients == PathGradients::Mean {
        return vec![Gradients::of(parameters)];
    }
    let mut members: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    for entry in parameters {
        let member = entry.name.split('.').next().unwrap_or_default().to_owned();
        members.entry(member).or_default().push(entry);
    }
    members.into_values().map(Gradients::of).collect()
}

/// Applies a model in the number format asked for.
pub fn forward(model: &Model, images: &Tensor, mode: Mode, precision: Precision) -> Output {
    let _autocast = precision.begin(images.device());
    model.forward(images, mode)
}

/// Applies a model in the number format asked for, with every decision taken from a trace instead of its own.
///
/// # Errors
/// A trace that is not of this model and of as many images.
pub fn forward_forced(
    model: &Model,
    images: &Tensor,
    mode: Mode,
    precision: Precision,
    trace: Trace,
) -> Result<Output, Error> {
    let _autocast = precision.begin(images.device());
    Ok(model.forward_forced(images, mode, trace)?)
}

/// How many of the images are classified right, an i64 scalar on the device. `logits` is `[B, N]`, `labels` `[B]`.
pub fn correct(logits: &Tensor, labels: &Tensor) -> Tensor {
    let _guard = tch::no_grad_guard();
    logits.argmax(1, false).eq_tensor(labels).sum(Kind::Int64)
}
