//! What the C++ side refuses.

use std::ffi::{CStr, CString, c_char};

use crate::Error;

/// The outcome of a call that does `action` and returns null, or what went wrong.
///
/// # Safety
/// `error` is null or a C string that lives until the next call on this thread.
pub(crate) unsafe fn outcome(action: &'static str, error: *const c_char) -> Result<(), Error> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: as the caller promises.
    let text = unsafe { CStr::from_ptr(error) }.to_string_lossy();
    Err(Error::Torch { action, reason: brief(&text) })
}

/// The first line, without the places in libtorch's source that it begins with: `[/pytorch/.../pair.cc:538] Connection closed`.
fn brief(text: &str) -> String {
    let mut line = text.lines().next().unwrap_or_default().trim();
    while let Some((_, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
        line = rest.trim_start();
    }
    line.to_owned()
}

/// Text for the C++ side; what would end it early is left out.
pub(crate) fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::brief;

    #[test]
    fn places_in_the_source_of_libtorch_are_left_out() {
        let text = "[enforce fail at /pytorch/gloo/pair.cc:538] . Connection closed by peer [127.0.0.1]:4231\nmore";
        assert_eq!(brief(text), ". Connection closed by peer [127.0.0.1]:4231");
        assert_eq!(brief("no place"), "no place");
    }
}
