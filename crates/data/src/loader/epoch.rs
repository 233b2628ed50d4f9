//! One epoch under way.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError, bounded};

use super::workshop::Workshop;
use super::{Batch, Position};
use crate::Error;

/// The batches of one epoch, in order; after an error there are no more.
pub struct EpochIter {
    /// `None` once the epoch has ended, so that the background thread cannot be left waiting.
    batches: Option<Receiver<Result<Batch, Error>>>,
    workshop: Arc<Workshop>,
    thread: Option<JoinHandle<()>>,
    failure: Option<Error>,
    position: Position,
    remaining: usize,
    waited: Duration,
}

impl EpochIter {
    /// Starts the background thread.
    pub(super) fn start(workshop: Arc<Workshop>, position: Position, prefetch: usize) -> Self {
        let (sender, batches) = bounded(prefetch);
        let remaining = workshop.batches().saturating_sub(position.batch);
        let work = Arc::clone(&workshop);
        let thread =
            std::thread::Builder::new().name("mp-data".to_owned()).spawn(move || work.produce(position, &sender));
        let (thread, failure) = match thread {
            Ok(thread) => (Some(thread), None),
            Err(error) => (None, Some(Error::Worker(error.to_string()))),
        };
        Self { batches: Some(batches), workshop, thread, failure, position, remaining, waited: Duration::ZERO }
    }

    /// How long [`next`](Iterator::next) has waited for batches so far: what loading costs the training loop.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Where [`Loader::resume`](super::Loader::resume) goes on with the batch that comes next: the start of the next
    /// epoch once this one is through.
    pub fn position(&self) -> Position {
        match self.position {
            Position { epoch, batch } if batch >= self.workshop.batches() => Position { epoch: epoch + 1, batch: 0 },
            position => position,
        }
    }

    /// Gives back a batch that is no longer needed, so that its memory serves a later one, of this epoch or another.
    pub fn recycle(&self, batch: Batch) {
        self.workshop.recycle(batch);
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
        match batch {
            Ok(_) => (self.remaining, self.position.batch) = (self.remaining - 1, self.position.batch + 1),
            Err(_) => self.remaining = 0,
        }
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
