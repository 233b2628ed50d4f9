//! Max pooling.

use std::ffi::c_char;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::TorchError;
use crate::boundary::outcome;

unsafe extern "C" {
    fn mp_can_max_pool(x: *const C_tensor) -> bool;
    fn mp_max_pool(
        x: *const C_tensor,
        kernel: i64,
        stride: i64,
        padding: i64,
        height: i64,
        width: i64,
        y: *mut *mut C_tensor,
    ) -> *const c_char;
}

/// Windows of one side length that step over a map.
#[derive(Clone, Copy, Debug)]
pub struct PoolWindows {
    /// Height and width of a window.
    pub kernel: i64,
    /// Step of the windows.
    pub stride: i64,
    /// Cells added on each side, smaller than all others.
    pub padding: i64,
    /// How many windows there are in height and width.
    pub count: [i64; 2],
}

/// Whether [`max_pool`] takes this map: `[B, C, H, W]` on the CPU in float32 or bfloat16, channels-last and with something in
/// it.
pub fn can_max_pool(x: &Tensor) -> bool {
    // SAFETY: the pointer is that of a live tensor, of which only what it is gets read.
    unsafe { mp_can_max_pool(x.as_ptr()) }
}

/// The largest number of each window: `[B, C, H, W]` to `[B, C, H', W']`, `H'` and `W'` being the counts. Equal to libtorch's
/// `max_pool2d` to the last bit, and so is its gradient in float32; in bfloat16 that is rounded once, where libtorch rounds after
/// every window. A NaN is larger than all others. For the gradient one byte is kept for each number of the result.
///
/// # Errors
/// A map that [`can_max_pool`] refuses, windows of 16 cells a side or more, or windows of which one would lie beyond the map.
pub fn max_pool(x: &Tensor, windows: PoolWindows) -> Result<Tensor, TorchError> {
    let PoolWindows { kernel, stride, padding, count: [height, width] } = windows;
    let mut y = std::ptr::null_mut();
    // SAFETY: the pointer is that of a live tensor; the C++ side catches every exception, and its message lives until the
    // next call.
    unsafe {
        outcome("pool the map", mp_max_pool(x.as_ptr(), kernel, stride, padding, height, width, &mut y))?;
        // Without an error it is a new tensor that nobody else owns.
        Ok(Tensor::from_ptr(y))
    }
}
