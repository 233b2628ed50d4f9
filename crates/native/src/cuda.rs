//! GPUs: what there is, how they compute, and work that is recorded and started as a whole.
//!
//! Where this crate was built against a libtorch without CUDA, [`is_built`] is false and there is no device: what takes one is
//! refused.

use std::ffi::c_char;
#[cfg(mp_cuda)]
use std::ffi::c_void;
use std::fmt;

use tch::Tensor;
#[cfg(mp_cuda)]
use torch_sys::C_tensor;

use crate::TorchError;
use crate::boundary::outcome;

unsafe extern "C" {
    fn mp_use_tf32(on: bool) -> *const c_char;
    fn mp_use_deterministic(on: bool) -> *const c_char;
}

#[cfg(mp_cuda)]
unsafe extern "C" {
    fn mp_cuda_describe(
        device: i32,
        name: *mut c_char,
        room: usize,
        capability: *mut i32,
        processors: *mut i32,
        free: *mut usize,
        total: *mut usize,
    ) -> *const c_char;
    fn mp_cuda_leave_default_stream(device: i32) -> *const c_char;
    fn mp_cuda_upload(
        numbers: *const c_void,
        sizes: *const i64,
        dimensions: usize,
        kind: i8,
        device: i32,
        result: *mut *mut C_tensor,
    ) -> *const c_char;
    fn mp_graph_begin(graph: *mut *mut c_void) -> *const c_char;
    fn mp_graph_end(graph: *mut c_void) -> *const c_char;
    fn mp_graph_abandon(graph: *mut c_void);
    fn mp_graph_replay(graph: *mut c_void) -> *const c_char;
    fn mp_graph_nodes(graph: *mut c_void, nodes: *mut usize) -> *const c_char;
    fn mp_graph_free(graph: *mut c_void);
}

/// Whether this crate was built against a libtorch with CUDA.
pub const fn is_built() -> bool {
    cfg!(mp_cuda)
}

/// Whether float32 convolutions and matrix products on a GPU round their factors to TensorFloat-32, for the whole process.
/// libtorch's own default is a mixture: convolutions do, products do not.
///
/// # Panics
/// Where libtorch refuses.
pub fn use_tf32(on: bool) {
    // SAFETY: sets a number of libtorch's.
    expect("choose TensorFloat-32", unsafe { mp_use_tf32(on) });
}

/// Whether a GPU gives the same bits in every run, for the whole process. Otherwise the quickest algorithm of each convolution is
/// found by trying, and may be another one the next time.
///
/// # Panics
/// Where libtorch refuses.
pub fn use_deterministic(on: bool) {
    // SAFETY: sets flags of libtorch's.
    expect("choose deterministic algorithms", unsafe { mp_use_deterministic(on) });
}

fn expect(action: &'static str, error: *const c_char) {
    // SAFETY: every function above returns null or a text that lives until the next call.
    if let Err(error) = unsafe { outcome(action, error) } {
        panic!("{error}");
    }
}

/// One GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its name, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// Its compute capability, such as 90 for 9.0.
    pub capability: u32,
    /// Its multiprocessors.
    pub multiprocessors: u32,
    /// Bytes of its memory that nobody uses.
    pub free: u64,
    /// Bytes of its memory.
    pub memory: u64,
}

impl Gpu {
    /// The device `index`, counted from 0.
    ///
    /// # Errors
    /// One that is not there.
    pub fn find(index: usize) -> Result<Self, TorchError> {
        find(index)
    }
}

#[cfg(not(mp_cuda))]
fn find(_index: usize) -> Result<Gpu, TorchError> {
    Err(absent("describe a GPU"))
}

