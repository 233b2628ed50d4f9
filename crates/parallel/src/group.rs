//! Sums, copies and gathered tensors over all processes: c10d's process groups.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tch::{Device, Kind, Tensor};
use torch_sys::C_tensor;

use crate::Error;
use crate::boundary::{c_text, outcome};
use crate::store::{Store, millis};

unsafe extern "C" {
    fn mp_has_nccl() -> bool;
    fn mp_group_open(
        store: *mut c_void,
        prefix: *const c_char,
        rank: c_int,
        world: c_int,
        cuda: bool,
        interface: *const c_char,
        address: *const c_char,
        timeout_ms: i64,
        out: *mut *mut c_void,
    ) -> *const c_char;
    fn mp_group_free(group: *mut c_void);
    fn mp_group_sum(group: *mut c_void, tensor: *mut C_tensor, out: *mut *mut c_void) -> *const c_char;
    fn mp_group_broadcast(
        group: *mut c_void,
        tensor: *mut C_tensor,
        root: c_int,
        out: *mut *mut c_void,
    ) -> *const c_char;
    fn mp_group_gather(
        group: *mut c_void,
        tensor: *mut C_tensor,
        places: *const *mut C_tensor,
        count: usize,
        out: *mut *mut c_void,
    ) -> *const c_char;
    fn mp_group_sum_through(group: *mut c_void, tensor: *mut C_tensor, out: *mut *mut C_tensor) -> *const c_char;
    fn mp_work_wait(work: *mut c_void) -> *const c_char;
    fn mp_work_free(work: *mut c_void);
}

/// Whether this build can sum tensors that lie on GPUs.
pub fn has_nccl() -> bool {
    // SAFETY: reads a constant.
    unsafe { mp_has_nccl() }
}

/// All processes of a run. Every process must call the same operations in the same order; each ends with an error where
/// another process is not there within the time that the group was opened with.
///
/// Tensors on the CPU go by Gloo; those on a GPU by NCCL, in a group opened for them.
#[derive(Debug)]
pub struct Group {
    handle: NonNull<c_void>,
    world: usize,
    // How many operations were begun: who is behind has fewer.
    begun: Arc<AtomicU64>,
}

// SAFETY: c10d's groups may be used from any thread, and guard their queue by a lock.
unsafe impl Send for Group {}
// SAFETY: as above.
unsafe impl Sync for Group {}

/// How a group reaches its processes.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    pub(crate) rank: usize,
    pub(crate) world: usize,
    pub(crate) cuda: bool,
    pub(crate) interface: String,
    pub(crate) address: String,
    pub(crate) timeout: Duration,
    pub(crate) begun: Arc<AtomicU64>,
}

impl Group {
    pub(crate) fn open(store: &Store, name: &str, reach: &Reach) -> Result<Self, Error> {
        let (name, interface, address) = (c_text(name), c_text(&reach.interface), c_text(&reach.address));
        let mut group = std::ptr::null_mut();
        // SAFETY: the store and the texts live through the call, which writes the result on success.
        unsafe {
            outcome(
                "connect the processes",
                mp_group_open(
                    store.as_ptr(),
                    name.as_ptr(),
                    reach.rank as c_int,
                    reach.world as c_int,
                    reach.cuda,
                    interface.as_ptr(),
                    address.as_ptr(),
                    millis(reach.timeout),
                    &raw mut group,
                ),
            )?;
        }
        let handle = NonNull::new(group)
            .ok_or(Error::Torch { action: "connect the processes", reason: "nothing came back".to_owned() })?;
        Ok(Self { handle, world: reach.world, begun: Arc::clone(&reach.begun) })
    }

    /// Starts to replace `tensor`, of a number type, by its sum over all processes. It must be contiguous, and must not be
    /// touched before the work is done.
    ///
    /// # Errors
    /// What c10d refuses.
    pub fn begin_sum(&self, tensor: &Tensor) -> Result<Work, Error> {
        self.work("sum over processes", |out| {
            // SAFETY: the tensor is live; the C++ side takes a reference of its own.
            unsafe { mp_group_sum(self.handle.as_ptr(), pointer(tensor), out) }
        })
    }

    /// Replaces `tensor` by its sum over all processes.
    ///
    /// # Errors
    /// As [`Group::begin_sum`] and [`Work::wait`].
    pub fn sum(&self, tensor: &Tensor) -> Result<(), Error> {
        self.begin_sum(tensor)?.wait()
    }

    /// Replaces numbers by their sums over all processes.
    ///
    /// # Errors
    /// As [`Group::sum`].
    pub fn sum_of(&self, numbers: &[f64]) -> Result<Vec<f64>, Error> {
        let tensor = Tensor::from_slice(numbers);
        self.sum(&tensor)?;
        Vec::<f64>::try_from(&tensor)
            .map_err(|error| Error::Torch { action: "read the sums", reason: error.to_string() })
    }

