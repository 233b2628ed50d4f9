//! Batch normalisation.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{Error, Init, Mode, Module, Params, Role};
use mp_native::NormState;

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
            all_sum: params.all_sum(),
            config: self.clone(),
        })
    }
}

/// `y = (x - mean) / sqrt(var + eps) · weight + bias` per channel: `[B, C, H, W]` to the same, and `[B, C]` to the same.
///
/// Training uses the batch's statistics and updates the running ones (unbiased variance); evaluation uses the running
/// ones, and so does training where the scale is frozen ([`Store::freeze`](crate::Store::freeze)). Ioffe and Szegedy, arXiv
/// 1502.03167.
///
/// What follows a norm in most networks, a ReLU or the addition of a shortcut and a ReLU, is best asked of the norm itself
/// ([`BatchNorm2d::forward_relu`], [`BatchNorm2d::forward_add_relu`]): channels-last maps on the CPU and on GPUs then take no further
/// pass over memory for it. Other maps get libtorch's own operations, with the same numbers. To fuse the preceding
/// convolution too, use [`ConvNorm`](crate::ConvNorm).
///
/// ```
/// use mp_nn::{BatchNorm2dConfig, Device, Kind, Mode, Module, Store, Tensor};
///
/// let store = Store::new(Device::Cpu, 0);
/// // The Inception networks have 1e-3 for `eps`.
/// let norm = BatchNorm2dConfig { eps: 1e-3, ..BatchNorm2dConfig::new(3) }.build(&(&store.root() / "bn1"))?;
/// let x = Tensor::full([2, 3, 4, 4], -1.0, (Kind::Float, Device::Cpu));
/// assert_eq!(norm.forward(&x, Mode::Train), x.zeros_like(), "the batch's own mean is taken off");
/// assert_eq!(norm.forward_relu(&x, Mode::Eval).size(), [2, 3, 4, 4]);
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Debug)]
pub struct BatchNorm2d {
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    batches: Tensor,
    all_sum: Option<Arc<dyn AllSum>>,
    config: BatchNorm2dConfig,
}

/// Sums over all that have a part of one batch, as processes have that train together.
pub trait AllSum: fmt::Debug + Send + Sync {
    /// The sum of `x` over all of them, through which gradients flow: that of `x` is the sum over all of the gradients of the
    /// result. All of them ask for the same sums in the same order, and so do their backward passes.
    fn all_sum(&self, x: &Tensor) -> Tensor;
}

impl BatchNorm2d {
    /// `relu(norm(x))`.
    ///
    /// # Panics
    /// On a tensor of another number of channels.
    pub fn forward_relu(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.apply(x, None, true, mode)
    }

    /// `relu(norm(x) + residual)`, with a residual of the shape of `x`.
    ///
    /// # Panics
    /// On a tensor of another number of channels, or a residual of another shape.
    pub fn forward_add_relu(&self, x: &Tensor, residual: &Tensor, mode: Mode) -> Tensor {
        self.apply(x, Some(residual), true, mode)
    }

    /// Whether the values are of a type that the fused norms take: one in half precision has no float32 values.
    pub(super) fn is_wide(&self) -> bool {
        matches!(self.weight.kind(), Kind::Float | Kind::Double)
    }

    pub(super) fn state(&self) -> NormState<'_> {
        NormState {
            weight: &self.weight,
            bias: &self.bias,
            running_mean: &self.running_mean,
            running_var: &self.running_var,
            momentum: self.config.momentum,
            eps: self.config.eps,
        }
    }

    pub(super) fn apply(&self, x: &Tensor, residual: Option<&Tensor>, relu: bool, mode: Mode) -> Tensor {
        // A frozen norm is a part of what is not trained: its statistics stay those that its scale was trained with.
        let learns = mode.is_train() && self.weight.requires_grad();
        if learns {
            let _ = self.batches.shallow_clone().g_add_scalar_(1);
        }
        if let (true, Some(all_sum)) = (learns, &self.all_sum) {
            return self.apply_over(&**all_sum, x, residual, relu);
        }
        if mp_native::can_norm(x) && self.is_wide() {
            // Only tensors of another shape are refused here: falling back would hide a fault of the caller.
            return mp_native::batch_norm(x, self.state(), residual, relu, learns)
                .unwrap_or_else(|error| panic!("{error}"));
        }
        let mut y = x.batch_norm(
            Some(&self.weight),
            Some(&self.bias),
            Some(&self.running_mean),
            Some(&self.running_var),
            learns,
            self.config.momentum,
            self.config.eps,
            true,
        );
        // In place: no gradient reads what the norm gave.
        if let Some(residual) = residual {
            y = y.g_add_(residual);
        }
        if relu { y.relu_() } else { y }
    }
}

impl BatchNorm2d {
    /// Training over several parts of a batch. The sums are of float64: mean squares less squared means lose what float32 has.
    fn apply_over(&self, all_sum: &dyn AllSum, x: &Tensor, residual: Option<&Tensor>, relu: bool) -> Tensor {
        let wide = if x.kind() == Kind::Double { x.shallow_clone() } else { x.to_kind(Kind::Float) };
        let axes: Vec<i64> = (0..x.dim() as i64).filter(|axis| *axis != 1).collect();
        let count = (x.numel() as i64 / self.config.channels) as f64;
        let (variance, mean) = wide.var_mean_correction(axes.as_slice(), 0, false);
        let (variance, mean) = (variance.to_kind(Kind::Double), mean.to_kind(Kind::Double));
        let own =
            [&mean * count, (variance + mean.square()) * count, Tensor::full([1], count, (Kind::Double, x.device()))];
        let all = all_sum.all_sum(&Tensor::cat(&own, 0));
        let channels = self.config.channels;
        let count = all.narrow(0, 2 * channels, 1);
        let mean = all.narrow(0, 0, channels) / &count;
        let variance = (all.narrow(0, channels, channels) / &count - mean.square()).clamp_min(0.0);
        {
            let _guard = tch::no_grad_guard();
            let momentum = self.config.momentum;
            let unbiased = &variance * &count / (&count - 1.0).clamp_min(1.0);
            for (running, found) in [(&self.running_mean, &mean), (&self.running_var, &unbiased)] {
                let _ = running.shallow_clone().lerp_(&found.to_kind(running.kind()), momentum);
            }
        }
        let mut shape = vec![1; x.dim()];
        shape[1] = channels;
        let scale = (variance + self.config.eps).rsqrt() * self.weight.to_kind(Kind::Double);
        let [mean, scale] = [mean, scale].map(|of| of.to_kind(wide.kind()).view(shape.as_slice()));
        let bias = self.bias.to_kind(wide.kind()).view(shape.as_slice());
        let mut y = ((wide - mean) * scale + bias).to_kind(x.kind());
        if let Some(residual) = residual {
            y += residual;
        }
        if relu { y.relu() } else { y }
    }
}

impl Module for BatchNorm2d {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        self.apply(x, None, false, mode)
    }
}
