//! Batches, prepared ahead of time on threads of their own.

mod batch;
mod epoch;
mod sampler;
mod workshop;

use std::sync::Arc;

pub use batch::{Batch, OnDamage, SkipCount, Skipped};
pub use epoch::EpochIter;
pub use sampler::{Sampler, Share, Uneven};

use crate::{BatchMix, Dataset, Error, Pipeline, Transform};
use workshop::Workshop;

/// How a data set is turned into batches.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoaderConfig {
    /// Images in a batch B.
    pub batch_size: usize,
    /// Which images an epoch serves, in which order.
    pub sampler: Sampler,
    /// The part of it that falls to this process.
    pub share: Share,
    /// Whether to leave out the last batch of an epoch when it is not full.
    pub drop_last: bool,
    /// Decides, together with the epoch, the order and every random change.
    pub seed: u64,
    /// What is done to each image before it is normalised; nothing by default.
    pub transforms: Vec<Transform>,
    /// How the images of a batch, and their labels, are mixed with each other; not at all by default.
    pub mix: Option<BatchMix>,
    /// Channel means; empty, with an empty `std`, to only scale pixels to 0..1.
    pub mean: Vec<f32>,
    /// Channel deviations.
    pub std: Vec<f32>,
    /// What happens where an image cannot be read.
    pub damaged: OnDamage,
    /// Threads that prepare images.
    pub threads: usize,
    /// Batches that may lie ready; beyond them the loader waits.
    pub prefetch: usize,
}

impl Default for LoaderConfig {
    fn default() -> Self {
        Self {
            batch_size: 128,
            sampler: Sampler::Shuffled,
            share: Share::default(),
            drop_last: false,
            seed: 0,
            transforms: Vec::new(),
            mix: None,
            mean: Vec::new(),
            std: Vec::new(),
            damaged: OnDamage::Fail,
            threads: 1,
            prefetch: 2,
        }
    }
}

/// Where in the course of all epochs a loader stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// The epoch, from 0.
    pub epoch: u64,
    /// The batch that comes next in it, from 0.
    pub batch: usize,
}

/// Serves the epochs of a data set as [`Batch`]es.
///
/// Order and pixels depend on the data set, the sampler, the seed and the epoch only: not on the threads, not on where in
/// the epoch one starts, and the pixels of an image not on the [share](Share) that it falls into.
///
/// However large the data set, memory holds at most `prefetch + 2` batches (those that lie ready, the one in the making,
/// and the one with the user, if it is given back by [`EpochIter::recycle`]), for each thread one decoded image with
/// what augmenting it needs, and 8 bytes an image for the order of the epoch. All of it is kept from batch to batch and
/// from epoch to epoch: once the largest image has been met, nothing is allocated any more but what a codec and the
/// resampler take for themselves while they work on an image.
pub struct Loader {
    workshop: Arc<Workshop>,
    prefetch: usize,
}

impl Loader {
    /// Checks the settings against the data set and starts the threads that prepare images.
    ///
    /// # Errors
    /// [`Error::Config`] for settings that cannot work or would yield no batch; [`Error::Worker`] if threads cannot be started.
    pub fn new(dataset: Arc<dyn Dataset>, mut config: LoaderConfig) -> Result<Self, Error> {
        for (name, value) in
            [("batch_size", config.batch_size), ("threads", config.threads), ("prefetch", config.prefetch)]
        {
            if value == 0 {
                return Err(Error::Config(format!("{name} is 0: expected at least 1")));
            }
        }
        config.sampler.check(&*dataset)?;
        config.share.check()?;
        config.mix.map_or(Ok(()), |mix| mix.check())?;
        let images = config.share.len(config.sampler.len(&*dataset));
        let batches = match config.drop_last {
            true => images / config.batch_size,
            false => images.div_ceil(config.batch_size),
        };
        if batches == 0 {
            return Err(Error::Config(format!(
                "`{}` has {images} images, not enough for one batch: expected at least {}",
                dataset.name(),
                if config.drop_last { config.batch_size } else { 1 }
            )));
        }
        let size = dataset.shape().map(|shape| (shape.height, shape.width));
        let statistics = (&config.mean[..], &config.std[..]);
        let pipeline = Pipeline::new(dataset.channels(), size, &config.transforms, statistics, config.seed)?;
        // No epoch has more batches than this, and a queue takes its memory at once.
        config.prefetch = config.prefetch.min(batches);
        let prefetch = config.prefetch;
        Ok(Self { workshop: Arc::new(Workshop::new(dataset, config, pipeline, images, batches)?), prefetch })
    }

    /// The data set that is served.
    pub fn dataset(&self) -> &Arc<dyn Dataset> {
        &self.workshop.dataset
    }

    /// Batches in an epoch.
    pub fn batches_per_epoch(&self) -> usize {
        self.workshop.batches()
    }

    /// Starts an epoch at its batch `first_batch`: 0 for a whole epoch, more to resume one.
    ///
    /// Work begins at once on a background thread, and ends soon after the iterator is dropped.
    pub fn epoch(&self, epoch: u64, first_batch: usize) -> EpochIter {
        self.resume(Position { epoch, batch: first_batch })
    }

    /// Goes on from a [position](EpochIter::position), as if nothing had been in between.
    pub fn resume(&self, position: Position) -> EpochIter {
        EpochIter::start(Arc::clone(&self.workshop), position, self.prefetch)
    }
}
