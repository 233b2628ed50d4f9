//! How long libtorch's threads wait awake for each other.

use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

unsafe extern "C" {
    fn mp_exceed_processors(others: std::ffi::c_int) -> bool;
}

/// For as long as this lives, a thread of libtorch that waits for the others of its team goes to sleep almost at once.
///
/// GNU's OpenMP runtime, which libtorch's threads belong to on Linux, lets a thread that waits spin for some
/// milliseconds, since waking it up takes longer than most waits. Where other processes want the same processors, that
/// ruins both: the spinning thread holds the processor that the one it waits for needs. The runtime reads its settings
/// from the environment when it is loaded, before any code of ours. But it also has a rule: where it manages
/// more threads than there are processors, a thread spins a thousand times less (libgomp's manual, `GOMP_SPINCOUNT`).
/// So this adds some that sleep.
#[derive(Debug)]
pub struct ShortWaits {
    /// Dropping it ends the thread.
    release: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ShortWaits {
    /// From now on. `None` where all stays as it is: libtorch runs on another OpenMP runtime, no thread can be had, or libtorch
    /// uses so few of the processors that it would take dozens.
    ///
    /// `threads` is how many libtorch uses.
    pub fn begin(threads: usize) -> Option<Self> {
        let others = i32::try_from(threads).ok()?;
        let (release, released) = channel::<()>();
        let (answer, answered) = channel();
        let hold = move || {
            // SAFETY: the function takes a number, and runs nothing on the threads that it starts.
            let _ = answer.send(unsafe { mp_exceed_processors(others) });
            // An error, as soon as the sender is dropped: then this thread ends, and its team with it.
            let _ = released.recv();
        };
        let thread = Builder::new().name("short-waits".to_owned()).spawn(hold).ok()?;
        let waits = Self { release: Some(release), thread: Some(thread) };
        answered.recv().is_ok_and(|exceeds| exceeds).then_some(waits)
    }
}

impl Drop for ShortWaits {
    fn drop(&mut self) {
        drop(self.release.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
