//! Stochastic depth.

use tch::Tensor;

use crate::{Error, Mode, Module};

/// Sets a whole sample of `[B, ...]` to zero with probability `p` while training and scales the rest by `1 / (1 - p)`;
/// evaluation passes everything. On the branch of a residual block it skips the block for that image ("drop path").
///
/// Huang et al., arXiv 1603.09382, who scale by `1 - p` in evaluation instead: the same on average.
/// Draws from libtorch's generator: seed it (`tch::manual_seed`) for repeatable steps.
///
/// ```
/// use mp_nn::{Mode, Module, StochasticDepth, Tensor};
///
/// let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([2, 2]);
/// let drop = StochasticDepth::new(0.5)?;
/// assert_eq!(drop.forward(&x, Mode::Eval), x);
/// // Every row is dropped or doubled as a whole.
/// let y = drop.forward(&x, Mode::Train) / &x;
/// assert_eq!(y.select(1, 0), y.select(1, 1));
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct StochasticDepth {
    probability: f64,
}

impl StochasticDepth {
    /// Drops a sample with this probability, from 0 up to but not including 1.
    ///
    /// # Errors
    /// A probability outside that range.
    pub fn new(probability: f64) -> Result<Self, Error> {
        if (0.0..1.0).contains(&probability) {
            Ok(StochasticDepth { probability })
        } else {
            Err(Error::config("stochastic depth's probability", "0 up to, not including, 1", probability))
        }
    }

    /// Whether anything is dropped.
    pub fn is_active(&self, mode: Mode) -> bool {
        mode.is_train() && self.probability > 0.0
    }
}

impl Module for StochasticDepth {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        if !self.is_active(mode) {
            return x.shallow_clone();
        }
        let kept = 1.0 - self.probability;
        let mut shape = vec![1; x.dim()];
        shape[0] = x.size()[0];
        let mask = Tensor::empty(&shape, (x.kind(), x.device())).bernoulli_float_(kept);
        x * (mask / kept)
    }
}
