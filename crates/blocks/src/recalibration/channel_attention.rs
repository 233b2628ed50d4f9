//! Efficient channel attention.

use mp_nn::{ChannelConv, ChannelConvConfig, Mode, Module, Params, Tensor, WeightInit, global_avg_pool};

use crate::Error;

/// `x · sigmoid(W * mean(x))`, the convolution going along the channels: Wang et al. (ECA-Net), arXiv 1910.03151.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelAttentionConfig {
    /// How many neighbouring channels a factor reads, odd; `None` takes the paper's function of the channels, see
    /// [`ChannelConvConfig::for_channels`].
    pub kernel: Option<i64>,
}

impl ChannelAttentionConfig {
    /// Takes `conv.weight` `[1, 1, kernel]`.
    pub(super) fn build(&self, channels: i64, params: &Params) -> Result<Box<dyn Module>, Error> {
        let conv = self.kernel.map_or_else(|| ChannelConvConfig::for_channels(channels), ChannelConvConfig::new);
        let conv = ChannelConvConfig { init: WeightInit::KaimingNormalFanOut, ..conv };
        Ok(Box::new(ChannelAttention(conv.build(&(params / "conv"))?)))
    }
}

struct ChannelAttention(ChannelConv);

impl Module for ChannelAttention {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let gate = self.0.forward(&global_avg_pool(x), mode).sigmoid();
        x * gate.unsqueeze(2).unsqueeze(3)
    }
}
