//! Our own CUDA kernels: whether there are any, and which tensors the fused operations take.

use std::collections::BTreeMap;
#[cfg(mp_cuda)]
use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tch::{Device, Kind, Tensor};

use crate::TorchError;
#[cfg(mp_cuda)]
use crate::boundary::outcome;

#[cfg(mp_cuda)]
unsafe extern "C" {
    fn mp_kernels_prepare(device: c_int) -> *const c_char;
}

static ON: AtomicBool = AtomicBool::new(true);

/// What came of preparing each device: what went wrong, or nothing.
static PREPARED: Mutex<BTreeMap<usize, Option<String>>> = Mutex::new(BTreeMap::new());

/// Whether the fused operations take tensors on GPUs, for the whole process; they do unless told otherwise. Without them the crates
/// above compute the same with libtorch's operations.
pub fn set_cuda_kernels(on: bool) {
    ON.store(on, Ordering::Relaxed);
}

static GATES: AtomicBool = AtomicBool::new(false);

/// Whether [`route`](crate::route) and [`gate`](crate::gate) take tensors on GPUs too, for the whole process; they do not unless told
/// to: their kernels agree with the CPU's in an emulation, but no GPU has run them yet.
pub fn set_cuda_gates(on: bool) {
    GATES.store(on, Ordering::Relaxed);
}

/// Whether gates have kernels on GPUs.
#[cfg(mp_cuda)]
pub(crate) fn has_gates() -> bool {
    GATES.load(Ordering::Relaxed)
}

/// Makes our own kernels ready on the GPU `index`, on the first call: what is needed to compile them is found, and one is compiled to
/// see whether that works. Every operation does so by itself; before a [`Graph`](crate::cuda::Graph) is recorded it must have been.
///
/// # Errors
/// A libtorch without CUDA; no NVRTC, or one that does not know the GPU. The operations then take no tensor on it.
pub fn prepare_cuda_kernels(index: usize) -> Result<(), TorchError> {
    let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
    match prepared.entry(index).or_insert_with(|| prepare(index).err()) {
        None => Ok(()),
        Some(reason) => Err(TorchError::new(ACTION, reason.as_str())),
    }
}

const ACTION: &str = "compile kernels for the GPU";

#[cfg(mp_cuda)]
fn prepare(index: usize) -> Result<(), String> {
    // SAFETY: takes a number; the C++ side catches every exception.
    unsafe { outcome(ACTION, mp_kernels_prepare(index as c_int)) }.map_err(|error| error.reason().to_owned())
}

#[cfg(not(mp_cuda))]
fn prepare(_index: usize) -> Result<(), String> {
    Err("this was built against a libtorch without CUDA".to_owned())
}

/// Whether the fused operations take tensors of this one's device and type: on the CPU float32, float64 and bfloat16; on a GPU, with
/// kernels of our own, float32, bfloat16 and float16.
pub(crate) fn take(tensor: &Tensor) -> bool {
    match tensor.device() {
        Device::Cpu => matches!(tensor.kind(), Kind::Float | Kind::Double | Kind::BFloat16),
        Device::Cuda(index) => {
            matches!(tensor.kind(), Kind::Float | Kind::BFloat16 | Kind::Half)
                && ON.load(Ordering::Relaxed)
                && prepare_cuda_kernels(index).is_ok()
        }
        _ => false,
    }
}

#[cfg(all(test, not(mp_cuda)))]
mod tests {
    use super::*;

    #[test]
    fn without_cuda_there_are_none() {
        for _ in 0..2 {
            let text = prepare_cuda_kernels(0).unwrap_err().to_string();
            assert_eq!(text, "cannot compile kernels for the GPU: this was built against a libtorch without CUDA");
        }
    }
}
