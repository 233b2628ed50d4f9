//! CPU autocast to bfloat16.

use std::marker::PhantomData;

unsafe extern "C" {
    fn mp_autocast_cpu_enter() -> bool;
    fn mp_autocast_cpu_exit(before: bool);
}

/// While it lives, convolutions and matrix products of this thread run in bfloat16 on the CPU; parameters stay float32,
/// and so does what libtorch holds to need the range (softmax of the loss, norms' statistics).
///
/// Bind it to a name around the forward pass and the loss; the backward pass follows the types of the forward one.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// let a = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));
/// let product = {
///     let _bf16 = mp_native::Autocast::bf16_cpu();
///     a.matmul(&a)
/// };
/// assert_eq!(product.kind(), Kind::BFloat16);
/// assert_eq!(a.matmul(&a).kind(), Kind::Float);
/// ```
#[derive(Debug)]
#[must_use = "autocast ends when the guard is dropped: bind it to a name"]
pub struct Autocast {
    before: bool,
    // The state is the thread's own, so the guard must end on the thread where it began.
    not_send: PhantomData<*const ()>,
}

impl Autocast {
    /// Turns autocast to bfloat16 on for this thread until the guard is dropped; guards may be nested.
    pub fn bf16_cpu() -> Self {
        // SAFETY: sets thread-local state of libtorch; no pointers are involved.
        let before = unsafe { mp_autocast_cpu_enter() };
        Autocast { before, not_send: PhantomData }
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: as above; `before` is what the matching enter returned.
        unsafe { mp_autocast_cpu_exit(self.before) }
    }
}

#[cfg(test)]
mod tests {
    use super::Autocast;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn nested_guards_end_with_the_outermost() {
        let x = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        let outer = Autocast::bf16_cpu();
        drop(Autocast::bf16_cpu());
        assert_eq!(x.matmul(&x).kind(), Kind::BFloat16);
        drop(outer);
        assert_eq!(x.matmul(&x).kind(), Kind::Float);
    }

    #[test]
    fn weights_changed_between_guards_are_cast_anew() {
        // The cache holds the bfloat16 copy of a leaf that needs a gradient; a stale copy would give 2 again.
        let x = Tensor::ones([1, 1], (Kind::Float, Device::Cpu));
        let mut w = Tensor::full([1, 1], 2.0, (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let product = |w: &Tensor| {
            let _bf16 = Autocast::bf16_cpu();
            x.matmul(w).double_value(&[0, 0])
        };
        assert_eq!(product(&w), 2.0);
        {
            let _no_grad = tch::no_grad_guard();
            let _ = w.fill_(3.0);
        }
        assert_eq!(product(&w), 3.0);
    }

    #[test]
    fn gradients_of_weights_stay_float32() {
        let x = Tensor::ones([2, 3], (Kind::Float, Device::Cpu));
        let w = Tensor::ones([3, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let loss = {
            let _bf16 = Autocast::bf16_cpu();
            x.matmul(&w).to_kind(Kind::Float).sum(Kind::Float)
        };
        loss.backward();
        assert_eq!(w.grad().kind(), Kind::Float);
        assert_eq!(w.grad().double_value(&[0, 0]), 2.0);
    }
}
