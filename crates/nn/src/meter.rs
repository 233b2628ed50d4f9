//! A count of the multiply-adds that layers report while it runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use tch::Tensor;

/// Counts the multiply-adds of convolutions, dense layers and routing; norms, activations, pooling and additions are
/// not counted, as is usual for published "MAdds" or "GMACs".
///
/// Every layer of a [`Store`](crate::Store) holds the store's meter and reports what it computes for one sample, so the
/// count is that of the code that runs and cannot drift from it, and an empty batch is enough to take it.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<State>);

#[derive(Debug, Default)]
struct State {
    running: AtomicBool,
    multiply_adds: AtomicU64,
}

impl Meter {
    /// Adds the multiply-adds of one sample if a measurement is running; otherwise does nothing.
    pub fn add(&self, multiply_adds: u64) {
        if self.0.running.load(Relaxed) {
            self.0.multiply_adds.fetch_add(multiply_adds, Relaxed);
        }
    }

    /// Runs `f` and returns its value with the multiply-adds of one sample that were reported meanwhile.
    ///
    /// One measurement at a time: a second one inside `f` starts the count afresh.
    pub fn measure<T>(&self, f: impl FnOnce() -> T) -> (T, u64) {
        self.0.multiply_adds.store(0, Relaxed);
        self.0.running.store(true, Relaxed);
        let value = f();
        self.0.running.store(false, Relaxed);
        (value, self.0.multiply_adds.load(Relaxed))
    }
}

/// How many numbers of `[B, ...]` belong to one sample.
pub fn numbers_of_one(x: &Tensor) -> u64 {
    x.size()[1..].iter().product::<i64>() as u64
}
