//! A pass of training that is recorded as a CUDA graph.

use mp_native::cuda::Graph;
use mp_nn::Store;
use tch::{Device, Kind, Tensor};

use super::{Found, Learner, Targets, TrainBatch};
use crate::Error;
use crate::optim::Gradients;

/// Passes of one shape before one is recorded: libtorch tries algorithms and takes memory in the first.
const WARM_UP: u32 = 3;

/// Forward pass, loss and backward pass, recorded once and then started as a whole: of a small network on a GPU, starting a
/// thousand short kernels takes longer than running them.
///
/// Recorded is what does not depend on the host: not a network in which images choose what is run, nor one whose gates change with
/// the progress of training, nor a step of several batches. A batch of another size, as the last of an epoch may be, is run op by op.
pub(super) struct Recorder {
    gradients: Gradients,
    /// What the host counts in a pass.
    counters: Vec<Tensor>,
    seen: Option<Shape>,
    passes: u32,
    state: State,
}

enum State {
    /// Nothing yet.
    Waiting,
    /// A pass of the shape that was seen.
    Recorded(Recorded),
    /// Nothing ever, and why.
    Refused(String),
}

/// Sizes of the images, and whether targets are mixed.
type Shape = (Vec<i64>, bool);

struct Recorded {
    graph: Graph,
    /// Where it reads its batch.
    images: Tensor,
    labels: Tensor,
    mixed: Option<Tensor>,
    /// Where it writes.
    found: Found,
    /// By how much each of the counters grows.
    counts: Vec<i64>,
}

impl Recorder {
    /// For the model whose parameters are in `store`.
    pub(super) fn new(store: &Store) -> Self {
        let on_host = |entry: &mp_nn::Entry| entry.tensor.device() == Device::Cpu && entry.tensor.kind() == Kind::Int64;
        let counters = store.entries().into_iter().filter(on_host).map(|entry| entry.tensor).collect();
        let gradients = Gradients::of(store.parameters());
        Self { gradients, counters, seen: None, passes: 0, state: State::Waiting }
    }

    /// Nodes of the graph, once there is one.
    pub(super) fn nodes(&self) -> Option<usize> {
        match &self.state {
            State::Recorded(recorded) => Some(recorded.graph.nodes()),
            _ => None,
        }
    }

    /// Why nothing is recorded.
    pub(super) fn refused(&self) -> Option<&str> {
        match &self.state {
            State::Refused(reason) => Some(reason),
            _ => None,
        }
    }

    /// The pass of `learner` over a batch, which starts without gradients where it is a whole step.
    pub(super) fn accumulate(&mut self, learner: &Learner, batch: &TrainBatch<'_>) -> Result<Found, Error> {
        let shape = (batch.images.size(), batch.targets.mixed.is_some());
        if matches!(self.state, State::Refused(_)) || batch.share != 1.0 {
            return learner.pass(batch);
        }
        if let State::Recorded(recorded) = &self.state {
            if self.seen.as_ref() != Some(&shape) {
                return learner.pass(batch);
            }
            recorded.read(batch);
            self.gradients.restore();
            return recorded.replay(&self.counters);
        }
        if self.passes < WARM_UP {
            let same = self.seen.as_ref() == Some(&shape);
            self.passes = if same { self.passes + 1 } else { 1 };
            self.seen = Some(shape);
            return learner.pass(batch);
        }
        if self.seen.as_ref() != Some(&shape) {
            return learner.pass(batch);
        }
        if let Some(reason) = learner.unfit_for_recording() {
            self.state = State::Refused(reason.to_owned());
            return learner.pass(batch);
        }
        self.record(learner, batch)
    }

    fn record(&mut self, learner: &Learner, batch: &TrainBatch<'_>) -> Result<Found, Error> {
        let images = batch.images.copy();
        let labels = batch.targets.labels.copy();
        let mixed = batch.targets.mixed.map(Tensor::copy);
        let counted: Vec<i64> = self.counters.iter().map(|counter| counter.int64_value(&[])).collect();
        // The gradients lie in the graph's own memory: they must be made by it.
        self.gradients.clear();
        let here =
            TrainBatch { images: &images, targets: Targets { labels: &labels, mixed: mixed.as_ref() }, share: 1.0 };
        match Graph::record(|| learner.pass(&here)) {
            Ok((graph, found)) => {
                self.gradients.keep();
                let grown = |(counter, before): (&Tensor, &i64)| counter.int64_value(&[]) - before;
                let counts = self.counters.iter().zip(&counted).map(grown).collect();
                let recorded = Recorded { graph, images, labels, mixed, found: found?, counts };
                recorded.graph.replay().map_err(|error| Error::gpu("take a step", &error))?;
                let found = recorded.found.copy();
                self.state = State::Recorded(recorded);
                Ok(found)
            }
            Err(error) => {
                self.state = State::Refused(error.to_string());
                self.gradients.clear();
                for (counter, before) in self.counters.iter().zip(counted) {
                    let _ = counter.shallow_clone().fill_(before);
                }
                learner.pass(batch)
            }
        }
    }
}

impl Recorded {
    /// Puts a batch where the graph reads it.
    fn read(&self, batch: &TrainBatch<'_>) {
        self.images.shallow_clone().copy_(batch.images);
        self.labels.shallow_clone().copy_(batch.targets.labels);
        if let (Some(to), Some(from)) = (&self.mixed, batch.targets.mixed) {
            to.shallow_clone().copy_(from);
        }
    }

    fn replay(&self, counters: &[Tensor]) -> Result<Found, Error> {
        self.graph.replay().map_err(|error| Error::gpu("take a step", &error))?;
        for (counter, count) in counters.iter().zip(&self.counts) {
            let _ = counter.shallow_clone().g_add_scalar_(*count);
        }
        Ok(self.found.copy())
    }
}

impl Found {
    /// The numbers in memory of their own.
    fn copy(&self) -> Self {
        Self {
            loss: self.loss.copy(),
            routing_loss: self.routing_loss.as_ref().map(Tensor::copy),
            correct: self.correct.copy(),
        }
    }
}

impl Learner {
    /// Why a pass of this model is not what a graph can replay, if it is not.
    fn unfit_for_recording(&self) -> Option<&'static str> {
        let work = self.model().work();
        if work.always < work.multiply_adds {
            return Some("images choose what is run");
        }
        self.model().follows_progress().then_some("gates change with the progress of training")
    }
}
