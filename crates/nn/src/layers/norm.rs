//! Batch normalisation.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, Init, Mode, Module, Params, Role};

/// Batch normalisation; [`BatchNorm2dConfig::new`] gives PyTorch's `eps = 1e-5` and `momentum = 0.1`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm2dConfig {
    /// Channels of input and output.
    pub channels: i64,
    /// Added to the variance before the root.
    pub eps: f64,
    /// Share of the batch's statistics in the running ones.
    pub momentum: f64,
    /// Starting scale: 1, or 0 for the last norm of a residual branch.
    pub scale: f64,
}

impl BatchNorm2dConfig {
    /// PyTorch's defaults.
    pub fn new(channels: i64) -> Self {
        BatchNorm2dConfig { channels, eps: 1e-5, momentum: 0.1, scale: 1.0 }
    }

    /// Takes `weight`, `bias`, `running_mean`, `running_var` (each `[C]`) and `num_batches_tracked`.
    ///
    /// # Errors
    /// Channels below 1, `eps` not above 0, `momentum` outside 0 to 1, or a taken name.
    pub fn build(&self, params: &Params) -> Result<BatchNorm2d, Error> {
        let at = |what: &str| format!("{what} of the batch-norm `{}`", params.path());
        if self.channels < 1 {
            return Err(Error::config(at("channels"), "at least 1", self.channels));
        }
        if !(self.eps > 0.0 && self.eps.is_finite()) {
            return Err(Error::config(at("eps"), "above 0", self.eps));
        }
        if !(0.0..=1.0).contains(&self.momentum) {
            return Err(Error::config(at("momentum"), "0 to 1", self.momentum));
        }
        let shape = [self.channels];
        Ok(BatchNorm2d {
            weight: params.parameter("weight", &shape, Init::Constant(self.scale), Role::Norm)?,
            bias: params.parameter("bias", &shape, Init::Zeros, Role::Norm)?,
            running_mean: params.buffer("running_mean", &shape, Init::Zeros)?,
            running_var: params.buffer("running_var", &shape, Init::Ones)?,
            batches: params.counter("num_batches_tracked")?,
            config: self.clone(),
        })
    }
}

/// `y = (x - mean) / sqrt(var + eps) · weight + bias` per channel: `[B, C, H, W]` to the same, and `[B, C]` to the same.
///
/// Training uses the batch's statistics and updates the running ones (unbiased variance); evaluation uses the running
/// ones. Ioffe and Szegedy, arXiv 1502.03167.
#[derive(Debug)]
pub struct BatchNorm2d {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor,
    config: BatchNorm2dConfig,
}

impl Module for BatchNorm2d {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        if mode.is_train() {
            let _ = self.batches.shallow_clone().g_add_scalar_(1);
        }
        x.batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            mode.is_train(),
            self.config.momentum,
            self.config.eps,
            true,
        )
    }
}
