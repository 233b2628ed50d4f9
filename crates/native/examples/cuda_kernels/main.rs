//! Our own CUDA kernels on the GPU at hand: against the same operations in float64 on the CPU and beside libtorch's own, then timed
//! beside those. Ends with 1 where a kernel is further off than it may be, with 2 where there is no GPU that it runs on.
//!
//! `cuda_kernels [check|time]`, both without an argument; then a machine without a GPU is no failure.

mod check;
mod ops;
mod time;

use std::process::ExitCode;

use tch::Device;

fn main() -> ExitCode {
    let gpu = match mp_native::cuda::Gpu::find(0) {
        Ok(gpu) => gpu,
        Err(error) => return refuse(&error.to_string()),
    };
    println!("{}, compute capability {}", gpu.name, gpu.capability);
    if let Err(error) = mp_native::cuda::enter(0).and_then(|()| mp_native::prepare_cuda_kernels(0)) {
        return refuse(&error.to_string());
    }
    mp_native::set_cuda_gates(true);
    // Float32 means float32 here: a check that allows for rounded factors would see less.
    mp_native::cuda::use_tf32(false);
    let what = std::env::args().nth(1).unwrap_or_default();
    let device = Device::Cuda(0);
    let agrees = what == "time" || check::all(device);
    if what != "check" {
        time::all(device);
    }
    ExitCode::from(u8::from(!agrees))
}

fn refuse(reason: &str) -> ExitCode {
    eprintln!("{reason}");
    // Asked for nothing, there is nothing to check here.
    if std::env::args().len() > 1 { ExitCode::from(2) } else { ExitCode::SUCCESS }
}
