//! What networks can run on, and whether it computes what it should.

use std::fs;

use mp_native::cuda::Gpu;
use mp_native::libtorch::{self, Configuration};
use serde::Serialize;
use tch::{Cuda, Device, Kind, TchError, Tensor};

use crate::machine::{device_name, hardware};

/// The libtorch of this process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Libtorch {
    /// The version that this program was built for.
    pub built_for: String,
    /// The version that is loaded, if it says so.
    pub version: Option<String>,
    /// The file that the system's loader chose.
    pub file: Option<String>,
    /// The vector instructions that its kernels use here.
    pub vectors: Option<String>,
    /// The version of CUDA that it runs on, where it comes with that.
    pub cuda: Option<String>,
    /// The version of cuDNN that it runs on, where it comes with that.
    pub cudnn: Option<String>,
    /// Whether this program was built with what it has of its own for CUDA.
    pub own_cuda: bool,
}

impl Libtorch {
    /// The one that is loaded.
    pub fn here() -> Self {
        let Configuration { version, vectors, cuda, cudnn } = Configuration::loaded();
        // The CPU's library of a build with CUDA names its version even where it is alone.
        let with_cuda = tch::utils::has_cudart();
        Self {
            built_for: libtorch::built_for(),
            version,
            file: libtorch::file().map(|file| file.display().to_string()),
            vectors,
            cuda: cuda.filter(|_| with_cuda),
            cudnn: cudnn.filter(|_| with_cuda),
            own_cuda: mp_native::cuda::is_built(),
        }
    }
}

/// Something that networks can run on.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Found {
    /// As `--device` takes it.
    pub device: String,
    /// Its name.
    pub hardware: String,
    /// Of a GPU: its compute capability, such as 90 for 9.0.
    pub capability: Option<u32>,
    /// Of a GPU: bytes of its memory.
    pub memory: Option<u64>,
    /// Of a GPU: bytes of its memory that nobody uses.
    pub memory_free: Option<u64>,
    /// What is wrong with a small product, convolution, gradient and mixture of paths that it was given to compute.
    pub defect: Option<String>,
}

/// The CPU, and the GPUs that this process sees.
pub fn devices() -> Vec<Found> {
    let gpus = usize::try_from(Cuda::device_count()).unwrap_or(0);
    std::iter::once(Device::Cpu).chain((0..gpus).map(Device::Cuda)).map(look_at).collect()
}

/// The version of NVIDIA's driver, where one is loaded.
pub fn nvidia_driver() -> Option<String> {
    driver_version(&fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

/// The word that looks like a version in `NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun ...`.
fn driver_version(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    let is_version = |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    line.split_whitespace().find(is_version).map(String::from)
}

fn look_at(device: Device) -> Found {
    let gpu = match device {
        Device::Cuda(index) => Gpu::find(index).ok(),
        _ => None,
    };
    Found {
        device: device_name(device),
        hardware: hardware(device),
        capability: gpu.as_ref().map(|gpu| gpu.capability),
        memory: gpu.as_ref().map(|gpu| gpu.memory),
        memory_free: gpu.as_ref().map(|gpu| gpu.free),
        defect: defect(device),
    }
}

fn defect(device: Device) -> Option<String> {
    match sums(device) {
        Ok(found) if found == SUMS => None,
        Ok(found) => {
            Some(format!("a product, a convolution, its gradient and a mixture sum up to {found:?}, expected {SUMS:?}"))
        }
        Err(why) => Some(why.lines().next().unwrap_or("it gave no reason").to_owned()),
    }
}

/// What [`sums`] must be, exactly and in every number format, since every term is a small whole number.
///
/// The product of two 64x64 matrices of ones has 64 in each of its 4096 places. A 3x3 convolution of 8 channels of ones that are
/// 8x8 counts the places under the filter: 4 in each of 4 corners, 6 in each of 24 at an edge, 9 in each of 36 within, times 8
/// channels; there are 2 images and 4 filters. The gradient of its sum counts the same from the other side. Two paths of 1024
/// ones, mixed by weights of 1, are two paths of twos.
const SUMS: [f64; 4] = [64.0 * 4096.0, 2.0 * 4.0 * CONVOLVED, 2.0 * 4.0 * CONVOLVED, 2.0 * 1024.0 * 2.0];
const CONVOLVED: f64 = 8.0 * (4.0 * 4.0 + 24.0 * 6.0 + 36.0 * 9.0);

/// The sums of what libtorch computes there, and last of what our own kernels do, where they take the device.
fn sums(device: Device) -> Result<[f64; 4], String> {
    let [product, convolved, gradient] = sums_of_libtorch(device).map_err(|error| error.to_string())?;
    let paths = [0; 2].map(|_| Tensor::ones([2, 8, 8, 8], (Kind::Float, device)));
    let mixed = match mp_native::can_mix(&paths, 2) {
        true => mp_native::mix(&paths, &Tensor::ones([2, 2, 2], (Kind::Float, device))),
        false => Ok(vec![&paths[0] + &paths[1], &paths[0] + &paths[1]]),
    };
    let mixed = mixed.map_err(|error| error.to_string())?;
    let sum = |total: Result<f64, TchError>, path: &Tensor| Ok(total? + path.f_sum(Kind::Float)?.f_double_value(&[])?);
    let mixed = mixed.iter().fold(Ok(0.0), sum).map_err(|error: TchError| error.to_string())?;
    Ok([product, convolved, gradient, mixed])
}

fn sums_of_libtorch(device: Device) -> Result<[f64; 3], TchError> {
    let ones = |size: &[i64]| Tensor::f_ones(size, (Kind::Float, device));
    let sum = |tensor: &Tensor| tensor.f_sum(Kind::Float)?.f_double_value(&[]);
    let product = ones(&[64, 64])?.f_matmul(&ones(&[64, 64])?)?;
    let x = ones(&[2, 8, 8, 8])?.f_set_requires_grad(true)?;
    let convolved = x.f_conv2d(&ones(&[4, 8, 3, 3])?, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)?;
    convolved.f_sum(Kind::Float)?.f_backward()?;
    Ok([sum(&product)?, sum(&convolved)?, sum(&x.f_grad()?)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_there_and_computes_what_it_should() {
        let found = devices();
        assert_eq!((found[0].device.as_str(), &found[0].defect, found[0].memory), ("cpu", &None, None));
        assert!(!found[0].hardware.is_empty());
    }

    #[test]
    fn a_device_that_cannot_be_used_says_why_on_one_line() {
        let defect = defect(Device::Cuda(999)).unwrap();
        assert!(!defect.is_empty() && defect.lines().count() == 1, "{defect}");
    }

    #[test]
    fn the_driver_is_known_by_its_version() {
        let text = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 07:19:23 UTC 2025\nGCC version:  13.3\n";
        assert_eq!(driver_version(text).as_deref(), Some("580.65.06"));
        assert_eq!(driver_version("GCC version: 13.3"), None);
    }
}
