//! Signals that ask a run to stop: it saves and ends, and its exit code is 128 and the number of the signal.
//!
//! | signal | sent by |
//! |---|---|
//! | SIGINT | Ctrl-C |
//! | SIGTERM | `kill`, a service manager, a cluster that takes a machine back |
//! | SIGHUP | a terminal that is closed |
//! | SIGUSR1 | Slurm, some time before a job's end (`--signal`) |
//!
//! A second SIGINT or SIGTERM after either of them ends the process at once. SIGHUP and SIGUSR1 only ever ask: a closed
//! terminal sends the first twice, and the second is followed by SIGTERM while the run may still be saving.
//!
//! A signal that was ignored when the process started stays ignored: SIGHUP under `nohup`, SIGINT in the background of a
//! script.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;
use signal_hook::iterator::Signals;

use crate::Error;

/// What shells add to the number of a signal for the exit code of a process that it ended.
const BASE: i32 = 128;

/// The number of the last signal that came; 0 before the first.
static LAST: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// A flag that is set by each of the signals that ask a run to stop.
///
/// # Errors
/// [`Error::Signals`] where the system refuses a handler.
pub fn on_signal() -> Result<Arc<AtomicBool>, Error> {
    let (stop, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let last = LAST.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGUSR1].into_iter().filter(|signal| !is_ignored(*signal)) {
        if matches!(signal, SIGINT | SIGTERM) {
            // The order matters: the first signal finds the flag down here, and only then sets it.
            flag::register_conditional_shutdown(signal, BASE + signal, Arc::clone(&asked)).map_err(Error::Signals)?;
            flag::register(signal, Arc::clone(&asked)).map_err(Error::Signals)?;
        }
        flag::register_usize(signal, Arc::clone(last), signal as usize).map_err(Error::Signals)?;
        flag::register(signal, Arc::clone(&stop)).map_err(Error::Signals)?;
    }
    Ok(stop)
}

/// The signals that ask a run to stop, as they come, for a process that passes them on.
///
/// # Errors
/// As [`on_signal`].
pub fn signals() -> Result<Receiver<i32>, Error> {
    let heeded = [SIGINT, SIGTERM, SIGHUP, SIGUSR1].into_iter().filter(|signal| !is_ignored(*signal));
    let mut signals = Signals::new(heeded).map_err(Error::Signals)?;
    let (send, receive) = mpsc::channel();
    // Ends with the process, or once nobody listens.
    std::thread::spawn(move || signals.forever().try_for_each(|signal| send.send(signal)));
    Ok(receive)
}

/// The exit code of a process that ends because it was asked to: 128 and the number of the last signal, that of Ctrl-C where
/// none came.
pub fn exit_code() -> u8 {
    let last = LAST.get().map_or(0, |last| last.load(Ordering::Relaxed) as i32);
    (BASE + if last == 0 { SIGINT } else { last }) as u8
}

/// Whether whoever started this process had it ignore the signal.
#[allow(unsafe_code)]
fn is_ignored(signal: i32) -> bool {
    let mut found = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action nothing changes, and `found` has room for the present one.
    let asked = unsafe { libc::sigaction(signal, std::ptr::null(), found.as_mut_ptr()) };
    // SAFETY: the system has filled it, or it is all zeros, which is an action too.
    asked == 0 && unsafe { found.assume_init() }.sa_sigaction == libc::SIG_IGN
}
