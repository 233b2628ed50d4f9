//! LeNet-5's subsampling, partly wired convolution and output of distances.

use mp_nn::{Activation, AvgPool2d, Init, Meter, Module, Params, Role, Tensor, numbers_of_one};
use mp_routing::Pass;

use super::Pooling;
use crate::{Block, BlockConfig, Error, Shape};

/// `f(gain_c · sum + bias_c)` over the four cells of each 2x2 window, without overlap: `[B, C, H, W]` to
/// `[B, C, H / 2, W / 2]`. LeCun et al., Proceedings of the IEEE 86, 1998, section II.B.
///
/// ```
/// use mp_blocks::{BlockConfig, Shape, SubsamplingConfig};
/// use mp_nn::{Activation, Device, Kind, Store, Tensor};
/// use mp_routing::Pass;
///
/// let store = Store::new(Device::Cpu, 0);
/// let layer = SubsamplingConfig { activation: Activation::Identity, start: 0.5 }.build(Shape::square(1, 2), &store.root())?;
/// let y = layer.forward(&Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 6.0]).view([1, 1, 2, 2]), &mut Pass::eval());
/// assert_eq!((y.size(), y.double_value(&[0, 0, 0, 0])), (vec![1, 1, 1, 1], 6.0));
/// # Ok::<(), mp_blocks::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SubsamplingConfig {
    /// `f`.
    pub activation: Activation,
    /// Start of the gains.
    pub start: f64,
}

impl BlockConfig for SubsamplingConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        Pooling::Average(AvgPool2d::new(2, 2)).output(input)
    }

    /// Takes `weight` and `bias`, both `[C]`.
    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        self.output(input)?;
        let shape = [input.channels()];
        Ok(Box::new(Subsampling {
            weight: params.parameter("weight", &shape, Init::Constant(self.start), Role::Weight)?,
            bias: params.parameter("bias", &shape, Init::Zeros, Role::Bias)?,
            activation: self.activation,
        }))
    }
}

#[derive(Debug)]
struct Subsampling {
    weight: Tensor,
    bias: Tensor,
    activation: Activation,
}

impl Block for Subsampling {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let sums = AvgPool2d::new(2, 2).forward(x, pass.mode) * 4.0;
        let y = sums * self.weight.view([1, -1, 1, 1]) + self.bias.view([1, -1, 1, 1]);
        self.activation.forward(&y, pass.mode)
    }
}

/// A convolution whose outputs read some of the inputs only: `[B, C, H, W]` to `[B, wiring.len(), H', W']`, without padding.
/// Only kernels that are wired are parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct WiredConvConfig {
    /// For each output, the inputs that it reads.
    pub wiring: Vec<Vec<i64>>,
    /// Height and width of the kernels.
    pub kernel: i64,
    /// How far from 0 weights and biases start at most.
    pub bound: f64,
    /// What follows.
    pub activation: Activation,
}

impl WiredConvConfig {
    /// The third layer of LeNet-5 (the paper's table I): 16 outputs, of which six read three neighbouring inputs of the six,
    /// nine read four, and the last reads all.
    ///
    /// ```
    /// let wiring = mp_blocks::WiredConvConfig::lenet5_wiring();
    /// let parameters: usize = wiring.iter().map(|inputs| 25 * inputs.len() + 1).sum();
    /// assert_eq!((wiring.len(), parameters), (16, 1516));
    /// ```
    pub fn lenet5_wiring() -> Vec<Vec<i64>> {
        const READ: [&str; 16] = [
            "012", "123", "234", "345", "045", "015", "0123", "1234", "2345", "0345", "0145", "0125", "0134", "1245",
            "0235", "012345",
        ];
        READ.iter().map(|inputs| inputs.bytes().map(|digit| i64::from(digit - b'0')).collect()).collect()
    }
}

