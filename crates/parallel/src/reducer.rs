//! Gradients averaged over processes while the backward pass goes on: c10d's `Reducer`.

use std::ffi::{c_char, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::boundary::outcome;
use crate::{Error, Group};

unsafe extern "C" {
    fn mp_reducer_new(
        group: *mut c_void,
        parameters: *const *const C_tensor,
        count: usize,
        first_bytes: i64,
        bytes: i64,
        out: *mut *mut c_void,
    ) -> *const c_char;
    fn mp_reducer_prepare(reducer: *mut c_void, loss: *const C_tensor) -> *const c_char;
    fn mp_backward(loss: *const C_tensor) -> *const c_char;
    fn mp_reducer_free(reducer: *mut c_void);
}

/// Bytes of the first bucket of gradients: small, so that sums begin early in the backward pass. PyTorch's.
const FIRST_BUCKET: i64 = 1 << 20;
/// Bytes of the other buckets. PyTorch's.
const BUCKET: i64 = 25 << 20;

/// Averages the gradients of parameters over all processes, in buckets, each as soon as all of its gradients are there (Li et
/// al., PyTorch Distributed, arXiv 2006.15704).
///
/// Parameters that the loss does not reach are found in its graph. One that no process's loss reaches keeps the gradient that
/// it has, or none; one that some reach has the average on all processes.
#[derive(Debug)]
pub struct Reducer {
    reducer: NonNull<c_void>,
    // Its sums go through it.
    group: Arc<Group>,
}

// SAFETY: as for the tensors that it refers to: any thread, one at a time.
unsafe impl Send for Reducer {}

impl Reducer {
    /// Of these parameters, in the order of the forward pass; the same on all processes.
    ///
    /// # Errors
    /// Parameters that want no gradient, and whatever else c10d refuses.
    pub fn new(group: Arc<Group>, parameters: &[Tensor]) -> Result<Self, Error> {
        let pointers: Vec<*const C_tensor> = parameters.iter().map(Tensor::as_ptr).collect();
        let mut reducer = std::ptr::null_mut();
        group.note_begun();
        // SAFETY: the tensors are live; the C++ side takes references of its own, and writes the result on success.
        unsafe {
            outcome(
                "average gradients over processes",
                mp_reducer_new(
                    group.as_ptr(),
                    pointers.as_ptr(),
                    pointers.len(),
                    FIRST_BUCKET,
                    BUCKET,
                    &raw mut reducer,
                ),
            )?;
        }
        let reducer = NonNull::new(reducer).ok_or(Error::Torch {
            action: "average gradients over processes",
            reason: "nothing came back".to_owned(),
        })?;
        Ok(Self { reducer, group })
    }

    /// Lets the next backward pass, from `loss`, leave the average over all processes of the gradients that are there at its
    /// end. Passes that are not prepared add to the gradients of this process alone.
    ///
    /// # Errors
    /// A pass that was prepared and did not come to its end.
    pub fn prepare(&self, loss: &Tensor) -> Result<(), Error> {
        self.group.note_begun();
        // SAFETY: both are live.
        unsafe { outcome("average gradients", mp_reducer_prepare(self.reducer.as_ptr(), loss.as_ptr())) }
    }
}

/// The backward pass from `loss`, in which a sum over processes may fail.
///
/// # Errors
/// What a sum says.
pub fn backward(loss: &Tensor) -> Result<(), Error> {
    // SAFETY: the tensor is live.
    unsafe { outcome("average gradients", mp_backward(loss.as_ptr())) }
}

impl Drop for Reducer {
    fn drop(&mut self) {
        // SAFETY: made by `mp_reducer_new` and freed once.
        unsafe { mp_reducer_free(self.reducer.as_ptr()) }
    }
}
