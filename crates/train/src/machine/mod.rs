//! What machine this is, and how much of it this process may use.

pub mod checkup;
mod device;
pub mod neighbours;

use std::sync::atomic::{AtomicUsize, Ordering};

use mp_native::cuda::Gpu;
use tch::Device;

pub use device::{DeviceChoice, device_name};

/// What [`use_threads`] set last.
static THREADS: AtomicUsize = AtomicUsize::new(1);

/// Sets the number of libtorch's threads for the whole process: `asked`, or for 0 as many as the process may keep busy.
///
/// libtorch knows the processors that the process is bound to, and `OMP_NUM_THREADS`, but not the quota of its control
/// group, within which containers and batch systems keep what they run.
pub fn use_threads(asked: usize) {
    let threads = match asked {
        0 => processors().min(tch::get_num_threads().max(1) as usize),
        asked => asked,
    };
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    THREADS.store(threads, Ordering::Relaxed);
}

/// How many threads libtorch uses, as [`use_threads`] set it last; any thread may ask.
pub fn threads() -> usize {
    THREADS.load(Ordering::Relaxed)
}

/// How many threads of this process can run at a time: what affinity and the quota of its control group allow.
pub fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The name of what computes: of the processor, or of a GPU.
pub fn hardware(device: Device) -> String {
    match device {
        Device::Cuda(index) => Gpu::find(index).map_or_else(|_| device_name(device), |gpu| gpu.name),
        _ => processor(),
    }
}

/// The name of this machine.
#[allow(unsafe_code)]
pub fn host() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the system writes at most so many bytes, of which the last is left to be zero.
    let asked = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
    if asked == 0 && !name.is_empty() { String::from_utf8_lossy(name).into_owned() } else { "this host".to_owned() }
}

/// The processor's name; the architecture's where the system does not say.
pub fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}