impl BlockConfig for WiredConvConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (channels, height, width) = input.map("a partly wired convolution")?;
        let (height, width) = (height - self.kernel + 1, width - self.kernel + 1);
        if height.min(width) < 1 {
            return Err(Error::too_small("a partly wired convolution", input));
        }
        if self.wiring.iter().flatten().any(|input| !(0..channels).contains(input)) {
            let expected = "a map with all channels that are wired";
            return Err(Error::Shape { block: "a partly wired convolution", expected, found: input });
        }
        Ok(Shape::Map { channels: self.wiring.len() as i64, height, width })
    }

    /// Takes `weight` `[wires, kernel, kernel]`, output by output, and `bias`.
    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        self.output(input)?;
        let channels = input.channels();
        // The place of each wired kernel among all.
        let places: Vec<i64> = (0..)
            .zip(&self.wiring)
            .flat_map(|(output, inputs)| inputs.iter().map(move |input| output * channels + input))
            .collect();
        let (outputs, start) = (self.wiring.len() as i64, Init::Uniform { bound: self.bound });
        let shape = [places.len() as i64, self.kernel, self.kernel];
        Ok(Box::new(WiredConv {
            weight: params.parameter("weight", &shape, start.clone(), Role::Weight)?,
            bias: params.parameter("bias", &[outputs], start, Role::Bias)?,
            places: Tensor::from_slice(&places).to_device(params.device()),
            shape: [outputs, channels, self.kernel, self.kernel],
            activation: self.activation,
            meter: params.meter().clone(),
        }))
    }
}

#[derive(Debug)]
struct WiredConv {
    weight: Tensor,
    bias: Tensor,
    places: Tensor,
    shape: [i64; 4],
    activation: Activation,
    meter: Meter,
}

impl Block for WiredConv {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let [outputs, inputs, kernel, _] = self.shape;
        let all = Tensor::zeros([outputs * inputs, kernel, kernel], (self.weight.kind(), self.weight.device()));
        let weight = all.index_copy(0, &self.places, &self.weight).view(self.shape);
        let y = x.conv2d(&weight, Some(&self.bias), 1, 0, 1, 1);
        self.meter.add(numbers_of_one(&y) / outputs as u64 * self.weight.numel() as u64);
        self.activation.forward(&y, pass.mode)
    }
}

/// Logits `-sum_j (x_j - code_nj)²`, the squared distances from fixed codes of ±1: `[B, C]` to `[B, N]`. The class whose code
/// is nearest has the largest. LeCun et al., 1998, equation 7, with the sign changed.
///
/// The paper drew its codes as pictures of the characters, 7 wide and 12 high. Ours are a fixed pattern without meaning,
/// which the paper names as the other choice; they are saved with the weights, so that others can be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodesConfig {
    /// Codes `N`.
    pub classes: i64,
}

impl BlockConfig for CodesConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        input.vector("an output of distances")?;
        Ok(Shape::Vector(self.classes))
    }

    /// Takes the buffer `codes` `[N, C]`.
    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        let features = input.vector("an output of distances")?;
        let values = (0..(self.classes * features) as u64).map(sign).collect();
        let codes = params.buffer("codes", &[self.classes, features], Init::Values(values))?;
        Ok(Box::new(Codes { codes, meter: params.meter().clone() }))
    }
}

/// Pseudo-random: the top bit of splitmix64's output `k` from seed 0.
fn sign(k: u64) -> f64 {
    let z = (k + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    if (z ^ (z >> 31)) >> 63 == 0 { 1.0 } else { -1.0 }
}

#[derive(Debug)]
struct Codes {
    codes: Tensor,
    meter: Meter,
}

impl Block for Codes {
    fn forward(&self, x: &Tensor, _pass: &mut Pass) -> Tensor {
        self.meter.add(self.codes.numel() as u64);
        -(x.unsqueeze(1) - &self.codes).square().sum_dim_intlist([2_i64].as_slice(), false, None)
    }
}
