//! Where batches are made: decoded, augmented and put together in parallel, each image straight into its batch's memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::Sender;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::sampler::Order;
use super::{Batch, LoaderConfig, OnDamage, Position, Skipped};
use crate::{BatchMix, Dataset, Error, Image, ImageShape, Pipeline, Scratch};

/// Images in a row that may be skipped. A disk that is gone would otherwise be read to its end for every place.
const MAX_SKIPPED_IN_A_ROW: usize = 100;

/// Everything that outlives an epoch.
pub(super) struct Workshop {
    pub(super) dataset: Arc<dyn Dataset>,
    config: LoaderConfig,
    pipeline: Pipeline,
    batches: usize,
    /// Images that are served here in an epoch.
    images: usize,
    /// `None` with one thread, where the background thread does the work itself.
    pool: Option<ThreadPool>,
    /// One for each thread. No thread ever waits for another's.
    desks: Vec<Mutex<Desk>>,
    /// Batches whose memory is free.
    shelf: Mutex<Vec<Batch>>,
}

/// What a thread works with.
struct Desk {
    decoded: Image,
    scratch: Scratch,
}

/// The place of one image in a batch.
struct Slot<'b> {
    pixels: &'b mut [f32],
    label: &'b mut i64,
    index: &'b mut usize,
}

impl Workshop {
    /// `images` are served in an epoch, in `batches`.
    pub(super) fn new(
        dataset: Arc<dyn Dataset>,
        config: LoaderConfig,
        pipeline: Pipeline,
        images: usize,
        batches: usize,
    ) -> Result<Self, Error> {
        let pool = match config.threads {
            1 => None,
            threads => {
                let pool = ThreadPoolBuilder::new().num_threads(threads).thread_name(|k| format!("mp-data-{k}"));
                Some(pool.build().map_err(|error| Error::Worker(error.to_string()))?)
            }
        };
        let desk = |_| Mutex::new(Desk { decoded: Image::empty(), scratch: Scratch::new() });
        let desks = (0..config.threads).map(desk).collect();
        // As many as there can be at once, so that the shelf never grows.
        let shelf = Mutex::new(Vec::with_capacity(config.prefetch + 2));
        Ok(Self { dataset, config, pipeline, batches, images, pool, desks, shelf })
    }

    pub(super) fn batches(&self) -> usize {
        self.batches
    }

    /// Keeps a batch for its memory, unless there are enough.
    pub(super) fn recycle(&self, batch: Batch) {
        let mut shelf = lock(&self.shelf);
        if shelf.len() < shelf.capacity() {
            shelf.push(batch);
        }
    }

    /// Sends the batches from `position` on, until they are all sent or nobody receives any more.
    pub(super) fn produce(&self, position: Position, batches: &Sender<Result<Batch, Error>>) {
        let LoaderConfig { sampler, share, seed, .. } = &self.config;
        let order = Order::new(sampler, share, &*self.dataset, *seed, position.epoch);
        for number in position.batch..self.batches {
            let batch = self.batch(position.epoch, number, &order);
            let failed = batch.is_err();
            if batches.send(batch).is_err() || failed {
                return;
            }
        }
    }

    fn batch(&self, epoch: u64, number: usize, order: &Order) -> Result<Batch, Error> {
        let shape = self.pipeline.output_shape();
        let first = number * self.config.batch_size;
        let count = self.config.batch_size.min(self.images - first);
        let old = lock(&self.shelf).pop();
        let Batch { mut images, mut labels, mut indices, mut skipped, .. } = Batch::of(old, count, shape)?;
        let (Some(pixels), Some(label_slots)) = (images.as_slice_mut(), labels.as_slice_mut()) else {
            return Err(Error::Worker("a batch is not in standard layout".to_owned()));
        };

        let damage = Mutex::new(&mut skipped);
        let fill = |(place, slot): (usize, Slot<'_>)| {
            // Outside the pool, or with one thread, the index is 0.
            let mut desk = lock(&self.desks[rayon::current_thread_index().unwrap_or(0)]);
            if let Some(missing) = self.fill(epoch, order, first + place, slot, &mut desk)? {
                lock(&damage).push(Skipped { place, ..missing });
            }
            Ok(())
        };
        match &self.pool {
            None => {
                let places = pixels.chunks_exact_mut(shape.len()).zip(label_slots).zip(&mut indices);
                places.map(slot).enumerate().try_for_each(fill)?;
            }
            Some(pool) => pool.install(|| {
                let places = pixels.par_chunks_exact_mut(shape.len()).zip(label_slots).zip(&mut indices);
                places.map(slot).enumerate().try_for_each(fill)
            })?,
        }
        skipped.sort_unstable_by_key(|skipped| skipped.place);
        let (classes, seed) = (self.dataset.classes().len(), self.config.seed);
        let mix = |mix: BatchMix| mix.apply(images.view_mut(), labels.view(), classes, (seed, epoch, &indices));
        let targets = self.config.mix.map(mix);
        Ok(Batch { images, labels, targets, indices, skipped })
    }

    /// Serves the image at `place` of the order, or the first after it that can be read; says what was wrong with it then.
    fn fill(
        &self,
        epoch: u64,
        order: &Order,
        place: usize,
        slot: Slot<'_>,
        desk: &mut Desk,
    ) -> Result<Option<Skipped>, Error> {
        let mut missing = None;
        for later in 0..=MAX_SKIPPED_IN_A_ROW {
            let index = order.image(place, later);
            let rows = |shape: ImageShape| self.pipeline.rows(shape, epoch, index);
            match self.dataset.first_rows(index, &mut desk.decoded, &rows) {
                Ok(image) => {
                    self.check(index, image.shape())?;
                    self.pipeline.apply(image, epoch, index, &mut desk.scratch, slot.pixels);
                    let (label, classes) = (self.dataset.label(index), self.dataset.classes().len());
                    if label >= classes {
                        return Err(self.inconsistent(index, format!("a label below {classes}"), label));
                    }
                    (*slot.label, *slot.index) = (label as i64, index);
                    return Ok(missing);
                }
                Err(error) if self.config.damaged == OnDamage::Fail => return Err(error),
                Err(error) => missing = missing.or(Some(Skipped { place, index, reason: error.on_one_line() })),
            }
        }
        let reason = missing.map(|missing| missing.reason).unwrap_or_default();
        Err(Error::AllDamaged { name: self.dataset.name().to_owned(), count: MAX_SKIPPED_IN_A_ROW + 1, reason })
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

fn slot<'b>(((pixels, label), index): ((&'b mut [f32], &'b mut i64), &'b mut usize)) -> Slot<'b> {
    Slot { pixels, label, index }
}

/// Locks what holds no promises that a panic could break: it is overwritten before it is read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
