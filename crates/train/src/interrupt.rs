//! Ctrl-C: the first asks the run to stop, the second ends the process.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::Error;

/// The exit code of a process that ended on Ctrl-C: 128 and the number of the signal, as shells report it.
pub const EXIT_CODE: i32 = 130;

/// A flag that SIGINT and SIGTERM set. A second signal ends the process at once with [`EXIT_CODE`].
///
/// # Errors
/// [`Error::Signals`] where the system refuses a handler.
pub fn on_signal() -> Result<Arc<AtomicBool>, Error> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The order matters: the first signal finds the flag down here, and only then sets it.
        flag::register_conditional_shutdown(signal, EXIT_CODE, Arc::clone(&stop)).map_err(Error::Signals)?;
        flag::register(signal, Arc::clone(&stop)).map_err(Error::Signals)?;
    }
    Ok(stop)
}
