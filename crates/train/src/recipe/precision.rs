use mp_native::Autocast;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind};

use crate::Error;
use crate::machine::device_name;

/// Number format of the forward pass; parameters and their gradients are float32 in all of them, and so are gates, norms'
/// statistics, softmax and loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// float32, as IEEE 754 has it.
    #[default]
    Fp32,
    /// float32 whose products round their factors to the 10 bits of TensorFloat-32; on GPUs from Ampere on.
    Tf32,
    /// Automatic mixed precision: products in bfloat16.
    Bf16,
    /// Automatic mixed precision: products in float16, with the loss scaled so that small gradients do not vanish; on GPUs.
    Fp16,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fp32, Self::Tf32, Self::Bf16, Self::Fp16];

    /// The name that recipes and summaries use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
            Self::Fp16 => "fp16",
        }
    }

    /// The type of maps between layers.
    pub fn kind(self) -> Kind {
        match self {
            Self::Fp32 | Self::Tf32 => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
            Self::Fp16 => Kind::Half,
        }
    }

    /// Lets this thread compute in the format on a device until the guard is dropped.
    pub fn begin(self, device: Device) -> Option<Autocast> {
        let kind = self.kind();
        (kind != Kind::Float).then(|| Autocast::to(kind, device))
    }

    /// Prepares the process for the format.
    ///
    /// # Errors
    /// [`Error::Precision`] where the device does not have it.
    pub fn prepare(self, device: Device) -> Result<(), Error> {
        if !device.is_cuda() && matches!(self, Self::Tf32 | Self::Fp16) {
            let expected = "fp32 or bf16";
            return Err(Error::Precision { precision: self.name(), device: device_name(device), expected });
        }
        mp_native::cuda::use_tf32(self == Self::Tf32);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_gpus_are_refused_on_the_cpu() {
        for precision in [Precision::Tf32, Precision::Fp16] {
            let error = precision.prepare(Device::Cpu).unwrap_err().to_string();
            let name = precision.name();
            assert_eq!(error, format!("train.precision is {name}, expected fp32 or bf16 on cpu"));
        }
        for precision in [Precision::Fp32, Precision::Bf16] {
            precision.prepare(Device::Cpu).unwrap();
        }
    }
}
