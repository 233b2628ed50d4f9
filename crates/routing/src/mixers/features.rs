//! What a gate reads of its sources: their means as they are, standardised, or not at all.

use std::sync::atomic::{AtomicBool, Ordering};

use mp_nn::{Init, Params};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::Error;

/// Share of a batch's statistics in the running ones, as in batch-norm.
const MOMENTUM: f64 = 0.1;
const EPS: f64 = 1e-5;

/// What a gate reads of the means `z` of its sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateInput {
    /// `z` as it is. After ReLU these means differ much from channel to channel and little from image to image, so that the
    /// gate's logits are nearly the same for all images.
    #[default]
    Mean,
    /// `(z - mean) / sqrt(var + 1e-5)` with running statistics of each source and channel, in training as in evaluation: what
    /// is left is how an image differs from others. Ours, after batch-norm (Ioffe and Szegedy, arXiv 1502.03167).
    Standardised,
}

/// Whose means `z` the gate of a source reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GateReads {
    /// Its own source's.
    #[default]
    Own,
    /// Those of all sources, so that where a source goes may depend on what the others hold. Ours.
    All,
}

impl GateReads {
    /// How many numbers the gate of one of S sources of C channels reads.
    pub(super) fn inputs(self, sources: i64, channels: i64) -> i64 {
        match self {
            GateReads::Own => channels,
            GateReads::All => sources * channels,
        }
    }

    /// What each gate reads of the means `[S, B, C]`: `[S, B, C]`, or `[S, B, S · C]` with the sources in their order.
    pub(super) fn of(self, means: &Tensor) -> Tensor {
        match self {
            GateReads::Own => means.shallow_clone(),
            GateReads::All => {
                let (sources, images) = (means.size()[0], means.size()[1]);
                means.transpose(0, 1).reshape([1, images, -1]).expand([sources, -1, -1], false)
            }
        }
    }
}

/// Running statistics of the means of S sources.
#[derive(Debug)]
pub(super) struct RunningFeatures {
    /// `[S, C]`.
    mean: Tensor,
    /// `[S, C]`.
    var: Tensor,
    /// How many batches were seen, `[1]`: the first ones count more, so that none of the starting values is left.
    batches: Tensor,
    /// Whether a batch was seen for certain.
    begun: AtomicBool,
}

impl RunningFeatures {
    /// Takes the buffers `running_mean` and `running_var` `[S, C]` and `batches` `[1]`.
    pub(super) fn build(params: &Params, sources: i64, channels: i64) -> Result<Self, Error> {
        Ok(RunningFeatures {
            mean: params.buffer("running_mean", &[sources, channels], Init::Zeros)?,
            var: params.buffer("running_var", &[sources, channels], Init::Ones)?,
            batches: params.buffer("batches", &[1], Init::Zeros)?,
            begun: AtomicBool::new(false),
        })
    }

    /// Whether no batch was seen yet. Waits for the device until one was.
    pub(super) fn is_new(&self) -> bool {
        if !self.begun.load(Ordering::Relaxed) {
            self.begun.store(self.batches.double_value(&[0]) > 0.0, Ordering::Relaxed);
        }
        !self.begun.load(Ordering::Relaxed)
    }

    /// Takes the means `[S, B, C]` of a batch into the statistics; a single image has no variance and is left out.
    pub(super) fn see(&self, means: &Tensor) {
        if means.size()[1] < 2 {
            return;
        }
        let _guard = tch::no_grad_guard();
        let z = means.to_kind(self.mean.kind());
        let _ = self.batches.shallow_clone().g_add_scalar_(1.0);
        // 1, 1/2, 1/3, ... down to the momentum.
        let share = self.batches.reciprocal().clamp_min(MOMENTUM);
        let found = [z.mean_dim([1_i64].as_slice(), false, None), z.var_dim([1_i64].as_slice(), true, false)];
        for (running, found) in [&self.mean, &self.var].into_iter().zip(found) {
            let step = (found - running) * &share;
            let _ = running.shallow_clone().g_add_(&step);
        }
    }

