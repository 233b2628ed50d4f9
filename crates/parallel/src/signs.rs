//! Signs of life: every process leaves one each second, so that others know of which they hear nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Error;
use crate::store::Store;

const EACH: Duration = Duration::from_secs(1);
/// How long a single word is waited for that is known to be there.
const PROMPT: Duration = Duration::from_secs(5);

/// Leaves signs of this process until it is dropped.
#[derive(Debug)]
pub(crate) struct Signs {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Signs {
    /// `store` is a connection of its own: a wait on another one would hold these up. `begun` counts what was begun with the
    /// others.
    pub(crate) fn begin(store: Store, rank: usize, begun: Arc<AtomicU64>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        let thread = std::thread::Builder::new().name("signs of life".to_owned()).spawn(move || {
            let mut count = 0_u64;
            while !asked.load(Ordering::Relaxed) {
                count += 1;
                let sign = format!("{count} {}", begun.load(Ordering::Relaxed));
                if store.set(&key(rank), sign.as_bytes()).is_err() {
                    // Whoever served the store is gone: the next operation with the others says so.
                    return;
                }
                std::thread::park_timeout(EACH);
            }
        });
        Self { stop, thread: thread.ok() }
    }
}

impl Drop for Signs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        // Not for long: it may wait for a store whose machine is cut off.
        for _ in 0..50 {
            if thread.is_finished() {
                let _ = thread.join();
                return;
            }
            std::thread::sleep(Duration::from_millis(4));
        }
    }
}

fn key(rank: usize) -> String {
    format!("sign/{rank}")
}

/// What is heard of the others.
#[derive(Debug)]
pub(crate) struct Heard {
    of: Vec<Last>,
}

#[derive(Debug, Clone)]
struct Last {
    sign: Vec<u8>,
    at: Instant,
}

impl Heard {
    pub(crate) fn new(world: usize) -> Self {
        Self { of: vec![Last { sign: Vec::new(), at: Instant::now() }; world] }
    }

    /// Looks once at the sign of every process.
    pub(crate) fn listen(&mut self, store: &Store) -> Result<(), Error> {
        for (rank, last) in self.of.iter_mut().enumerate() {
            let sign = match store.has(&key(rank))? {
                true => store.get(&key(rank), PROMPT)?,
                false => Vec::new(),
            };
            if sign != last.sign {
                *last = Last { sign, at: Instant::now() };
            }
        }
        Ok(())
    }

    /// The process that was silent the longest, if it was so for `patience`.
    pub(crate) fn silent(&self, patience: Duration) -> Option<usize> {
        let silent = self.of.iter().enumerate().max_by_key(|(_, last)| last.at.elapsed())?;
        (silent.1.at.elapsed() >= patience).then_some(silent.0)
    }

    /// The process that is behind all others in what it began with them.
    pub(crate) fn behind(&self) -> Option<usize> {
        let begun = |last: &Last| -> Option<u64> {
            String::from_utf8_lossy(&last.sign).split(' ').nth(1).and_then(|count| count.parse().ok())
        };
        let all: Vec<u64> = self.of.iter().map(begun).collect::<Option<_>>()?;
        let least = *all.iter().min()?;
        let mut last = all.iter().enumerate().filter(|(_, count)| **count == least);
        match (last.next(), last.next()) {
            (Some((rank, _)), None) => Some(rank),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_began_least_is_behind() {
        let heard = |counts: &[&str]| {
            let of = counts.iter().map(|count| Last { sign: count.as_bytes().to_vec(), at: Instant::now() });
            Heard { of: of.collect() }
        };
        assert_eq!(heard(&["9 40", "9 38", "9 40"]).behind(), Some(1));
        assert_eq!(heard(&["9 40", "9 40"]).behind(), None, "nobody is");
        assert_eq!(heard(&["9 40", ""]).behind(), None, "nothing is known of one");
    }
}
