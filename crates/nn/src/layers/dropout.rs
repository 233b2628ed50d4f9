//! Dropout.

use tch::Tensor;

use crate::{Error, Mode, Module};

/// Sets each number to zero with probability `p` while training and scales the rest by `1 / (1 - p)`; evaluation passes
/// everything. Any shape. Srivastava et al., JMLR 15, 2014.
///
/// Draws from libtorch's generator: seed it (`tch::manual_seed`) for repeatable steps.
///
/// ```
/// use mp_nn::{Dropout, Mode, Module, Tensor};
///
/// let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]);
/// let dropout = Dropout::new(0.5)?;
/// assert_eq!(dropout.forward(&x, Mode::Eval), x);
/// // Every number is dropped or doubled.
/// let y = dropout.forward(&x, Mode::Train);
/// assert!(y.eq_tensor(&(&x * 2.0)).logical_or(&y.eq(0.0)).all() == Tensor::from(true));
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Dropout {
    probability: f64,
}

impl Dropout {
    /// Dropout with probability `p`, from 0 up to but not including 1.
    ///
    /// # Errors
    /// A probability outside that range.
    pub fn new(probability: f64) -> Result<Self, Error> {
        if (0.0..1.0).contains(&probability) {
            Ok(Dropout { probability })
        } else {
            Err(Error::config("dropout probability", "0 up to, not including, 1", probability))
        }
    }
}

impl Module for Dropout {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        x.dropout(self.probability, mode.is_train())
    }
}
