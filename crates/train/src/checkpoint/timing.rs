//! Where the time of a run went.

use std::time::{Duration, Instant};

use mp_routing::figure;
use serde::{Deserialize, Serialize};

/// Seconds of training, evaluation and checkpoints apart, over all parts of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Since the start of the run.
    #[serde(with = "figure")]
    pub train: f64,
    /// The part of it spent waiting for a batch.
    #[serde(with = "figure")]
    pub waited: f64,
    /// Since the start of the epoch.
    #[serde(with = "figure")]
    pub epoch: f64,
    /// Since the last report.
    #[serde(with = "figure")]
    pub interval: f64,
}

/// Adds what passes to a [`Timing`], lap by lap.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    since: Instant,
    waited: Duration,
}

impl Stopwatch {
    /// Starts now. `waited` is what the loader's own count stands at.
    pub(crate) fn start(waited: Duration) -> Self {
        Self { since: Instant::now(), waited }
    }

    /// Adds the time since the last lap, and starts the next one.
    pub(crate) fn lap(&mut self, timing: &mut Timing, waited: Duration) {
        let now = Instant::now();
        let seconds = (now - self.since).as_secs_f64();
        timing.train += seconds;
        timing.epoch += seconds;
        timing.interval += seconds;
        timing.waited += waited.saturating_sub(self.waited).as_secs_f64();
        (self.since, self.waited) = (now, waited);
    }
}