#[cfg(mp_cuda)]
fn find(index: usize) -> Result<Gpu, TorchError> {
    let mut name = [0; 256];
    let (mut capability, mut processors, mut free, mut memory) = (0, 0, 0, 0);
    // SAFETY: every pointer is to a variable that is alive, and the name has the room that is said.
    unsafe {
        outcome(
            "describe a GPU",
            mp_cuda_describe(
                index as i32,
                name.as_mut_ptr(),
                name.len(),
                &raw mut capability,
                &raw mut processors,
                &raw mut free,
                &raw mut memory,
            ),
        )?;
    }
    // SAFETY: the call ends the name with a zero.
    let name = unsafe { std::ffi::CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned();
    Ok(Gpu {
        name,
        capability: capability as u32,
        multiprocessors: processors as u32,
        free: free as u64,
        memory: memory as u64,
    })
}

/// Makes the device `index` this thread's, and lets the thread queue its work on a stream that can be recorded.
///
/// # Errors
/// A device that is not there.
pub fn enter(index: usize) -> Result<(), TorchError> {
    #[cfg(mp_cuda)]
    {
        // SAFETY: takes a number.
        return unsafe { outcome("use a GPU", mp_cuda_leave_default_stream(index as i32)) };
    }
    #[cfg(not(mp_cuda))]
    {
        let _ = index;
        Err(absent("use a GPU"))
    }
}

/// Numbers that can be uploaded.
pub trait Number: Copy {
    /// libtorch's number of the type.
    const KIND: i8;
}

impl Number for f32 {
    const KIND: i8 = 6;
}

impl Number for i64 {
    const KIND: i8 = 4;
}

/// A tensor of shape `sizes` on the GPU `index` with the numbers of `numbers`, in row-major order.
///
/// Nothing waits: the numbers are copied into memory that the device reads by itself, beside the work that it still has to do;
/// what is queued from now on finds them there.
///
/// # Errors
/// No room; a device that is not there.
///
/// # Panics
/// Where the sizes are not those of the numbers.
pub fn upload<N: Number>(numbers: &[N], sizes: &[i64], index: usize) -> Result<Tensor, TorchError> {
    assert_eq!(sizes.iter().product::<i64>(), numbers.len() as i64, "the sizes {sizes:?} are those of the numbers");
    #[cfg(mp_cuda)]
    {
        let mut result = std::ptr::null_mut();
        // SAFETY: as many numbers as the sizes say, checked above; the result is written where nothing goes wrong.
        unsafe {
            outcome(
                "copy numbers to a GPU",
                mp_cuda_upload(
                    numbers.as_ptr().cast(),
                    sizes.as_ptr(),
                    sizes.len(),
                    N::KIND,
                    index as i32,
                    &raw mut result,
                ),
            )?;
            return Ok(Tensor::from_ptr(result));
        }
    }
    #[cfg(not(mp_cuda))]
    {
        let _ = index;
        Err(absent("copy numbers to a GPU"))
    }
}

#[cfg(not(mp_cuda))]
fn absent(action: &'static str) -> TorchError {
    TorchError::new(action, "this was built against a libtorch without CUDA")
}

/// Work of a GPU that is started as a whole: where a step is a thousand short kernels, starting each takes longer than running it.
///
/// Everything that is recorded reads and writes the memory that it had then: tensors that come from outside keep their place, and
/// what it makes lies in memory of the graph's own, which every replay writes anew.
pub struct Graph {
    #[cfg(mp_cuda)]
    graph: std::ptr::NonNull<c_void>,
}

// SAFETY: a graph is used by one thread at a time: there is no `Sync`.
unsafe impl Send for Graph {}

impl Graph {
    /// Records what `work` queues on this thread's stream, which must not be the default one ([`enter`]). Nothing of it is run.
    ///
    /// `work` must have run before with the same shapes, and must neither wait for the device nor depend on the host in a way that
    /// changes from one replay to the next.
    ///
    /// # Errors
    /// Work that waits for the device, or that panics; a libtorch without CUDA.
    pub fn record<T>(work: impl FnOnce() -> T) -> Result<(Self, T), TorchError> {
        #[cfg(mp_cuda)]
        {
            let mut raw = std::ptr::null_mut();
            // SAFETY: the graph is written where nothing goes wrong, and owned here from then on.
            unsafe { outcome("record a CUDA graph", mp_graph_begin(&raw mut raw))? };
            let Some(graph) = std::ptr::NonNull::new(raw) else {
                return Err(TorchError::new("record a CUDA graph", "there is none"));
            };
            let graph = Self { graph };
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
                Ok(result) => {
                    // SAFETY: the graph is alive, and its capture was begun above.
                    let ended = unsafe { outcome("record a CUDA graph", mp_graph_end(graph.graph.as_ptr())) };
                    if let Err(error) = ended {
                        // SAFETY: as above.
                        unsafe { mp_graph_abandon(graph.graph.as_ptr()) };
                        return Err(error);
                    }
                    Ok((graph, result))
                }
                Err(_) => {
                    // SAFETY: as above.
                    unsafe { mp_graph_abandon(graph.graph.as_ptr()) };
                    Err(TorchError::new("record a CUDA graph", "the work waits for the device"))
                }
            }
        }
        #[cfg(not(mp_cuda))]
        {
            let _ = work;
            Err(absent("record a CUDA graph"))
        }
    }

    /// Queues all of the recorded work.
    ///
    /// # Errors
    /// A device that does not take it.
    pub fn replay(&self) -> Result<(), TorchError> {
        #[cfg(mp_cuda)]
        // SAFETY: the graph is alive.
        unsafe {
            outcome("replay a CUDA graph", mp_graph_replay(self.graph.as_ptr()))
        }
        #[cfg(not(mp_cuda))]
        Err(absent("replay a CUDA graph"))
    }

    /// How many kernels, copies and fills it is made of.
    pub fn nodes(&self) -> usize {
        #[cfg(mp_cuda)]
        {
            let mut nodes = 0;
            // SAFETY: the graph is alive; the number is written.
            expect("count the nodes of a CUDA graph", unsafe { mp_graph_nodes(self.graph.as_ptr(), &raw mut nodes) });
            nodes
        }
        #[cfg(not(mp_cuda))]
        0
    }
}

#[cfg(mp_cuda)]
impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made by `mp_graph_begin`, and freed only here.
        unsafe { mp_graph_free(self.graph.as_ptr()) }
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph").field("nodes", &self.nodes()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(mp_cuda)))]
mod tests {
    use super::*;

    #[test]
    fn without_cuda_everything_is_refused_in_one_line() {
        let texts = [
            Gpu::find(0).unwrap_err().to_string(),
            enter(0).unwrap_err().to_string(),
            upload(&[1_i64], &[1], 0).unwrap_err().to_string(),
            Graph::record(|| ()).unwrap_err().to_string(),
        ];
        for text in texts {
            assert!(text.ends_with("this was built against a libtorch without CUDA"), "{text}");
        }
    }
}
