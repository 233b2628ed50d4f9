//! A fixed scale and shift of each channel.

use mp_nn::{Params, Tensor};
use mp_routing::Pass;

use crate::{Block, BlockConfig, Error, Shape};

/// `scale_c x_c + shift_c`: takes images standardised by one mean and deviation to those standardised by another. Nothing is
/// trained.
///
/// ```
/// use mp_blocks::{BlockConfig, RescaleConfig, Shape};
/// use mp_nn::{Device, Kind, Store, Tensor};
/// use mp_routing::Pass;
///
/// // From mean 0.5 and deviation 0.25 to mean 0 and deviation 1.
/// let rescale = RescaleConfig::between((&[0.5], &[0.25]), (&[0.0], &[1.0]));
/// let block = rescale.build(Shape::square(1, 1), &Store::new(Device::Cpu, 0).root())?;
/// let x = Tensor::ones([1, 1, 1, 1], (Kind::Float, Device::Cpu));
/// assert_eq!(block.forward(&x, &mut Pass::eval()).double_value(&[0, 0, 0, 0]), 0.75);
/// # Ok::<(), mp_blocks::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RescaleConfig {
    /// What each channel is multiplied by.
    pub scale: Vec<f64>,
    /// What is then added to it.
    pub shift: Vec<f64>,
}

impl RescaleConfig {
    /// From images standardised by the first means and deviations to those by the second.
    pub fn between(from: (&[f64], &[f64]), to: (&[f64], &[f64])) -> Self {
        let channels = from.0.len();
        RescaleConfig {
            scale: (0..channels).map(|c| from.1[c] / to.1[c]).collect(),
            shift: (0..channels).map(|c| (from.0[c] - to.0[c]) / to.1[c]).collect(),
        }
    }
}

impl BlockConfig for RescaleConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let channels = input.map("a change of colours")?.0 as usize;
        if channels != self.scale.len() || channels != self.shift.len() {
            let expected = "a map with as many channels as it has scales and shifts";
            return Err(Error::Shape { block: "a change of colours", expected, found: input });
        }
        Ok(input)
    }

    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        self.output(input)?;
        let tensor = |values: &[f64]| {
            Tensor::from_slice(values).to_kind(params.kind()).to_device(params.device()).view([1, -1, 1, 1])
        };
        Ok(Box::new(Rescale { scale: tensor(&self.scale), shift: tensor(&self.shift) }))
    }
}

#[derive(Debug)]
struct Rescale {
    scale: Tensor,
    shift: Tensor,
}

impl Block for Rescale {
    fn forward(&self, x: &Tensor, _pass: &mut Pass) -> Tensor {
        x * &self.scale + &self.shift
    }
}
