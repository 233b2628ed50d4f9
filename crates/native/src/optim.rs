//! Steps of optimisers over all parameters in one pass over memory.

use std::ffi::{c_char, c_void};
use std::fmt;
use std::ptr::NonNull;

use tch::Tensor;
use torch_sys::C_tensor;

use crate::boundary::outcome;

const STEP: &str = "take a step";

unsafe extern "C" {
    fn mp_parameters_new() -> *mut c_void;
    fn mp_parameters_free(list: *mut c_void);
    fn mp_parameters_push(
        list: *mut c_void,
        tensor: *const C_tensor,
        decays: bool,
        memory: *const *const C_tensor,
        memories: usize,
    ) -> *const c_char;
    fn mp_sgd(
        list: *mut c_void,
        rate: f64,
        momentum: f64,
        decay: f64,
        nesterov: bool,
        left: *mut bool,
    ) -> *const c_char;
    fn mp_adamw(
        list: *mut c_void,
        rate: f64,
        beta1: f64,
        beta2: f64,
        eps: f64,
        decay: f64,
        step: i64,
        left: *mut bool,
    ) -> *const c_char;
    fn mp_clip(list: *mut c_void, max_norm: f64, norm: *mut f64, left: *mut bool) -> *const c_char;
    fn mp_clip_left(list: *mut c_void, max_norm: f64, norm: *mut *mut C_tensor) -> *const c_char;
    fn mp_unscale(list: *mut c_void, factor: *const C_tensor, finite: *mut bool) -> *const c_char;
    fn mp_keep_gradients(list: *mut c_void) -> *const c_char;
    fn mp_restore_gradients(list: *mut c_void) -> *const c_char;
    fn mp_parameters_leave_all(list: *mut c_void);
    fn mp_drop_gradients(list: *mut c_void) -> *const c_char;
}

/// A step of stochastic gradient descent: `g += decay · p`, `v = momentum · v + g`, `p -= rate · d`, where `d` is `v`, or
/// `g + momentum · v` for Nesterov.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdRule {
    /// Learning rate.
    pub rate: f64,
    /// Share of the velocity `v` that the step keeps.
    pub momentum: f64,
    /// Share of a parameter that is added to its gradient, of those that decay.
    pub decay: f64,
    /// Whether the step looks ahead along the velocity.
    pub nesterov: bool,
}

/// A step of AdamW: `p -= rate · decay · p`, `m += (1 - β1) (g - m)`, `s = β2 s + (1 - β2) g²` and
/// `p -= rate · m̂ / (√ŝ + eps)` with `m̂ = m / (1 - β1^t)`, `ŝ = s / (1 - β2^t)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWRule {
    /// Learning rate.
    pub rate: f64,
    /// `β1` and `β2`.
    pub betas: [f64; 2],
    /// Added to the root of the mean square.
    pub eps: f64,
    /// Share of a parameter that is taken off per unit of learning rate, of those that decay.
    pub decay: f64,
    /// `t`, counted from 1.
    pub step: i64,
}

/// Parameters that are moved together, each with what its optimiser remembers about it.
///
/// A pass takes the parameters that are float32 or float64 on the CPU, without gaps in memory, if their gradient and memory
/// have the same layout; one without a gradient is skipped. What lies on a GPU is moved by libtorch's operations over lists of
/// tensors. All others are reported to the caller, who moves them by other means.
///
/// A pass allocates nothing that grows with the parameters, from the second one on. Every operation rounds as IEEE 754 says, without fused multiply-adds, and sums
/// are taken in one order: the bits are the same on every CPU and for any number of threads.
pub struct ParameterList {
    list: NonNull<c_void>,
    left: Vec<bool>,
}

// SAFETY: the list owns references to tensors, which may be used from any thread, though not from two at once: there is no
// `Sync`, as for `Tensor` itself.
unsafe impl Send for ParameterList {}

impl ParameterList {
    /// An empty list.
    pub fn new() -> Self {
        // SAFETY: takes nothing; the result is owned here and freed once, by `drop`.
        let list = unsafe { mp_parameters_new() };
        Self { list: NonNull::new(list).expect("`new` gives no null pointer"), left: Vec::new() }
    }

    /// Appends a parameter, shared with the caller; `decays` says whether weight decay falls on it, and `memory` is what the
    /// optimiser remembers: nothing or the velocity for SGD, the mean and the mean square for AdamW.
    ///
    /// # Panics
    /// With more than two tensors of memory.
    pub fn push(&mut self, tensor: &Tensor, decays: bool, memory: &[&Tensor]) {
        let memory: Vec<*const C_tensor> = memory.iter().map(|tensor| tensor.as_ptr()).collect();
        // SAFETY: the pointers are those of live tensors, as many as said; the C++ side takes references of its own.
        unsafe {
            expect(
                "list a parameter",
                mp_parameters_push(self.list.as_ptr(), tensor.as_ptr(), decays, memory.as_ptr(), memory.len()),
            );
        }
        self.left.push(false);
    }

