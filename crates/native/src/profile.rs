//! Where the time of a computation goes, by kind of op.

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::time::Duration;

type Visit = extern "C" fn(context: *mut c_void, name: *const c_char, calls: i64, nanoseconds: i64);

unsafe extern "C" {
    fn mp_profile_start() -> bool;
    fn mp_profile_stop(visit: Visit, context: *mut c_void);
}

/// All calls of one kind of op while a [`Profiler`] was recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpTime {
    /// As libtorch names it: `aten::mkldnn_convolution`; a step of the backward pass has the name of its node, such as
    /// `MixBackward`, and what it calls is listed separately.
    pub name: String,
    /// How often it was called.
    pub calls: u64,
    /// Time spent in it, without the ops that it called.
    pub own: Duration,
}

/// Records the ops of this thread, forward and, on the CPU, backward, from its start until it is stopped or dropped.
///
/// Ops that libtorch spreads over threads count with the time that the calling thread waited for them. Recording costs
/// about half a microsecond an op.
///
/// ```
/// use tch::{Device, Kind, Tensor};
/// let a = Tensor::ones([64, 64], (Kind::Float, Device::Cpu));
/// let profiler = mp_native::Profiler::start().expect("nothing else records on this thread");
/// let _ = a.matmul(&a);
/// let ops = profiler.stop();
/// assert!(ops.iter().any(|op| op.name == "aten::mm" && op.calls == 1));
/// ```
#[derive(Debug)]
#[must_use = "recording ends when the profiler is dropped: bind it to a name"]
pub struct Profiler {
    // What is recorded lives on the thread where it began.
    not_send: PhantomData<*const ()>,
}

impl Profiler {
    /// Starts recording; `None` where another profiler records on this thread.
    pub fn start() -> Option<Self> {
        // SAFETY: touches thread-local state only; no pointers are involved.
        unsafe { mp_profile_start() }.then(|| Profiler { not_send: PhantomData })
    }

    /// Stops recording; gives the kinds of op, those that took most time first.
    pub fn stop(self) -> Vec<OpTime> {
        let mut ops = finish();
        std::mem::forget(self);
        ops.sort_by(|a, b| b.own.cmp(&a.own).then_with(|| a.name.cmp(&b.name)));
        ops
    }
}

impl Drop for Profiler {
    fn drop(&mut self) {
        drop(finish());
    }
}

/// Ends the recording of this thread, which must have one.
fn finish() -> Vec<OpTime> {
    extern "C" fn push(context: *mut c_void, name: *const c_char, calls: i64, nanoseconds: i64) {
        // SAFETY: `context` is the vector below, to which nothing else refers meanwhile, and `name` is a C string that
        // lives for the length of this call.
        let (ops, name) = unsafe { (&mut *context.cast::<Vec<OpTime>>(), CStr::from_ptr(name)) };
        ops.push(OpTime {
            name: name.to_string_lossy().into_owned(),
            calls: calls.unsigned_abs(),
            own: Duration::from_nanos(nanoseconds.max(0).unsigned_abs()),
        });
    }
    let mut ops: Vec<OpTime> = Vec::new();
    // SAFETY: a `Profiler` exists, so this thread records; Rust runs between ops, so none is running; `push` is given
    // the vector that it expects and outlives the call.
    unsafe { mp_profile_stop(push, (&raw mut ops).cast()) };
    ops
}

#[cfg(test)]
mod tests {
    use super::{OpTime, Profiler};
    use tch::{Device, Kind, Tensor};

    fn calls(ops: &[OpTime], name: &str) -> u64 {
        ops.iter().find(|op| op.name == name).map_or(0, |op| op.calls)
    }

    #[test]
    fn ops_of_both_passes_are_counted() {
        let x = Tensor::ones([8, 8], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let profiler = Profiler::start().unwrap();
        (&x * &x).sum(Kind::Float).backward();
        let ops = profiler.stop();
        assert_eq!(calls(&ops, "MulBackward0"), 1);
        // One product forward; backward, one for each of the two factors.
        assert_eq!(calls(&ops, "aten::mul"), 3);
        assert!(ops.windows(2).all(|pair| pair[0].own >= pair[1].own));
    }

    #[test]
    fn an_op_is_not_charged_with_those_that_it_calls() {
        let x = Tensor::ones([300, 300], (Kind::Float, Device::Cpu));
        let start = std::time::Instant::now();
        let profiler = Profiler::start().unwrap();
        for _ in 0..5 {
            let _ = x.linear(&x, None::<&Tensor>);
        }
        let ops = profiler.stop();
        let elapsed = start.elapsed();
        // `linear` calls `matmul`, which calls `mm`: charged with each other, their sum would exceed what has passed.
        assert_eq!((calls(&ops, "aten::linear"), calls(&ops, "aten::mm")), (5, 5));
        assert!(ops.iter().map(|op| op.own).sum::<std::time::Duration>() <= elapsed);
    }

    #[test]
    fn one_profiler_a_thread_until_it_is_dropped() {
        let first = Profiler::start().unwrap();
        assert!(Profiler::start().is_none());
        std::thread::spawn(|| assert!(Profiler::start().is_some_and(|own| own.stop().is_empty()))).join().unwrap();
        drop(first);
        let second = Profiler::start().unwrap();
        assert_eq!(second.stop(), []);
    }
}
