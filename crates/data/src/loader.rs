//! Batches, prepared ahead of time on threads of their own.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use ndarray::{Array1, Array4};
use rand::seq::SliceRandom;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::random::{Purpose, generator};
use crate::{Dataset, Error, Image, ImageShape, Pipeline, Scratch, Transform};

/// How a data set is turned into batches.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderConfig {
    /// Images in a batch B.
    pub batch_size: usize,
    /// Whether every epoch has its own random order; otherwise images come in the order of the data set.
    pub shuffle: bool,
    /// Whether to leave out the last batch of an epoch when it is not full.
    pub drop_last: bool,
    /// Decides, together with the epoch, the order and every random change.
    pub seed: u64,
    /// What is done to each image before it is normalised; nothing by default.
    pub transforms: Vec<Transform>,
    /// Channel means; empty, with an empty `std`, to only scale pixels to 0..1.
    pub mean: Vec<f32>,
    /// Channel deviations.
    pub std: Vec<f32>,
    /// Threads that prepare images.
    pub threads: usize,
    /// Batches that may lie ready; beyond them the loader waits.
    pub prefetch: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 128,
            shuffle: true,
            drop_last: false,
            seed: 0,
            transforms: Vec::new(),
            mean: Vec::new(),
            std: Vec::new(),
            threads: 1,
            prefetch: 2,
        }
    }
}

/// Images that go through a network together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[B, H, W, C]` in standard layout: what torch calls channels-last.
    pub images: Array4<f32>,
    /// The class of each image.
    pub labels: Array1<i64>,
    /// The position of each image in the data set.
    pub indices: Vec<usize>,
}

/// Serves the epochs of a data set as [`Batch`]es.
///
/// Order and pixels depend on the data set, the seed and the epoch only: not on the threads, and not on where in the epoch one starts.
pub struct Loader {
    shared: Arc<Shared>,
    prefetch: usize,
}

/// What the background thread needs, whichever epoch it prepares.
struct Shared {
    dataset: Arc<dyn Dataset>,
    pipeline: Pipeline,
    batch_size: usize,
    batches: usize,
    shuffle: bool,
    seed: u64,
    /// `None` with one thread, where the background thread does the work itself.
    pool: Option<ThreadPool>,
}

impl Loader {
    /// Checks the settings against the data set and starts the threads that prepare images.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that cannot work or would yield no batch; [`Error::Worker`] if threads cannot be started.
    pub fn new(dataset: Arc<dyn Dataset>, config: LoaderConfig) -> Result<Self, Error> {
        for (name, value) in
            [("batch_size", config.batch_size), ("threads", config.threads), ("prefetch", config.prefetch)]
        {
            if value == 0 {
                return Err(Error::Config(format!("{name} is 0: expected at least 1")));
            }
        }
        let batches = match config.drop_last {
            true => dataset.len() / config.batch_size,
            false => dataset.len().div_ceil(config.batch_size),
        };
        if batches == 0 {
            return Err(Error::Config(format!(
                "`{}` has {} images, not enough for one batch: expected at least {}",
                dataset.name(),
                dataset.len(),
                if config.drop_last { config.batch_size } else { 1 }
            )));
        }
        let size = dataset.shape().map(|shape| (shape.height, shape.width));
        let statistics = (&config.mean[..], &config.std[..]);
        let pipeline = Pipeline::new(dataset.channels(), size, &config.transforms, statistics, config.seed)?;
        let pool = match config.threads {
            1 => None,
            threads => {
                let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|k| format!("mp-data-{k}"));
                Some(pool.build().map_err(|error| Error::Worker(error.to_string()))?)
            }
        };
        let shared = Shared {
            dataset,
            pipeline,
            batch_size: config.batch_size,
            batches,
            shuffle: config.shuffle,
            seed: config.seed,
            pool,
        };
        // No epoch has more batches than this, and a queue takes its memory at once.
        Ok(Self { shared: Arc::new(shared), prefetch: config.prefetch.min(batches) })
    }

    /// The data set that is served.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.shared.dataset
    }

    /// Batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.shared.batches
    }

    /// Starts an epoch at its batch `first_batch`: 0 for a whole epoch, more to resume one.
    ///
    /// Work begins at once on a background thread, and ends soon after the iterator is dropped.
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> EpochIter {
        let (batch_sender, batches) = bounded(self.prefetch);
        let (recycler, buffers) = bounded(self.prefetch + 1);
        let shared = Arc::clone(&self.shared);
        let remaining = shared.batches.saturating_sub(first_batch);
        let thread = std::thread::Builder::new()
            .name("mp-data".to_owned())
            .spawn(move || shared.produce(epoch, first_batch, &batch_sender, &buffers));
        let (thread, failure) = match thread {
            Ok(thread) => (Some(thread), None),
            Err(error) => (None, Some(Error::Worker(error.to_string()))),
        };
        EpochIter { batches: Some(batches), recycler, thread, failure, remaining, waited: Duration::ZERO }
    }
}