    /// The sum of `x` over all processes as a new tensor, through which gradients flow: that of `x` is the sum over all
    /// processes of the gradients of the result. The backward pass must then run on all of them.
    ///
    /// # Errors
    /// What c10d refuses, and another process that is not there.
    pub fn sum_through(&self, x: &Tensor) -> Result<Tensor, Error> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let mut out = std::ptr::null_mut();
        // SAFETY: the tensor is live, and the result, written on success, is owned here.
        unsafe {
            outcome("sum over processes", mp_group_sum_through(self.handle.as_ptr(), pointer(x), &raw mut out))?;
            Ok(Tensor::from_ptr(out))
        }
    }

    /// Replaces `tensor`, which must be contiguous, by that of process `root`.
    ///
    /// # Errors
    /// What c10d refuses, and another process that is not there.
    pub fn broadcast(&self, tensor: &Tensor, root: usize) -> Result<(), Error> {
        self.work("copy to all processes", |out| {
            // SAFETY: as in `begin_sum`.
            unsafe { mp_group_broadcast(self.handle.as_ptr(), pointer(tensor), root as c_int, out) }
        })?
        .wait()
    }

    /// The bytes of every process, in the order of their ranks.
    ///
    /// # Errors
    /// Another process that is not there.
    pub fn gather(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        let lengths = self.gather_tensor(&Tensor::from_slice(&[bytes.len() as i64]))?;
        let lengths: Vec<usize> = lengths.iter().map(|length| length.int64_value(&[0]) as usize).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0).max(1);
        let mut padded = bytes.to_vec();
        padded.resize(longest, 0);
        let all = self.gather_tensor(&Tensor::from_slice(&padded))?;
        let read = |(tensor, length): (&Tensor, usize)| {
            let mut bytes = Vec::<u8>::try_from(tensor)
                .map_err(|error| Error::Torch { action: "read gathered bytes", reason: error.to_string() })?;
            bytes.truncate(length);
            Ok(bytes)
        };
        all.iter().zip(lengths).map(read).collect()
    }

    /// The bytes of process `root`; what the others give is not looked at.
    ///
    /// # Errors
    /// Another process that is not there.
    pub fn bytes_of(&self, root: usize, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let length = Tensor::from_slice(&[bytes.len() as i64]);
        self.broadcast(&length, root)?;
        let mut all = bytes.to_vec();
        all.resize(length.int64_value(&[0]) as usize, 0);
        if all.is_empty() {
            return Ok(all);
        }
        let tensor = Tensor::from_slice(&all);
        self.broadcast(&tensor, root)?;
        Vec::<u8>::try_from(&tensor)
            .map_err(|error| Error::Torch { action: "read the bytes of another process", reason: error.to_string() })
    }

    /// Returns once all processes are here.
    ///
    /// # Errors
    /// Another process that does not come.
    pub fn barrier(&self) -> Result<(), Error> {
        self.sum(&Tensor::zeros([1], (Kind::Int64, Device::Cpu)))
    }

    pub(crate) fn as_ptr(&self) -> *mut c_void {
        self.handle.as_ptr()
    }

    pub(crate) fn note_begun(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
    }

    fn gather_tensor(&self, tensor: &Tensor) -> Result<Vec<Tensor>, Error> {
        let places: Vec<Tensor> = (0..self.world).map(|_| tensor.zeros_like()).collect();
        let pointers: Vec<*mut C_tensor> = places.iter().map(pointer).collect();
        self.work("gather from all processes", |out| {
            // SAFETY: as in `begin_sum`, for all places.
            unsafe { mp_group_gather(self.handle.as_ptr(), pointer(tensor), pointers.as_ptr(), pointers.len(), out) }
        })?
        .wait()?;
        Ok(places)
    }

    fn work(&self, action: &'static str, begin: impl FnOnce(*mut *mut c_void) -> *const c_char) -> Result<Work, Error> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let mut work = std::ptr::null_mut();
        // SAFETY: the text is null or valid until the next call on this thread.
        unsafe { outcome(action, begin(&raw mut work))? };
        let work = NonNull::new(work).ok_or(Error::Torch { action, reason: "nothing came back".to_owned() })?;
        Ok(Work { work, action })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: made by `mp_group_open` and freed once.
        unsafe { mp_group_free(self.handle.as_ptr()) }
    }
}

/// An operation over all processes that goes on while others are done.
#[derive(Debug)]
#[must_use = "the tensor is complete only after `wait`"]
pub struct Work {
    work: NonNull<c_void>,
    action: &'static str,
}

// SAFETY: c10d's works may be waited for on any thread.
unsafe impl Send for Work {}

impl Work {
    /// Waits until it is done.
    ///
    /// # Errors
    /// Another process that is not there in time, or was and is gone.
    pub fn wait(self) -> Result<(), Error> {
        // SAFETY: the work is live.
        unsafe { outcome(self.action, mp_work_wait(self.work.as_ptr())) }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // SAFETY: made by the C++ side, and freed once.
        unsafe { mp_work_free(self.work.as_ptr()) }
    }
}

/// The C++ side writes the contents of the tensor, as every operation in place does.
fn pointer(tensor: &Tensor) -> *mut C_tensor {
    tensor.as_ptr().cast_mut()
}
