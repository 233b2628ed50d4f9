//! Autocast: products in a narrow number format, parameters in float32.

use std::marker::PhantomData;

use tch::{Device, Kind};

unsafe extern "C" {
    fn mp_autocast_enter(cuda: bool, on: bool, kind: i8, kind_before: *mut i8) -> bool;
    fn mp_autocast_exit(cuda: bool, before: bool, kind_before: i8);
}

/// While it lives, convolutions and matrix products of this thread run in a narrow number format; parameters stay float32,
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
    cuda: bool,
    before: bool,
    kind_before: i8,
    // The state is the thread's own, so the guard must end on the thread where it began.
    not_send: PhantomData<*const ()>,
}

impl Autocast {
    /// Turns autocast to `kind`, bfloat16 or float16, on for this thread and this kind of device until the guard is dropped;
    /// guards may be nested.
    pub fn to(kind: Kind, device: Device) -> Self {
        Self::enter(device, Some(kind))
    }

    /// To bfloat16 on the CPU.
    pub fn bf16_cpu() -> Self {
        Self::to(Kind::BFloat16, Device::Cpu)
    }

    /// Turns autocast off until the guard is dropped, for what needs its own number format inside a pass that has it on.
    pub fn off(device: Device) -> Self {
        Self::enter(device, None)
    }

    fn enter(device: Device, kind: Option<Kind>) -> Self {
        let cuda = device.is_cuda();
        let mut kind_before = 0;
        // libtorch's own numbers of types; tch does not give them away.
        let number = match kind {
            Some(Kind::BFloat16) => 15,
            Some(Kind::Half) => 5,
            _ => 6,
        };
        // SAFETY: sets thread-local state of libtorch; the pointer is to a number that is alive.
        let before = unsafe { mp_autocast_enter(cuda, kind.is_some(), number, &raw mut kind_before) };
        Autocast { cuda, before, kind_before, not_send: PhantomData }
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: as above; the values are what the matching enter returned.
        unsafe { mp_autocast_exit(self.cuda, self.before, self.kind_before) }
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
    fn it_can_be_off_inside_a_pass_that_has_it_on() {
        let x = Tensor::ones([2, 2], (Kind::Float, Device::Cpu));
        let _outer = Autocast::to(Kind::Half, Device::Cpu);
        assert_eq!(x.matmul(&x).kind(), Kind::Half);
        {
            let _inner = Autocast::off(Device::Cpu);
            assert_eq!(x.matmul(&x).kind(), Kind::Float);
            let _bf16 = Autocast::bf16_cpu();
            assert_eq!(x.matmul(&x).kind(), Kind::BFloat16);
        }
        assert_eq!(x.matmul(&x).kind(), Kind::Half);
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
