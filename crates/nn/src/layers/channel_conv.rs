//! Convolution along the channels.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, Meter, Mode, Module, Params, Role, WeightInit, numbers_of_one};

/// A convolution along the channels, without a bias; see [`ChannelConv`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConvConfig {
    /// How many neighbouring channels a result reads: odd.
    pub kernel: i64,
    /// How the weights start.
    #[serde(default)]
    pub init: WeightInit,
}

impl ChannelConvConfig {
    /// With PyTorch's start.
    pub fn new(kernel: i64) -> Self {
        ChannelConvConfig { kernel, init: WeightInit::default() }
    }

    /// The kernel that ECA-Net's code takes for so many channels: `(log2 C + 1) / 2` rounded down, one more where that is
    /// even, and at least 3. Its published weights do not follow it everywhere.
    ///
    /// ```
    /// use mp_nn::ChannelConvConfig;
    ///
    /// let kernels = [16, 64, 128, 1024, 2048].map(|channels| ChannelConvConfig::for_channels(channels).kernel);
    /// assert_eq!(kernels, [3, 3, 5, 5, 7]);
    /// ```
    pub fn for_channels(channels: i64) -> Self {
        let half = ((channels.max(1) as f64).log2() + 1.0) / 2.0;
        Self::new((half as i64 | 1).max(3))
    }

    /// Takes `weight` `[1, 1, kernel]`.
    ///
    /// # Errors
    /// A kernel that is even or below 1, a start that is not finite, or a taken name.
    pub fn build(&self, params: &Params) -> Result<ChannelConv, Error> {
        let at = |what: &str| format!("{what} of the convolution along channels `{}`", params.path());
        if self.kernel < 1 || self.kernel % 2 == 0 {
            return Err(Error::config(at("kernel"), "an odd number of at least 1", self.kernel));
        }
        self.init.check(at("init"))?;
        let start = self.init.start(self.kernel, self.kernel);
        let weight = params.parameter("weight", &[1, 1, self.kernel], start, Role::Weight)?;
        Ok(ChannelConv { weight, kernel: self.kernel, meter: params.meter().clone() })
    }
}

/// `y_c = sum_i w_i x_(c + i - (kernel - 1) / 2)`, with 0 beyond the first and the last channel: `[B, C]` to `[B, C]`, one
/// kernel for all places. Wang et al., ECA-Net, arXiv 1910.03151.
///
/// ```
/// use mp_nn::{ChannelConvConfig, Device, Kind, Mode, Module, Store, Tensor};
///
/// let store = Store::new(Device::Cpu, 0);
/// let conv = ChannelConvConfig::new(3).build(&store.root())?;
/// assert_eq!(store.entries()[0].tensor.size(), [1, 1, 3]);
/// assert_eq!(conv.forward(&Tensor::ones([2, 16], (Kind::Float, Device::Cpu)), Mode::Eval).size(), [2, 16]);
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Debug)]
pub struct ChannelConv {
    weight: Tensor,
    kernel: i64,
    meter: Meter,
}

impl Module for ChannelConv {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Tensor {
        let y = x.unsqueeze(1).conv1d(&self.weight, None::<&Tensor>, 1, self.kernel / 2, 1, 1).squeeze_dim(1);
        self.meter.add(numbers_of_one(&y) * self.kernel as u64);
        y
    }
}
