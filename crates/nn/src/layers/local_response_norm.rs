//! Local response normalisation.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, Mode, Module};

/// Local response normalisation with PyTorch's meaning of its numbers; see [`LocalResponseNorm`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalResponseNormConfig {
    /// How many neighbouring channels are summed, the channel itself among them.
    pub size: i64,
    /// Weight of the neighbours' mean square.
    pub alpha: f64,
    /// Exponent.
    pub beta: f64,
    /// What the weighted mean square is added to.
    pub k: f64,
}

impl LocalResponseNormConfig {
    /// AlexNet's: 5 channels, exponent 0.75, `k = 2`. The paper weighs the sum by 1e-4, which is 5e-4 times the mean.
    pub fn paper() -> Self {
        LocalResponseNormConfig { size: 5, alpha: 5e-4, beta: 0.75, k: 2.0 }
    }

    /// Caffe's for `local_size: 5, alpha: 1e-4`, as its AlexNet and GoogLeNet have it; Caffe, too, divides by the size.
    pub fn caffe() -> Self {
        LocalResponseNormConfig { alpha: 1e-4, k: 1.0, ..Self::paper() }
    }

    /// The layer, which has no parameters.
    ///
    /// # Errors
    /// A size below 1, `k` not above 0, or a negative `alpha`: the base of the power must be above 0.
    pub fn build(&self) -> Result<LocalResponseNorm, Error> {
        let at = |what: &str| format!("{what} of the local response normalisation");
        if self.size < 1 {
            return Err(Error::config(at("size"), "at least 1", self.size));
        }
        if !(self.k > 0.0 && self.k.is_finite()) {
            return Err(Error::config(at("k"), "above 0", self.k));
        }
        if !(self.alpha >= 0.0 && self.alpha.is_finite()) {
            return Err(Error::config(at("alpha"), "at least 0", self.alpha));
        }
        Ok(LocalResponseNorm { config: *self })
    }
}

/// `y_c = x_c / (k + alpha / size · sum of x_i²)^beta`, the sum over the `size` channels from `c - size / 2` on (rounded down;
/// those beyond the ends are 0): `[B, C, H, W]` to the same.
///
/// Krizhevsky et al., NIPS 2012, section 3.3, whose `alpha` is not divided by the size; PyTorch and Caffe divide it.
///
/// ```
/// use mp_nn::{LocalResponseNormConfig, Mode, Module, Tensor};
///
/// // Two channels, 3 and 4: with both in each window of three, the mean square is 25 / 3.
/// let norm = LocalResponseNormConfig { size: 3, alpha: 3.0, beta: 0.5, k: 11.0 }.build()?;
/// let y = norm.forward(&Tensor::from_slice(&[3.0_f32, 4.0]).view([1, 2, 1, 1]), Mode::Eval);
/// assert_eq!(y, Tensor::from_slice(&[0.5_f32, 4.0 / 6.0]).view([1, 2, 1, 1]));
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct LocalResponseNorm {
    config: LocalResponseNormConfig,
}

impl Module for LocalResponseNorm {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Tensor {
        let LocalResponseNormConfig { size, alpha, beta, k } = self.config;
        let (height, width) = (x.size()[2], x.size()[3]);
        // With the channels as the last axis, the sum over neighbours is a pooling along a line.
        let squares = x.square().permute([0, 2, 3, 1]).flatten(1, 2).constant_pad_nd([size / 2, (size - 1) / 2]);
        let means = squares.avg_pool1d(size, 1, 0, false, true).unflatten(1, [height, width]).permute([0, 3, 1, 2]);
        x / ((means * alpha + k).pow_tensor_scalar(beta))
    }
}
