//! Mixing of paths in one pass over memory.

use std::ffi::{c_char, c_int};

use tch::Tensor;
use torch_sys::C_tensor;

use crate::TorchError;
use crate::boundary::outcome;
use crate::kernels::take;

/// The most sources and targets that [`mix`] takes.
pub const MAX_PATHS: usize = 8;

const ACTION: &str = "mix the paths";

unsafe extern "C" {
    fn mp_mix(
        xs: *const *const C_tensor,
        sources: c_int,
        weights: *const C_tensor,
        targets: c_int,
        ys: *mut *mut C_tensor,
    ) -> *const c_char;
}

/// Whether [`mix`] takes these tensors: on the CPU, float32, float64 or bfloat16, or on a GPU, float32, bfloat16 or float16; all of
/// one shape, type and device, and no more than [`MAX_PATHS`] sources and targets.
pub fn can_mix(xs: &[Tensor], targets: usize) -> bool {
    let Some(first) = xs.first() else { return false };
    let size = first.size();
    (1..=MAX_PATHS).contains(&xs.len())
        && (1..=MAX_PATHS).contains(&targets)
        && !size.is_empty()
        && xs.iter().all(|x| x.device() == first.device() && x.kind() == first.kind() && x.size() == size)
        && take(first)
}

/// `Y_j = sum_i g_ij X_i`, differentiable, as one pass over memory forward and one backward, which gives the gradients of
/// the sources and of the weights.
///
/// S sources `[B, ...]` of one shape and type and weights `[B, S, T]` to T targets of the sources' shape, type and layout
/// (channels-last where the first source is). Weights are read and sums are made in float32, for float64 sources in
/// float64. Gradients of gradients are supported and composed of plain operations.
///
/// # Errors
/// Tensors that [`can_mix`] refuses, or weights of another shape.
pub fn mix(xs: &[Tensor], weights: &Tensor) -> Result<Vec<Tensor>, TorchError> {
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
            mp_mix(sources.as_ptr(), xs.len() as c_int, weights.as_ptr(), targets as c_int, outputs.as_mut_ptr()),
        )?;
    }
    // SAFETY: without an error every output up to `targets` is a new tensor that nobody else owns.
    Ok(outputs[..targets].iter().map(|output| unsafe { Tensor::from_ptr(*output) }).collect())
}
