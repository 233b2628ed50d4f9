use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::{Cuda, Device};

use crate::Error;

/// Where a network runs, as recipes and command lines name it: `auto`, `cpu`, `cuda`, `cuda:1`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The first GPU where there is one, otherwise the CPU. An empty `CUDA_VISIBLE_DEVICES` hides all GPUs.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The GPU of this number, of those that this process sees.
    Cuda(usize),
}

impl DeviceChoice {
    /// The device.
    ///
    /// # Errors
    /// [`Error::NoDevice`] for a GPU that is not there.
    pub fn device(self) -> Result<Device, Error> {
        let gpus = usize::try_from(Cuda::device_count()).unwrap_or(0);
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Auto if gpus > 0 => Ok(Device::Cuda(0)),
            Self::Auto => Ok(Device::Cpu),
            Self::Cuda(index) if index < gpus => Ok(Device::Cuda(index)),
            Self::Cuda(_) => Err(Error::NoDevice { asked: self.to_string(), found: found(gpus) }),
        }
    }
}

/// What there is in the place of a GPU that is not there.
fn found(gpus: usize) -> String {
    match gpus {
        // Unlike `has_cuda`, this does not ask for a GPU too.
        0 if !tch::utils::has_cudart() => "cpu or auto: this libtorch comes without CUDA".to_owned(),
        0 => "cpu or auto: no GPU is visible (see nvidia-smi and CUDA_VISIBLE_DEVICES)".to_owned(),
        1 => "cpu, auto or cuda:0, the only GPU here".to_owned(),
        gpus => format!("cpu, auto or one of cuda:0 to cuda:{}", gpus - 1),
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(number)
                .map(Self::Cuda)
                .ok_or_else(|| format!("device {text:?}, expected auto, cpu, cuda or a number such as cuda:1")),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

/// The name that summaries use: `cpu`, `cuda:0`.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("cpu", DeviceChoice::Cpu),
            ("cuda", DeviceChoice::Cuda(0)),
            ("cuda:3", DeviceChoice::Cuda(3)),
        ] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap(), choice);
            assert_eq!(choice.to_string(), text);
        }
        assert_eq!("cuda:0".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        for text in ["gpu", "cuda:", "cuda:-1", "cuda:x", "cuda: 1", "CPU", "cuda:+1", ""] {
            let error = text.parse::<DeviceChoice>().unwrap_err();
            assert!(error.contains("expected auto, cpu, cuda"), "{error}");
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused_with_what_is() {
        let error = DeviceChoice::Cuda(999).device().unwrap_err().to_string();
        assert!(error.starts_with("device cuda:999, expected cpu"), "{error}");
        assert_eq!(error.lines().count(), 1);
        assert_eq!(DeviceChoice::Cpu.device().unwrap(), Device::Cpu);
    }
}
