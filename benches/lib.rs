//! Shared set-up of the benches: feature maps of the sizes that the paths of a ResNet-20 have.

use std::time::Duration;

use criterion::Criterion;
use mp_native::Autocast;
use mp_nn::{Device, Kind, Tensor};

/// Parallel paths of the benched routing layers.
pub const PATHS: i64 = 3;

/// The feature maps of one stage.
#[derive(Clone, Copy, Debug)]
pub struct Stage {
    /// As the models name it.
    pub name: &'static str,
    /// Channels `C`.
    pub channels: i64,
    /// Height and width `H = W`.
    pub size: i64,
}

/// The stages of a ResNet-20 on images of 32x32.
pub const STAGES: [Stage; 3] = [
    Stage { name: "stage1", channels: 16, size: 32 },
    Stage { name: "stage2", channels: 32, size: 16 },
    Stage { name: "stage3", channels: 64, size: 8 },
];

impl Stage {
    /// One map `[B, C, H, W]` in float32, channels-last, that takes a gradient where `trained` says so.
    pub fn map(&self, batch: i64, channels: i64, trained: bool) -> Tensor {
        let rows = Tensor::randn([batch, self.size, self.size, channels], (Kind::Float, Device::Cpu));
        rows.permute([0, 3, 1, 2]).set_requires_grad(trained)
    }

    /// One map for each of [`PATHS`] paths, as [`Stage::map`].
    pub fn features(&self, batch: i64, trained: bool) -> Vec<Tensor> {
        (0..PATHS).map(|_| self.map(batch, self.channels, trained)).collect()
    }
}

/// Number format of what runs under [`Precision::scope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// float32.
    Fp32,
    /// Autocast to bfloat16.
    Bf16,
}

impl Precision {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Fp32, Self::Bf16];

    /// As recipes name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fp32 => "fp32",
            Self::Bf16 => "bf16",
        }
    }

    /// Bind it to a name around the forward pass.
    pub fn scope(self) -> Option<Autocast> {
        (self == Self::Bf16).then(Autocast::bf16_cpu)
    }

    /// A map as a convolution in this format gives it.
    pub fn of(self, x: &Tensor) -> Tensor {
        match self {
            Self::Fp32 => x.shallow_clone(),
            Self::Bf16 => x.to_kind(Kind::BFloat16),
        }
    }
}

/// Images of one pass: `usual` where times are taken, few where a test only asks whether the benches still run.
///
/// Cargo passes `--bench` in the former case alone; criterion itself decides by it.
pub fn batch(usual: i64) -> i64 {
    if std::env::args().any(|argument| argument == "--bench") { usual } else { 2 }
}

/// Sends a dense gradient back through all targets, as a layer above would, and computes nothing else.
///
/// # Panics
/// If there are not as many gradients as targets.
pub fn backward(targets: &[Tensor], gradients: &[Tensor]) {
    // The gradient of sum(y) is read through a stride of 0; a dot product's is a map of its own.
    assert_eq!(targets.len(), gradients.len(), "one gradient a target");
    let dot = |(y, gradient): (&Tensor, &Tensor)| flat(y).dot(&flat(gradient));
    let loss: Tensor = targets.iter().zip(gradients).map(dot).sum();
    loss.backward();
}

/// All numbers of a channels-last map as one axis, without a copy.
fn flat(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).view(-1)
}

/// Few, long samples: an iteration takes milliseconds.
pub fn configuration() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4))
}
