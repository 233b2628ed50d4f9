//! Other work on the same processors, and how libtorch's threads make way for it.
//!
//! A thread of libtorch that waits for the others of its team spins, which is quick on quiet processors and ruinous on
//! crowded ones: see [`ShortWaits`]. So a thread looks, four times a second, how long the main thread had to wait for a
//! processor, and lets waits be short for as long as that is much.

use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use mp_native::ShortWaits;

use crate::machine;

/// How often the main thread is looked at.
const INTERVAL: Duration = Duration::from_millis(250);
/// Waits become short once the main thread waited for a processor for more than this share of an interval. The loader's own
/// threads take up to 0.15 from it; one busy process for each processor takes 0.5 and more,
const CROWDED: f64 = 0.20;
/// and long again once it waited for less than this share,
const QUIET: f64 = 0.10;
/// so many intervals in a row.
const QUIET_INTERVALS: u32 = 12;
/// An interval in which it wanted a processor for less time than this says nothing.
const LEAST_WANTED: Duration = Duration::from_millis(25);

/// The variables by which a user says how OpenMP's threads wait.
const SETTINGS: [&str; 2] = ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"];

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watch {
    /// Dropping it ends the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches the process's main thread, which should be the one that computes. `None` where there is nothing to watch with
    /// (outside Linux), or a user has set how threads wait.
    pub fn begin() -> Option<Self> {
        if SETTINGS.iter().any(|name| std::env::var_os(name).is_some()) {
            return None;
        }
        let mut before = Usage::of_main_thread()?;
        let mut waits = Waits::default();
        let (stop, stopped) = channel::<()>();
        let watch = move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(INTERVAL) {
                let Some(now) = Usage::of_main_thread() else { return };
                waits.note(now.since(before));
                before = now;
            }
        };
        let thread = Builder::new().name("neighbours".to_owned()).spawn(watch).ok()?;
        Some(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// How long a thread had a processor, and how long it wanted one in vain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Usage {
    ran: Duration,
    waited: Duration,
}

impl Usage {
    /// Since the process started; `None` where the system does not say.
    fn of_main_thread() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/self/schedstat").ok()?)
    }

    /// From nanoseconds run, nanoseconds waited, and a number of turns (Linux, `Documentation/scheduler/sched-stats`).
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(|number| number.parse().ok().map(Duration::from_nanos));
        Some(Self { ran: numbers.next()??, waited: numbers.next()?? })
    }

    fn since(self, before: Self) -> Self {
        Self { ran: self.ran.saturating_sub(before.ran), waited: self.waited.saturating_sub(before.waited) }
    }

    /// The share of the time in which it wanted a processor that it had to wait; `None` where it hardly wanted one.
    fn share_waited(self) -> Option<f64> {
        let wanted = self.ran + self.waited;
        (wanted >= LEAST_WANTED).then(|| self.waited.as_secs_f64() / wanted.as_secs_f64())
    }
}

/// Whether waits are short, and since when they need not be.
#[derive(Debug, Default)]
struct Waits {
    short: Option<ShortWaits>,
    quiet_intervals: u32,
}

impl Waits {
    fn note(&mut self, usage: Usage) {
        let Some(share) = usage.share_waited() else { return };
        self.quiet_intervals = if share < QUIET { self.quiet_intervals + 1 } else { 0 };
        if share > CROWDED && self.short.is_none() && machine::threads() > 1 {
            self.short = ShortWaits::begin(machine::threads());
        } else if self.quiet_intervals >= QUIET_INTERVALS {
            self.short = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(ran: u64, waited: u64) -> Usage {
        Usage { ran: Duration::from_millis(ran), waited: Duration::from_millis(waited) }
    }

    #[test]
    fn the_share_is_of_the_time_in_which_a_processor_was_wanted() {
        assert_eq!(usage(300, 100).since(usage(150, 50)).share_waited(), Some(0.25));
        assert_eq!(usage(20, 4).share_waited(), None);
        assert_eq!(
            Usage::parse("2500000 1000000 7\n"),
            Some(Usage { ran: Duration::from_micros(2500), waited: Duration::from_millis(1) })
        );
        assert_eq!(Usage::parse("2500000"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn waits_are_short_from_the_first_crowded_interval_to_three_quiet_seconds() {
        machine::use_threads(2);
        let mut waits = Waits::default();
        waits.note(usage(210, 40));
        assert!(waits.short.is_none());
        waits.note(usage(125, 125));
        assert!(waits.short.is_some());
        // An idle interval says nothing, a little waiting starts the count anew.
        for usage in [usage(250, 0), usage(1, 0), usage(200, 50)] {
            waits.note(usage);
        }
        for _ in 0..QUIET_INTERVALS - 1 {
            waits.note(usage(250, 0));
        }
        assert!(waits.short.is_some());
        waits.note(usage(250, 0));
        assert!(waits.short.is_none());
    }
}
