//! Convolution, norm and what follows as one operation, for inference.

use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::ptr::{NonNull, null};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::boundary::outcome;
use crate::{NormState, TorchError};

unsafe extern "C" {
    fn mp_can_conv_norm(x: *const C_tensor) -> bool;
    #[allow(clippy::too_many_arguments, reason = "a C function")]
    fn mp_conv_norm(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        stride: *const i64,
        padding: *const i64,
        scale: *const C_tensor,
        offset: *const C_tensor,
        mean: *const C_tensor,
        variance: *const C_tensor,
        eps: f64,
        residual: *const C_tensor,
        relu: bool,
        kept: *mut c_void,
        y: *mut *mut C_tensor,
    ) -> *const c_char;
    fn mp_folded_new() -> *mut c_void;
    fn mp_folded_free(kept: *mut c_void);
    fn mp_folded_clear(kept: *mut c_void);
}

/// A convolution that a norm follows; its kernel may be of any shape, and its channels in groups.
#[derive(Clone, Copy, Debug)]
pub struct NormedConvolution<'a> {
    /// `[out, in / groups, kernel height, kernel width]`.
    pub weight: &'a Tensor,
    /// `[out]`.
    pub bias: Option<&'a Tensor>,
    /// Step of the kernel in height and width.
    pub stride: [i64; 2],
    /// Zeros added on each side of height and width.
    pub padding: [i64; 2],
}

/// Weights of a convolution with its norm in them, kept from one call of [`conv_norm`] to the next.
///
/// They are made anew when any tensor that they come from has changed, and for maps of another size. They take as much memory
/// as the weights themselves.
#[derive(Debug)]
pub struct Folded {
    kept: NonNull<c_void>,
    filled: Cell<bool>,
}

// SAFETY: the tensors behind the pointer belong to it alone and may move between threads, as every tensor may. It is not
// `Sync`, so that no two threads fill it at a time.
unsafe impl Send for Folded {}

impl Folded {
    /// Nothing yet.
    pub fn new() -> Self {
        // SAFETY: takes nothing, and gives what `drop` frees.
        let kept = NonNull::new(unsafe { mp_folded_new() }).expect("memory for three pointers");
        Folded { kept, filled: Cell::new(false) }
    }

    /// Gives the memory back.
    pub fn clear(&self) {
        if self.filled.replace(false) {
            // SAFETY: the pointer is live until `drop`, and nobody else uses it meanwhile.
            unsafe { mp_folded_clear(self.kept.as_ptr()) }
        }
    }
}

impl Default for Folded {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folded {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and freed once.
        unsafe { mp_folded_free(self.kept.as_ptr()) }
    }
}

/// Whether [`conv_norm`] takes this map here and now: no gradients are recorded, and it is a map `[B, C, H, W]` on the CPU,
/// channels-last and with something in it, whose convolution runs in float32, or in bfloat16 (autocast's word counts) on a machine with
/// AVX-512.
pub fn can_conv_norm(x: &Tensor) -> bool {
    // SAFETY: the pointer is that of a live tensor, of which only what it is gets read.
    unsafe { mp_can_conv_norm(x.as_ptr()) }
}

/// `relu(norm(W * X) + residual)` by the norm's running statistics, with or without residual and ReLU, without a gradient.
///
/// The norm is folded into the convolution, and addition and ReLU happen before the result is written: no pass over memory
/// beyond the convolution's own. The same as the convolution followed by [`batch_norm`](crate::batch_norm) up to
/// rounding, which in bfloat16 happens once where it happened twice. `kept` belongs to this convolution and norm. `x` is `[B, in, H, W]`, `residual` of the result's
/// shape.
///
/// # Errors
/// A map that [`can_conv_norm`] refuses, or tensors that do not fit together.
pub fn conv_norm(
    x: &Tensor,
    convolution: NormedConvolution<'_>,
    norm: NormState<'_>,
    residual: Option<&Tensor>,
    relu: bool,
    kept: &Folded,
) -> Result<Tensor, TorchError> {
    kept.filled.set(true);
    let NormedConvolution { weight, bias, stride, padding } = convolution;
    let mut y = std::ptr::null_mut();
    // SAFETY: the pointers are those of live tensors, null where there is none; the C++ side catches every exception, and
    // its message lives until the next call.
    unsafe {
        outcome(
            "convolve and normalise the map",
            mp_conv_norm(
                x.as_ptr(),
                weight.as_ptr(),
                bias.map_or(null(), Tensor::as_ptr),
                stride.as_ptr(),
                padding.as_ptr(),
                norm.weight.as_ptr(),
                norm.bias.as_ptr(),
                norm.running_mean.as_ptr(),
                norm.running_var.as_ptr(),
                norm.eps,
                residual.map_or(null(), Tensor::as_ptr),
                relu,
                kept.kept.as_ptr(),
                &mut y,
            ),
        )?;
        // Without an error it is a new tensor that nobody else owns.
        Ok(Tensor::from_ptr(y))
    }
}
