//! DropBlock.

use tch::Tensor;

use crate::{Error, Mode, Module};

/// Sets square blocks of a map `[B, C, H, W]` to zero while training, each channel's own, so that a share of about `p` is
/// gone, and scales the rest to keep the sum of a map of ones; evaluation passes everything.
///
/// The blocks' corners are drawn, independently, with probability `p / block² · H W / ((H - block + 1) (W - block + 1))`
/// where the whole block lies in the map; a block longer than a side is cut to it. Ghiasi et al., arXiv 1810.12890.
/// Draws from libtorch's generator: seed it (`tch::manual_seed`) for repeatable steps.
///
/// ```
/// use mp_nn::{Device, DropBlock, Kind, Mode, Module, Tensor};
///
/// let x = Tensor::ones([2, 3, 8, 8], (Kind::Float, Device::Cpu));
/// let drop = DropBlock::new(0.1, 3)?;
/// assert_eq!(drop.forward(&x, Mode::Eval), x);
/// assert!((drop.forward(&x, Mode::Train).mean(None).double_value(&[]) - 1.0).abs() < 1e-6);
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct DropBlock {
    probability: f64,
    block: i64,
}

impl DropBlock {
    /// Drops about this share, from 0 up to but not including 1, in blocks of this height and width.
    ///
    /// # Errors
    /// A probability outside that range, or a block below 1.
    pub fn new(probability: f64, block: i64) -> Result<Self, Error> {
        if !(0.0..1.0).contains(&probability) {
            return Err(Error::config("DropBlock's probability", "0 up to, not including, 1", probability));
        }
        if block < 1 {
            return Err(Error::config("DropBlock's block", "at least 1", block));
        }
        Ok(DropBlock { probability, block })
    }

    /// Whether anything is dropped.
    pub fn is_active(&self, mode: Mode) -> bool {
        mode.is_train() && self.probability > 0.0
    }
}

impl Module for DropBlock {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        if !self.is_active(mode) {
            return x.shallow_clone();
        }
        let (batch, channels, height, width) = x.size4().expect("a map of four axes");
        let (tall, wide) = (self.block.min(height), self.block.min(width));
        let corners = (height - tall + 1, width - wide + 1);
        let share = (height * width) as f64 / (corners.0 * corners.1) as f64;
        let probability = (self.probability * share / (tall * wide) as f64).min(1.0);
        // In float32: in half precision the sum over a batch would be rounded.
        let drawn = Tensor::empty([batch, channels, corners.0, corners.1], (tch::Kind::Float, x.device()))
            .bernoulli_float_(probability);
        // A corner becomes its block: the largest over all windows that hold it.
        let blocks = drawn.constant_pad_nd([wide - 1, wide - 1, tall - 1, tall - 1]).max_pool2d(
            [tall, wide],
            [1, 1],
            [0, 0],
            [1, 1],
            false,
        );
        let kept: Tensor = 1.0 - blocks;
        let scale = kept.numel() as f64 / kept.sum(tch::Kind::Float).clamp_min(1.0);
        x * (kept * scale).to_kind(x.kind())
    }
}
