//! Squeeze-and-excitation.

use mp_nn::{
    BiasInit, Conv2d, Conv2dConfig, Linear, LinearConfig, Mode, Module, Params, Tensor, WeightInit, global_avg_pool,
};

use crate::Error;

/// `x · sigmoid(W2 relu(W1 mean(x) + b1) + b2)`, one factor a channel: Hu et al., arXiv 1709.01507.
///
/// Biases start at 0, as in the authors' Caffe networks: with PyTorch's start a hidden layer of one or two units, as the
/// narrow networks for CIFAR have, can be off for every image from the first step on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqueezeExciteConfig {
    /// Channels for each hidden unit.
    pub reduction: i64,
    /// The hidden width is rounded to a multiple of it: 1 rounds down, 8 is timm's rule, by which 64 channels have 8 hidden
    /// units in place of 4.
    pub multiple: i64,
    /// Whether both layers have a bias.
    pub bias: bool,
    /// What the two layers are: the same numbers in weights of other shapes.
    pub layers: SqueezeLayers,
}

/// What the layers of squeeze-and-excitation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SqueezeLayers {
    /// 1x1 convolutions, whose weights have four axes.
    Convolutions,
    /// Dense layers, whose weights have two.
    Dense,
}

impl SqueezeExciteConfig {
    /// Biased 1x1 convolutions, the hidden width rounded down.
    pub fn new(reduction: i64) -> Self {
        SqueezeExciteConfig { reduction, multiple: 1, bias: true, layers: SqueezeLayers::Convolutions }
    }

    /// Hidden units for so many channels: at least one multiple.
    ///
    /// ```
    /// use mp_blocks::SqueezeExciteConfig;
    /// let timm = SqueezeExciteConfig { multiple: 8, ..SqueezeExciteConfig::new(16) };
    /// assert_eq!([64, 256, 320].map(|channels| timm.hidden(channels)), [8, 16, 24]);
    /// assert_eq!([8, 64, 256].map(|channels| SqueezeExciteConfig::new(16).hidden(channels)), [1, 4, 16]);
    /// ```
    pub fn hidden(&self, channels: i64) -> i64 {
        let (reduction, multiple) = (self.reduction.max(1), self.multiple.max(1));
        ((channels / reduction + multiple / 2) / multiple * multiple).max(multiple)
    }

    /// Takes `fc1` and `fc2`.
    pub(super) fn build(&self, channels: i64, params: &Params) -> Result<Box<dyn Module>, Error> {
        let hidden = self.hidden(channels);
        let (bias, bias_init, init) = (self.bias, BiasInit::Constant(0.0), WeightInit::KaimingNormalFanOut);
        let (first, second) = (params / "fc1", params / "fc2");
        Ok(match self.layers {
            SqueezeLayers::Convolutions => {
                let conv = |from, to| Conv2dConfig { bias, bias_init, init, ..Conv2dConfig::new(from, to, 1) };
                Box::new(ByConvolutions {
                    squeeze: conv(channels, hidden).build(&first)?,
                    excite: conv(hidden, channels).build(&second)?,
                })
            }
            SqueezeLayers::Dense => {
                let dense = |from, to| LinearConfig { bias, bias_init, init, ..LinearConfig::new(from, to) };
                Box::new(ByDense {
                    squeeze: dense(channels, hidden).build(&first)?,
                    excite: dense(hidden, channels).build(&second)?,
                })
            }
        })
    }
}

struct ByConvolutions {
    squeeze: Conv2d,
    excite: Conv2d,
}

impl Module for ByConvolutions {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let mean = x.mean_dim([2_i64, 3].as_slice(), true, None);
        x * self.excite.forward(&self.squeeze.forward(&mean, mode).relu(), mode).sigmoid()
    }
}

struct ByDense {
    squeeze: Linear,
    excite: Linear,
}

impl Module for ByDense {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let gate = self.excite.forward(&self.squeeze.forward(&global_avg_pool(x), mode).relu(), mode).sigmoid();
        x * gate.unsqueeze(2).unsqueeze(3)
    }
}
