//! The store of words, served by whoever starts the processes.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use crate::Error;
use crate::boundary::outcome;
use crate::store::Store;
use crate::world::leave_word;

unsafe extern "C" {
    fn mp_server_open(port: u16, out_port: *mut u16, out: *mut *mut c_void) -> *const c_char;
    fn mp_store_free(store: *mut c_void);
}

/// Serves the store in which processes on this machine meet. It outlives any of them, so that what is left in it about one that
/// died can be read.
#[derive(Debug)]
pub struct Server {
    handle: NonNull<c_void>,
    port: u16,
}

// SAFETY: only freed, and that once.
unsafe impl Send for Server {}
// SAFETY: as above.
unsafe impl Sync for Server {}

impl Server {
    /// Where processes look for it.
    pub const HOST: &str = "127.0.0.1";

    /// Listens on `port`, or on one that is free where that is 0.
    ///
    /// # Errors
    /// [`Error::PortTaken`].
    pub fn open(port: u16) -> Result<Self, Error> {
        let mut handle = std::ptr::null_mut();
        let mut found = 0;
        // SAFETY: both results are written on success.
        let opened = unsafe { outcome("serve the processes", mp_server_open(port, &raw mut found, &raw mut handle)) };
        match (opened, NonNull::new(handle)) {
            (Ok(()), Some(handle)) => Ok(Self { handle, port: found }),
            _ => Err(Error::PortTaken { host: "this machine".to_owned(), port }),
        }
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leaves word of the end of a process of this attempt, unless it has done so itself.
    pub fn note_end(&self, attempt: u64, rank: usize, cause: &str) {
        let prefix = format!("multipath/{attempt}");
        let Ok(store) = Store::open(Self::HOST, self.port, false, &prefix, Duration::from_secs(5)) else { return };
        // Whoever is left finds out without it, only later.
        let _ = leave_word(&store, rank, cause);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: made by `mp_server_open` and freed once.
        unsafe { mp_store_free(self.handle.as_ptr()) }
    }
}
