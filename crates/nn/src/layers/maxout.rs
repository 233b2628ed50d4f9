//! Maxout.

use tch::Tensor;

use crate::{Error, Mode, Module};

/// The largest of each `pieces` neighbouring channels or features: `[B, units · pieces, ...]` to `[B, units, ...]`.
///
/// Unit `u` is the largest of the channels `u · pieces` to `u · pieces + pieces - 1` of the convolution or dense layer before
/// it, which is built with `units · pieces` outputs. Goodfellow et al., arXiv 1302.4389. A tie shares the gradient.
///
/// ```
/// use mp_nn::{Device, Kind, LinearConfig, Maxout, Mode, Module, Store, Tensor};
///
/// let maxout = Maxout::new(2)?;
/// let x = Tensor::from_slice(&[1.0_f32, 5.0, -3.0, -4.0]).view([1, 4]);
/// assert_eq!(maxout.forward(&x, Mode::Eval), Tensor::from_slice(&[5.0_f32, -3.0]).view([1, 2]));
///
/// let store = Store::new(Device::Cpu, 0);
/// let dense = LinearConfig::new(7, 3 * 2).build(&store.root())?;
/// let y = maxout.forward(&dense.forward(&Tensor::ones([2, 7], (Kind::Float, Device::Cpu)), Mode::Eval), Mode::Eval);
/// assert_eq!(y.size(), [2, 3]);
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Maxout {
    pieces: i64,
}

impl Maxout {
    /// Over so many pieces.
    ///
    /// # Errors
    /// Fewer than 1.
    pub fn new(pieces: i64) -> Result<Self, Error> {
        if pieces < 1 {
            return Err(Error::config("maxout pieces", "at least 1", pieces));
        }
        Ok(Maxout { pieces })
    }
}

/// # Panics
/// On channels that are not a multiple of the pieces.
impl Module for Maxout {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Tensor {
        x.unflatten(1, [x.size()[1] / self.pieces, self.pieces]).amax(2, false)
    }
}
