//! Convolution, norm and what follows as one operation, for inference.

use std::ffi::c_char;
use std::ptr::null;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::boundary::outcome;
use crate::{Convolution, NormState, TorchError};

unsafe extern "C" {
    fn mp_can_conv_norm(x: *const C_tensor) -> bool;
    #[allow(clippy::too_many_arguments, reason = "a C function")]
    fn mp_conv_norm(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        stride: i64,
        padding: i64,
        scale: *const C_tensor,
        offset: *const C_tensor,
        mean: *const C_tensor,
        variance: *const C_tensor,
        eps: f64,
        residual: *const C_tensor,
        relu: bool,
        y: *mut *mut C_tensor,
    ) -> *const c_char;
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
/// rounding, which in bfloat16 happens once where it happened twice. `x` is `[B, in, H, W]`, `residual` of the result's
/// shape.
///
/// # Errors
/// A map that [`can_conv_norm`] refuses, or tensors that do not fit together.
pub fn conv_norm(
    x: &Tensor,
    convolution: Convolution<'_>,
    norm: NormState<'_>,
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor, TorchError> {
    let Convolution { weight, bias, stride, padding } = convolution;
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
                stride,
                padding,
                norm.weight.as_ptr(),
                norm.bias.as_ptr(),
                norm.running_mean.as_ptr(),
                norm.running_var.as_ptr(),
                norm.eps,
                residual.map_or(null(), Tensor::as_ptr),
                relu,
                &mut y,
            ),
        )?;
        // Without an error it is a new tensor that nobody else owns.
        Ok(Tensor::from_ptr(y))
    }
}
