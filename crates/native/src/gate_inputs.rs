//! The inputs of wide convolutions, gated in one pass over memory.

use std::ffi::{c_char, c_int};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::boundary::outcome;
use crate::{MAX_PATHS, TorchError, can_mix};

const ACTION: &str = "gate the inputs";

unsafe extern "C" {
    fn mp_gate_inputs(
        xs: *const *const C_tensor,
        sources: c_int,
        weights: *const C_tensor,
        targets: c_int,
        zs: *mut *mut C_tensor,
    ) -> *const c_char;
}

/// `Z_j = concat_i(g_ij X_i)` over the channels, differentiable, as one pass over memory forward and one backward, which gives
/// the gradients of the sources and of the weights.
///
/// S sources `[B, C, ...]` of one shape and type and weights `[B, S, T]` to T tensors `[B, S · C, ...]` of the sources' type and
/// layout (channels-last where the first source is): what the wide convolution of each target of a cross-prediction reads.
/// Products and sums are made in float32, for float64 sources in float64. Gradients of gradients are supported and composed of
/// plain operations.
///
/// # Errors
/// Tensors that [`can_mix`] refuses or that have no channels, or weights of another shape.
pub fn gate_inputs(xs: &[Tensor], weights: &Tensor) -> Result<Vec<Tensor>, TorchError> {
    let targets = weights.size().get(2).map_or(0, |t| *t as usize);
    if !can_mix(xs, targets) {
        return Err(TorchError::new(
            ACTION,
            format!(
                "expected 1 to {MAX_PATHS} sources of one shape, one float type and one device and weights [B, S, T], found {} sources and weights {:?}",
                xs.len(),
                weights.size()
            ),
        ));
    }
    let sources: Vec<*const C_tensor> = xs.iter().map(Tensor::as_ptr).collect();
    let mut outputs = [std::ptr::null_mut(); MAX_PATHS];
    // SAFETY: the pointers are those of live tensors, as many as said; `outputs` has room for every target, since
    // `can_mix` holds; the C++ side catches every exception, and its message lives until the next call.
    unsafe {
        outcome(
            ACTION,
            mp_gate_inputs(
                sources.as_ptr(),
                xs.len() as c_int,
                weights.as_ptr(),
                targets as c_int,
                outputs.as_mut_ptr(),
            ),
        )?;
    }
    // SAFETY: without an error every output up to `targets` is a new tensor that nobody else owns.
    Ok(outputs[..targets].iter().map(|output| unsafe { Tensor::from_ptr(*output) }).collect())
}
