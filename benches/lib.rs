//! Shared set-up of the benches: feature maps of the sizes that the paths of a ResNet-20 have.

use std::time::Duration;

use criterion::Criterion;
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
    /// One map `[B, C, H, W]` for each path, channels-last, that takes a gradient where `trained` says so.
    pub fn features(&self, batch: i64, trained: bool) -> Vec<Tensor> {
        let draw = |_| {
            let rows = Tensor::randn([batch, self.size, self.size, self.channels], (Kind::Float, Device::Cpu));
            rows.permute([0, 3, 1, 2]).set_requires_grad(trained)
        };
        (0..PATHS).map(draw).collect()
    }
}

/// Few, long samples: an iteration takes milliseconds.
pub fn configuration() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4))
}
