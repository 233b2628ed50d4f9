//! Batch normalisation with what follows it, in few passes over memory.

use std::ffi::c_char;
use std::ptr::null;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::TorchError;
use crate::boundary::outcome;
use crate::kernels::take;

const ACTION: &str = "normalise the map";

unsafe extern "C" {
    #[allow(clippy::too_many_arguments, reason = "a C function")]
    fn mp_batch_norm(
        x: *const C_tensor,
        weight: *const C_tensor,
        bias: *const C_tensor,
        running_mean: *const C_tensor,
        running_var: *const C_tensor,
        residual: *const C_tensor,
        training: bool,
        relu: bool,
        momentum: f64,
        eps: f64,
        y: *mut *mut C_tensor,
    ) -> *const c_char;
}

/// The per-channel values of a batch-norm, `[C]` each and of the accumulation type: float32, for float64 maps float64.
#[derive(Clone, Copy, Debug)]
pub struct NormState<'a> {
    /// The scale.
    pub weight: &'a Tensor,
    /// The offset.
    pub bias: &'a Tensor,
    /// The mean that evaluation uses; training moves it.
    pub running_mean: &'a Tensor,
    /// The variance that evaluation uses; training moves it.
    pub running_var: &'a Tensor,
    /// Share of the batch's statistics in the running ones.
    pub momentum: f64,
    /// Added to the variance before the root.
    pub eps: f64,
}

/// Whether [`batch_norm`] takes this map: `[B, C, H, W]` in channels-last layout with something in it; on the CPU float32, float64
/// or bfloat16, on a GPU float32, bfloat16 or float16.
pub fn can_norm(x: &Tensor) -> bool {
    x.dim() == 4 && x.numel() > 0 && is_channels_last(x) && take(x)
}

/// Whether the numbers of each pixel lie side by side.
fn is_channels_last(x: &Tensor) -> bool {
    let (size, stride) = (x.size(), x.stride());
    let (channels, height, width) = (size[1], size[2], size[3]);
    let expected = [height * width * channels, 1, width * channels, channels];
    (0..4).all(|axis| size[axis] == 1 || stride[axis] == expected[axis])
}

/// `y = relu((x - mean) / sqrt(var + eps) · weight + bias + residual)`, with or without residual and ReLU, differentiable.
///
/// Training takes the statistics of the batch and moves the running ones; evaluation takes the running ones. Two passes
/// over memory forward and two backward, whatever follows the norm. Sums are made in float32 at least and do not depend on
/// the number of threads. `x` and `residual` are `[B, C, H, W]`; `y` is of their shape and type, channels-last. Gradients
/// of gradients are supported and composed of plain operations.
///
/// # Errors
/// A map that [`can_norm`] refuses, a residual of another shape, or values that are not `[C]`.
pub fn batch_norm(
    x: &Tensor,
    state: NormState<'_>,
    residual: Option<&Tensor>,
    relu: bool,
    training: bool,
) -> Result<Tensor, TorchError> {
    if !can_norm(x) {
        return Err(TorchError::new(
            ACTION,
            format!(
                "expected a map [B, C, H, W] of a float type, channels-last, found {:?} of {:?}",
                x.kind(),
                x.size()
            ),
        ));
    }
    let NormState { weight, bias, running_mean, running_var, momentum, eps } = state;
    let mut y = std::ptr::null_mut();
    // SAFETY: the pointers are those of live tensors, the residual's null if there is none; the C++ side catches every
    // exception, and its message lives until the next call.
    unsafe {
        outcome(
            ACTION,
            mp_batch_norm(
                x.as_ptr(),
                weight.as_ptr(),
                bias.as_ptr(),
                running_mean.as_ptr(),
                running_var.as_ptr(),
                residual.map_or(null(), Tensor::as_ptr),
                training,
                relu,
                momentum,
                eps,
                &mut y,
            ),
        )?;
        // Without an error it is a new tensor that nobody else owns.
        Ok(Tensor::from_ptr(y))
    }
}