    /// The same for sources that have only some images of the batch, by their means `[n, C]`; one without two images keeps its
    /// statistics.
    pub(super) fn see_some(&self, means: &[Tensor]) {
        let _guard = tch::no_grad_guard();
        let _ = self.batches.shallow_clone().g_add_scalar_(1.0);
        let share = self.batches.reciprocal().clamp_min(MOMENTUM);
        for (source, z) in (0..).zip(means).filter(|(_, z)| z.size()[0] > 1) {
            let z = z.to_kind(self.mean.kind());
            let found = [z.mean_dim([0_i64].as_slice(), false, None), z.var_dim([0_i64].as_slice(), true, false)];
            for (running, found) in [&self.mean, &self.var].into_iter().zip(found) {
                let running = running.get(source);
                let step = (found - &running) * &share;
                let _ = running.shallow_clone().g_add_(&step);
            }
        }
    }

    /// The first layer of a gate that reads `z` but acts as though it read the standardised `z`: weights `[S, hidden, C]`, or
    /// `[S, hidden, S · C]` where all sources are read, over the deviations, and biases `[S, hidden]` less the means' part.
    pub(super) fn standardising(&self, weight: &Tensor, bias: &Tensor) -> (Tensor, Tensor) {
        let inputs = weight.size()[2];
        let deviation = (&self.var + EPS).rsqrt();
        let weight = weight * deviation.view([-1, 1, inputs]);
        // A copy: the statistics move on before the backward pass reads them.
        let bias = bias - weight.matmul(&self.mean.copy().view([-1, inputs, 1])).squeeze_dim(2);
        (weight, bias)
    }

    /// The running means as features of one image, `[S, 1, C]`; a copy, as the means move on before the backward pass reads them.
    pub(super) fn blind(&self) -> Tensor {
        self.mean.copy().unsqueeze(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mp_nn::{Device, Kind, Store};

    fn features() -> (Store, RunningFeatures) {
        let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
        let features = RunningFeatures::build(&store.root(), 1, 2).unwrap();
        (store, features)
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        Vec::try_from(tensor.view(-1)).unwrap()
    }

    #[test]
    fn the_first_batch_replaces_the_starting_values_and_later_ones_are_averaged_in() {
        let (_store, features) = features();
        // Means 1 and 4; variances of n - 1: ((0 - 1)² + (2 - 1)²) / 1 = 2, and 0.
        assert!(features.is_new());
        features.see(&Tensor::from_slice(&[0.0, 4.0, 2.0, 4.0]).view([1, 2, 2]));
        assert!(!features.is_new());
        assert_eq!((numbers(&features.mean), numbers(&features.var)), (vec![1.0, 4.0], vec![2.0, 0.0]));
        // The second counts a half.
        features.see(&Tensor::from_slice(&[3.0, 4.0, 3.0, 4.0]).view([1, 2, 2]));
        assert_eq!((numbers(&features.mean), numbers(&features.var)), (vec![2.0, 4.0], vec![1.0, 0.0]));
        // A single image does not change them.
        features.see(&Tensor::zeros([1, 1, 2], (Kind::Double, Device::Cpu)));
        assert_eq!(numbers(&features.mean), [2.0, 4.0]);
    }

    #[test]
    fn the_folded_layer_is_the_layer_of_standardised_features() {
        let (_store, features) = features();
        let z = Tensor::randn([6, 2], (Kind::Double, Device::Cpu)) * 3.0 + 5.0;
        features.see(&z.unsqueeze(0));
        let (weight, bias) =
            (Tensor::randn([1, 4, 2], (Kind::Double, Device::Cpu)), Tensor::ones([1, 4], (Kind::Double, Device::Cpu)));
        let standardised = (&z - &features.mean) / (&features.var + EPS).sqrt();
        let expected = standardised.linear(&weight.get(0), Some(&bias.get(0)));
        let (weight, bias) = features.standardising(&weight, &bias);
        assert!(z.linear(&weight.get(0), Some(&bias.get(0))).allclose(&expected, 1e-10, 1e-10, false));
    }
}
