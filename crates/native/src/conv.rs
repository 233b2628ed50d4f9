//! The settings of a convolution, and one with a faster gradient of its weights.

use std::ffi::c_char;
use std::ptr::null;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::TorchError;
use crate::boundary::outcome;

unsafe extern "C" {
    fn mp_can_conv(x: *const C_tensor, weight: *const C_tensor, stride: i64, padding: i64) -> bool;
    fn mp_conv(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        stride: i64,
        padding: i64,
        y: *mut *mut C_tensor,
    ) -> *const c_char;
}

/// A square two-dimensional convolution, not in groups.
#[derive(Clone, Copy, Debug)]
pub struct Convolution<'a> {
    /// `[out, in, kernel, kernel]`.
    pub weight: &'a Tensor,
    /// `[out]`.
    pub bias: Option<&'a Tensor>,
    /// Step of the kernel.
    pub stride: i64,
    /// Zeros added on each side.
    pub padding: i64,
}

/// Whether [`conv`] takes this convolution of a map here and now: it runs in bfloat16 (autocast's word counts), on a CPU that
/// multiplies pairs of such numbers (AVX512-BF16) and not whole tiles (AMX, which libtorch uses), a gradient of the weights
/// is recorded, the map is channels-last with something in it, the kernel 3x3 with a padding of 1 and a stride of 1 or 2,
/// and both numbers of channels are multiples of 16.
pub fn can_conv(x: &Tensor, convolution: Convolution<'_>) -> bool {
    let Convolution { weight, stride, padding, .. } = convolution;
    // SAFETY: the pointers are those of live tensors, of which only what they are gets read.
    unsafe { mp_can_conv(x.as_ptr(), weight.as_ptr(), stride, padding) }
}

/// `W * X + b`, as libtorch's `conv2d` gives it, with another way to the weights' gradient: summed in float32, given in the
/// weights' own format, the same for any number of threads. `x` is `[B, in, H, W]`; the result is `[B, out, H', W']`
/// in bfloat16, with `H' = (H - 1) / stride + 1`. Gradients of gradients are libtorch's.
///
/// # Errors
/// A convolution that [`can_conv`] refuses.
pub fn conv(x: &Tensor, convolution: Convolution<'_>) -> Result<Tensor, TorchError> {
    let Convolution { weight, bias, stride, padding } = convolution;
    let mut y = std::ptr::null_mut();
    // SAFETY: the pointers are those of live tensors, null where there is none; the C++ side catches every exception, and
    // its message lives until the next call.
    unsafe {
        outcome(
            "convolve the map",
            mp_conv(x.as_ptr(), weight.as_ptr(), bias.map_or(null(), Tensor::as_ptr), stride, padding, &mut y),
        )?;
        // Without an error it is a new tensor that nobody else owns.
        Ok(Tensor::from_ptr(y))
    }
}