impl Shared {
    /// Sends the batches from `first` on, until they are all sent or nobody receives any more.
    fn produce(&self, epoch: u64, first: usize, batches: &Sender<Result<Batch, Error>>, buffers: &Receiver<Vec<f32>>) {
        let order = self.order(epoch);
        for indices in order.chunks(self.batch_size).take(self.batches).skip(first) {
            let batch = self.batch(epoch, indices, buffers.try_recv().unwrap_or_default());
            let failed = batch.is_err();
            if batches.send(batch).is_err() || failed {
                return;
            }
        }
    }

    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.dataset.len()).collect();
        if self.shuffle {
            order.shuffle(&mut generator(Purpose::Order, self.seed, epoch, 0));
        }
        order
    }

    fn batch(&self, epoch: u64, indices: &[usize], mut buffer: Vec<f32>) -> Result<Batch, Error> {
        let shape = self.pipeline.output_shape();
        buffer.resize(indices.len() * shape.len(), 0.0);
        let one = |(decoded, scratch): &mut (Image, Scratch), (out, &index): (&mut [f32], &usize)| {
            let image = self.dataset.image(index, decoded)?;
            self.check(index, image.shape())?;
            self.pipeline.apply(image, epoch, index, scratch, out);
            Ok(())
        };
        let memory = || (Image::empty(), Scratch::new());
        match &self.pool {
            None => {
                let mut memory = memory();
                buffer.chunks_exact_mut(shape.len()).zip(indices).try_for_each(|pair| one(&mut memory, pair))?;
            }
            Some(pool) => pool.install(|| {
                let images = buffer.par_chunks_exact_mut(shape.len()).zip(indices).with_min_len(8);
                images.try_for_each_init(memory, one)
            })?,
        }

        let classes = self.dataset.classes().len();
        let label = |&index: &usize| match self.dataset.label(index) {
            label if label < classes => Ok(label as i64),
            label => Err(self.inconsistent(index, format!("a label below {classes}"), label)),
        };
        let labels = indices.iter().map(label).collect::<Result<Array1<i64>, Error>>()?;
        let images = Array4::from_shape_vec((indices.len(), shape.height, shape.width, shape.channels), buffer)
            .map_err(|error| Error::Worker(error.to_string()))?;
        Ok(Batch { images, labels, indices: indices.to_vec() })
    }

    /// Fails for an image that is not what the data set promised.
    fn check(&self, index: usize, found: ImageShape) -> Result<(), Error> {
        let channels = self.dataset.channels();
        match self.dataset.shape() {
            Some(shape) if shape != found => Err(self.inconsistent(index, shape.to_string(), found)),
            None if found.channels != channels || found.is_empty() => {
                Err(self.inconsistent(index, format!("at least one pixel of {channels} channels"), found))
            }
            _ => Ok(()),
        }
    }

    fn inconsistent(&self, index: usize, expected: String, found: impl ToString) -> Error {
        Error::Inconsistent { name: self.dataset.name().to_owned(), index, expected, found: found.to_string() }
    }
}

/// The batches of one epoch, in order; after an error there are no more.
pub struct EpochIter {
    /// `None` once the epoch has ended, so that the background thread cannot be left waiting.
    batches: Option<Receiver<Result<Batch, Error>>>,
    recycler: Sender<Vec<f32>>,
    thread: Option<JoinHandle<()>>,
    failure: Option<Error>,
    remaining: usize,
    waited: Duration,
}

impl EpochIter {
    /// How long [`next`](Iterator::next) has waited for batches so far: what loading costs the training loop.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Gives back a batch that is no longer needed, so that its memory serves a later one.
    pub fn recycle(&self, batch: Batch) {
        // A full queue means that there are buffers enough: this one is freed.
        let _ = self.recycler.try_send(batch.images.into_raw_vec_and_offset().0);
    }

    /// Takes the next batch, noting the time if it is not ready.
    fn receive(&mut self) -> Option<Result<Batch, Error>> {
        let batches = self.batches.as_ref()?;
        match batches.try_recv() {
            Ok(batch) => Some(batch),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                let start = Instant::now();
                let batch = batches.recv().ok();
                self.waited += start.elapsed();
                batch
            }
        }
    }

    /// Ends the background thread; says why if it panicked.
    fn stop(&mut self) -> Option<String> {
        self.batches = None;
        let panic = self.thread.take()?.join().err()?;
        let text = panic.downcast_ref::<String>().map(String::as_str);
        Some(text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_owned())
    }
}

impl Iterator for EpochIter {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining == 0 {
            return None;
        }
        let batch = match (self.failure.take(), self.receive()) {
            (Some(failure), _) => Err(failure),
            (None, Some(batch)) => batch,
            (None, None) => Err(Error::Worker(self.stop().unwrap_or_else(|| "it ended early".to_owned()))),
        };
        self.remaining = if batch.is_ok() { self.remaining - 1 } else { 0 };
        Some(batch)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.remaining.min(1), Some(self.remaining))
    }
}

impl Drop for EpochIter {
    fn drop(&mut self) {
        self.stop();
    }
}
