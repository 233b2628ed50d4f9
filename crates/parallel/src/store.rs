//! Where processes leave words for each other: c10d's `TCPStore`, which rank 0 or a launcher serves.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::time::Duration;

use crate::Error;
use crate::boundary::{c_text, outcome};

unsafe extern "C" {
    fn mp_store_open(
        host: *const c_char,
        port: u16,
        serves: bool,
        prefix: *const c_char,
        timeout_ms: i64,
        out: *mut *mut c_void,
    ) -> *const c_char;
    fn mp_store_free(store: *mut c_void);
    fn mp_store_set(store: *mut c_void, key: *const c_char, bytes: *const u8, count: usize) -> *const c_char;
    fn mp_store_has(store: *mut c_void, key: *const c_char, out: *mut bool) -> *const c_char;
    fn mp_store_get(
        store: *mut c_void,
        key: *const c_char,
        timeout_ms: i64,
        into: *mut c_void,
        take: unsafe extern "C" fn(*mut c_void, *const u8, usize),
    ) -> *const c_char;
    fn mp_store_add(store: *mut c_void, key: *const c_char, amount: i64, out: *mut i64) -> *const c_char;
}

/// A connection to the store. While one call waits, others on the same connection wait too.
#[derive(Debug)]
pub(crate) struct Store(NonNull<c_void>);

// SAFETY: c10d's store guards its connection by a lock of its own.
unsafe impl Send for Store {}
// SAFETY: as above.
unsafe impl Sync for Store {}

impl Store {
    /// Connects to the store at `host` and `port`, and serves it first if `serves`. All keys begin with `prefix`.
    pub(crate) fn open(host: &str, port: u16, serves: bool, prefix: &str, patience: Duration) -> Result<Self, Error> {
        let (host, prefix) = (c_text(host), c_text(prefix));
        let mut store = std::ptr::null_mut();
        // SAFETY: the texts live through the call, which writes the result on success.
        unsafe {
            outcome(
                "open the store of words between processes",
                mp_store_open(host.as_ptr(), port, serves, prefix.as_ptr(), millis(patience), &raw mut store),
            )?;
        }
        NonNull::new(store)
            .map(Self)
            .ok_or(Error::Torch { action: "open the store of words", reason: "nothing came back".to_owned() })
    }

    pub(crate) fn set(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        let key = c_text(key);
        // SAFETY: key and value live through the call.
        unsafe { outcome("leave a word", mp_store_set(self.0.as_ptr(), key.as_ptr(), value.as_ptr(), value.len())) }
    }

    /// Whether the key is there; does not wait.
    pub(crate) fn has(&self, key: &str) -> Result<bool, Error> {
        let key = c_text(key);
        let mut found = false;
        // SAFETY: the key lives through the call, which writes the result.
        unsafe { outcome("look for a word", mp_store_has(self.0.as_ptr(), key.as_ptr(), &raw mut found))? };
        Ok(found)
    }

    /// The value of the key, once it is there.
    pub(crate) fn get(&self, key: &str, patience: Duration) -> Result<Vec<u8>, Error> {
        unsafe extern "C" fn take(into: *mut c_void, bytes: *const u8, count: usize) {
            if count > 0 {
                // SAFETY: `into` is the vector below, and the bytes are as many as said.
                unsafe { (*into.cast::<Vec<u8>>()).extend_from_slice(std::slice::from_raw_parts(bytes, count)) };
            }
        }
        let key = c_text(key);
        let mut found = Vec::<u8>::new();
        // SAFETY: key and vector live through the call.
        unsafe {
            outcome(
                "read a word",
                mp_store_get(self.0.as_ptr(), key.as_ptr(), millis(patience), (&raw mut found).cast(), take),
            )?;
        }
        Ok(found)
    }

    /// Adds to the number under the key, 0 at first, and returns the sum.
    pub(crate) fn add(&self, key: &str, amount: i64) -> Result<i64, Error> {
        let key = c_text(key);
        let mut sum = 0;
        // SAFETY: the key lives through the call, which writes the result.
        unsafe { outcome("count", mp_store_add(self.0.as_ptr(), key.as_ptr(), amount, &raw mut sum))? };
        Ok(sum)
    }

    pub(crate) fn as_ptr(&self) -> *mut c_void {
        self.0.as_ptr()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: made by `mp_store_open` and freed once.
        unsafe { mp_store_free(self.0.as_ptr()) }
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
