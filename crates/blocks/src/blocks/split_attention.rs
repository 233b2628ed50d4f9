//! The split-attention convolution of ResNeSt.

use mp_nn::{
    BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, DropBlock, Mode, Module, Params, Tensor, WeightInit,
};

use crate::Error;

const REDUCTION: i64 = 4;
const LEAST_HIDDEN: i64 = 32;
const MULTIPLE: i64 = 8;

/// Split attention on maps of `channels`.
#[derive(Clone, Copy, Debug)]
pub(super) struct SplitAttentionConfig {
    pub(super) channels: i64,
    /// Groups that do not see each other.
    pub(super) cardinality: i64,
    /// Alternatives of each group, of which the attention makes one.
    pub(super) radix: i64,
    /// Step of the convolution.
    pub(super) stride: i64,
    /// What is dropped between norm and ReLU.
    pub(super) drop_block: DropBlock,
}

impl SplitAttentionConfig {
    /// Takes `conv`, `bn0`, `fc1`, `bn1`, `fc2`: the names of the authors' and timm's weights.
    pub(super) fn build(self, params: &Params) -> Result<SplitAttention, Error> {
        let SplitAttentionConfig { channels, cardinality, radix, stride, drop_block } = self;
        let all = channels * radix;
        let hidden = ((all / REDUCTION + MULTIPLE / 2) / MULTIPLE * MULTIPLE).max(LEAST_HIDDEN);
        let init = WeightInit::KaimingNormalFanOut;
        let conv = Conv2dConfig {
            stride,
            padding: 1,
            groups: cardinality * radix,
            bias: false,
            init,
            ..Conv2dConfig::new(channels, all, 3)
        };
        let dense = |from, to| Conv2dConfig { groups: cardinality, init, ..Conv2dConfig::new(from, to, 1) };
        Ok(SplitAttention {
            conv: conv.build(&(params / "conv"))?,
            bn0: BatchNorm2dConfig::new(all).build(&(params / "bn0"))?,
            fc1: dense(channels, hidden).build(&(params / "fc1"))?,
            bn1: BatchNorm2dConfig::new(hidden).build(&(params / "bn1"))?,
            fc2: dense(hidden, all).build(&(params / "fc2"))?,
            cardinality,
            radix,
            drop_block,
        })
    }
}

/// `sum_r a_r · U_r`, `U = relu(norm(W * X))` being cut into `radix` chunks, and `a` a softmax over them, of the mean of
/// their sum: `[B, C, H, W]` to `[B, C, H', W']`. With a radix of 1 the softmax is a sigmoid. Zhang et al., arXiv
/// 2004.08955.
#[derive(Debug)]
pub(super) struct SplitAttention {
    conv: Conv2d,
    bn0: BatchNorm2d,
    fc1: Conv2d,
    bn1: BatchNorm2d,
    fc2: Conv2d,
    cardinality: i64,
    radix: i64,
    drop_block: DropBlock,
}

impl Module for SplitAttention {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let splits = dropping_relu(&ConvNorm(&self.conv, &self.bn0), &self.drop_block, x, mode);
        // The convolution's channels are the chunks one after another.
        let chunks: Vec<Tensor> = splits.chunk(self.radix, 1);
        let sum = chunks[1..].iter().fold(chunks[0].shallow_clone(), |sum, chunk| sum + chunk);
        let mean = sum.mean_dim([2_i64, 3].as_slice(), true, None);
        let attention = self.fc2.forward(&ConvNorm(&self.fc1, &self.bn1).forward_relu(&mean, mode), mode);
        let weights = self.softmax(&attention).chunk(self.radix, 1);
        let weighted = chunks.iter().zip(&weights);
        weighted.skip(1).fold(&chunks[0] * &weights[0], |y, (chunk, weight)| y.addcmul(chunk, weight))
    }
}

/// Convolution and norm, then DropBlock where it is active, then ReLU.
pub(super) fn dropping_relu(first: &ConvNorm, drop_block: &DropBlock, x: &Tensor, mode: Mode) -> Tensor {
    if drop_block.is_active(mode) {
        drop_block.forward(&first.forward(x, mode), mode).relu()
    } else {
        first.forward_relu(x, mode)
    }
}

impl SplitAttention {
    /// Of `[B, C radix, 1, 1]`, whose channels lie by cardinality, then radix, to weights that lie by radix, as the chunks.
    fn softmax(&self, attention: &Tensor) -> Tensor {
        if self.radix == 1 {
            return attention.sigmoid();
        }
        let batch = attention.size()[0];
        let all = attention.size()[1];
        let by_radix = attention.reshape([batch, self.cardinality, self.radix, all / self.cardinality / self.radix]);
        by_radix.transpose(1, 2).softmax(1, None).reshape([batch, all, 1, 1])
    }
}

#[cfg(test)]
mod tests {
    use mp_nn::{Device, Kind, Store};

    use super::*;

    /// Channel `c` of group `k` and alternative `r` comes from place `(k, r, c)` and goes to `(r, k, c)`.
    #[test]
    fn the_softmax_is_over_the_alternatives_of_each_group() {
        let (channels, cardinality, radix) = (6, 2, 3);
        let store = Store::new(Device::Cpu, 0);
        let drop_block = DropBlock::new(0.0, 3).unwrap();
        let config = SplitAttentionConfig { channels, cardinality, radix, stride: 1, drop_block };
        let split = config.build(&store.root()).unwrap();
        let attention = (Tensor::arange(channels * radix, (Kind::Double, Device::Cpu)) * 0.7).sin();
        let weights = split.softmax(&attention.view([1, channels * radix, 1, 1])).flatten(0, -1);
        let per_group = channels / cardinality;
        for (k, c) in (0..cardinality).flat_map(|k| (0..per_group).map(move |c| (k, c))) {
            let score = |r: i64| attention.double_value(&[(k * radix + r) * per_group + c]).exp();
            let sum: f64 = (0..radix).map(score).sum();
            for r in 0..radix {
                let found = weights.double_value(&[r * channels + k * per_group + c]);
                assert!((found - score(r) / sum).abs() < 1e-12, "alternative {r} of channel {c} of group {k}");
            }
        }
    }
}