    /// Takes a step of SGD, without momentum for parameters that remember nothing. Returns, for each parameter, whether it
    /// has a gradient and was left to the caller.
    pub fn sgd(&mut self, rule: &SgdRule) -> &[bool] {
        let SgdRule { rate, momentum, decay, nesterov } = *rule;
        // SAFETY: the list is alive, and `left` has a flag for each of its parameters, as in the calls below.
        unsafe {
            expect(STEP, mp_sgd(self.list.as_ptr(), rate, momentum, decay, nesterov, self.left.as_mut_ptr()));
        }
        &self.left
    }

    /// Takes a step of AdamW; see [`ParameterList::sgd`] for what it returns.
    pub fn adamw(&mut self, rule: &AdamWRule) -> &[bool] {
        let AdamWRule { rate, betas: [beta1, beta2], eps, decay, step } = *rule;
        // SAFETY: as above.
        unsafe {
            expect(STEP, mp_adamw(self.list.as_ptr(), rate, beta1, beta2, eps, decay, step, self.left.as_mut_ptr()))
        };
        &self.left
    }

    /// Scales all gradients by `min(1, max_norm / (norm + 1e-6))`, where `norm` is their joint Euclidean norm, and returns it.
    /// `None`, with nothing changed, where some gradient is left to the caller.
    pub fn clip(&mut self, max_norm: f64) -> Option<f64> {
        let mut norm = 0.0;
        // SAFETY: as above; `norm` is written before the call returns.
        unsafe {
            expect("clip the gradients", mp_clip(self.list.as_ptr(), max_norm, &mut norm, self.left.as_mut_ptr()));
        }
        // A norm that is no number is not negative.
        (norm.is_nan() || norm >= 0.0).then_some(norm)
    }

    /// The same for gradients of which some would be left; the norm is a scalar where they are, for which nothing waits.
    ///
    /// # Panics
    /// On gradients that lie on several devices.
    pub fn clip_left(&mut self, max_norm: f64) -> Option<Tensor> {
        let mut norm = std::ptr::null_mut();
        // SAFETY: as above; `norm` is written before the call returns.
        unsafe { expect("clip the gradients", mp_clip_left(self.list.as_ptr(), max_norm, &raw mut norm)) };
        // SAFETY: a tensor that the call made, and that nobody else owns.
        (!norm.is_null()).then(|| unsafe { Tensor::from_ptr(norm) })
    }

    /// Multiplies all gradients by `factor`, a float32 scalar where they are, and says whether every one of their numbers was
    /// finite: waits for the device.
    ///
    /// # Panics
    /// On gradients that lie on several devices.
    pub fn unscale(&mut self, factor: &Tensor) -> bool {
        let mut finite = false;
        // SAFETY: as above; `finite` is written before the call returns.
        unsafe { expect("unscale the gradients", mp_unscale(self.list.as_ptr(), factor.as_ptr(), &mut finite)) };
        finite
    }

    /// Holds on to the gradients that are there, for [`ParameterList::restore_gradients`].
    pub fn keep_gradients(&mut self) {
        // SAFETY: the list is alive.
        unsafe { expect("keep the gradients", mp_keep_gradients(self.list.as_ptr())) };
    }

    /// Gives every parameter the gradient that was kept last, in the same memory, also after it was dropped.
    pub fn restore_gradients(&mut self) {
        // SAFETY: the list is alive.
        unsafe { expect("restore the gradients", mp_restore_gradients(self.list.as_ptr())) };
    }

    /// Lets libtorch's own operations make every step, as they do on a GPU: so that they can be tested without one.
    #[doc(hidden)]
    pub fn leave_all(&mut self) {
        // SAFETY: the list is alive.
        unsafe { mp_parameters_leave_all(self.list.as_ptr()) };
    }

    /// Drops the gradients of all parameters, on whatever device: they are undefined until the next backward pass, which then
    /// hands its own over where it would add them to zeros.
    pub fn drop_gradients(&mut self) {
        // SAFETY: the list is alive; a gradient that someone else holds is only released.
        unsafe { expect("drop the gradients", mp_drop_gradients(self.list.as_ptr())) };
    }
}

impl Default for ParameterList {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ParameterList {
    fn drop(&mut self) {
        // SAFETY: made by `mp_parameters_new` and freed only here.
        unsafe { mp_parameters_free(self.list.as_ptr()) }
    }
}

impl fmt::Debug for ParameterList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParameterList").field("len", &self.left.len()).finish_non_exhaustive()
    }
}

/// # Panics
/// With what went wrong on the C++ side, if anything did.
///
/// # Safety
/// As for [`outcome`].
unsafe fn expect(action: &'static str, error: *const c_char) {
    // SAFETY: as the caller promises.
    if let Err(error) = unsafe { outcome(action, error) } {
        panic!("{error}");
    }
}
