//! What the C++ side refuses.

use std::ffi::{CStr, c_char};

/// An operation refused its tensors.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {reason}")]
pub struct TorchError {
    action: &'static str,
    reason: String,
}

impl TorchError {
    /// What it said, on one line.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// `action` is a verb with its object: `mix the paths`.
    pub(crate) fn new(action: &'static str, reason: impl Into<String>) -> Self {
        TorchError { action, reason: reason.into() }
    }
}

/// The outcome of a call that does `action` and returns null, or what went wrong.
///
/// # Safety
/// `error` is null or a C string that lives until the next call on this thread.
pub(crate) unsafe fn outcome(action: &'static str, error: *const c_char) -> Result<(), TorchError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: as the caller promises.
    let text = unsafe { CStr::from_ptr(error) }.to_string_lossy();
    Err(TorchError::new(action, text.lines().next().unwrap_or_default()))
}
