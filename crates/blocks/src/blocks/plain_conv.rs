//! A convolution with all that may stand before and after it in networks without shortcuts.

use mp_nn::{
    Activation, BatchNorm2d, BatchNorm2dConfig, BiasInit, Conv2d, ConvNorm, Dropout, LocalResponseNorm,
    LocalResponseNormConfig, Maxout, Mode, Module, Pair, Params, RectConv2dConfig, Tensor, WeightInit,
};
use mp_routing::{ConvShape, Pass};

use super::{Pooling, entry_of};
use crate::{
    Before, Block, BlockConfig, Crossable, DropRates, Droppable, EntryShape, Error, Parted, Shape, SharedBlock,
};

/// Dropout, convolution, batch norm, activation, maxout, local response normalisation, pooling, dropout: in this order, and
/// each but the convolution only where it is asked for.
///
/// [`PlainConvConfig::new`] gives a convolution with a bias and a ReLU, with the padding that keeps an odd kernel's map.
///
/// ```
/// use mp_blocks::{BlockConfig, PlainConvConfig, Pooling, Shape};
///
/// // The first layer of GoogLeNet.
/// let first = PlainConvConfig { stride: 2, pools: vec![Pooling::max_ceil(3, 2)], ..PlainConvConfig::normed(64, 7, 1e-3) };
/// assert_eq!(first.output(Shape::square(3, 224))?, Shape::square(64, 56));
/// # Ok::<(), mp_blocks::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PlainConvConfig {
    /// Channels of the output.
    pub out_channels: i64,
    /// Size of the kernel.
    pub kernel: Pair,
    /// Step of the kernel.
    pub stride: i64,
    /// Zeros added above and below, left and right.
    pub padding: Pair,
    /// Groups of channels that do not see each other.
    pub groups: i64,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the weights start.
    pub init: WeightInit,
    /// How the bias starts.
    pub bias_init: BiasInit,
    /// What the batch norm after the convolution adds to the variance; without it there is none.
    pub norm: Option<f64>,
    /// What follows.
    pub activation: Activation,
    /// Pieces of which maxout takes the largest: the convolution has so many times the output's channels.
    pub pieces: i64,
    /// Normalisation by the neighbouring channels.
    pub response: Option<LocalResponseNormConfig>,
    /// Pooling, step by step.
    pub pools: Vec<Pooling>,
    /// Probability of dropout before the convolution; 0 turns it off.
    pub dropout_before: f64,
    /// Probability of dropout at the end; 0 turns it off.
    pub dropout: f64,
    /// Names of the convolution and of the batch norm.
    pub names: [&'static str; 2],
}

impl PlainConvConfig {
    /// A convolution with a bias and a ReLU.
    pub fn new(out_channels: i64, kernel: impl Into<Pair>) -> Self {
        let RectConv2dConfig { kernel, padding, groups, init, bias_init, .. } =
            RectConv2dConfig::new(1, out_channels, kernel).same();
        PlainConvConfig {
            out_channels,
            kernel,
            stride: 1,
            padding,
            groups,
            bias: true,
            init,
            bias_init,
            norm: None,
            activation: Activation::Relu,
            pieces: 1,
            response: None,
            pools: Vec::new(),
            dropout_before: 0.0,
            dropout: 0.0,
            names: ["conv1", "bn1"],
        }
    }

    /// A convolution without a bias, a batch norm with this `eps`, and a ReLU, under torchvision's names `conv` and `bn`.
    pub fn normed(out_channels: i64, kernel: impl Into<Pair>, eps: f64) -> Self {
        PlainConvConfig { bias: false, norm: Some(eps), names: ["conv", "bn"], ..Self::new(out_channels, kernel) }
    }

    /// A convolution alone, named `conv`: the first layer of a network whose blocks begin with a norm.
    pub fn bare(out_channels: i64, kernel: impl Into<Pair>) -> Self {
        PlainConvConfig {
            bias: false,
            init: WeightInit::KaimingNormalFanOut,
            activation: Activation::Identity,
            names: ["conv", "bn"],
            ..Self::new(out_channels, kernel)
        }
    }

    /// The same without padding.
    #[must_use]
    pub fn valid(self) -> Self {
        PlainConvConfig { padding: 0.into(), ..self }
    }

    fn convolution(&self, input: Shape) -> Result<RectConv2dConfig, Error> {
        Ok(RectConv2dConfig {
            stride: self.stride.into(),
            padding: self.padding,
            groups: self.groups,
            bias: self.bias,
            init: self.init,
            bias_init: self.bias_init,
            ..RectConv2dConfig::new(input.map("a convolution")?.0, self.out_channels * self.pieces, self.kernel)
        })
    }

    /// Takes the convolution, unless predicted, and the norm.
    fn assemble(&self, input: Shape, params: &Params, predicted: bool) -> Result<PlainConv, Error> {
        let [conv_name, norm_name] = self.names;
        let conv = self.convolution(input)?;
        let channels = conv.out_channels;
        let norm = |eps| BatchNorm2dConfig { eps, ..BatchNorm2dConfig::new(channels) }.build(&(params / norm_name));
        Ok(PlainConv {
            dropout_before: Dropout::new(self.dropout_before)?,
            conv: if predicted { None } else { Some(conv.build(&(params / conv_name))?) },
            norm: self.norm.map(norm).transpose()?,
            activation: self.activation,
            maxout: if self.pieces == 1 { None } else { Some(Maxout::new(self.pieces)?) },
            response: self.response.map(|response| response.build()).transpose()?,
            pools: self.pools.clone(),
            dropout: Dropout::new(self.dropout)?,
        })
    }
}

impl BlockConfig for PlainConvConfig {
    fn output(&self, input: Shape) -> Result<Shape, Error> {
        let (_, height, width) = input.map("a convolution")?;
        let Pair { height, width } = self.convolution(input)?.output_size((height, width));
        if height.min(width) < 1 {
            return Err(Error::too_small("a convolution", input));
        }
        Pooling::output_of(&self.pools, Shape::Map { channels: self.out_channels, height, width })
    }

    fn build(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, false)?))
    }

    /// A cross-prediction has square kernels and no groups.
    fn crossable(&self) -> Option<&dyn Crossable> {
        let square = |pair: Pair| pair.height == pair.width;
        (self.groups == 1 && square(self.kernel) && square(self.padding)).then_some(self)
    }

    fn droppable(&self) -> Option<&dyn Droppable> {
        Some(self)
    }
}

/// A rate is set where there is one: before the layer, at the end, or at both.
impl Droppable for PlainConvConfig {
    fn rates(&self) -> DropRates {
        DropRates { dropout: Some(self.dropout_before.max(self.dropout)), ..DropRates::default() }
    }

    fn with_rates(&self, rates: &DropRates) -> SharedBlock {
        let set = |rate: f64| if rate > 0.0 { rates.dropout.unwrap_or(rate) } else { rate };
        let (dropout_before, dropout) = (set(self.dropout_before), set(self.dropout));
        PlainConvConfig { dropout_before, dropout, ..self.clone() }.into()
    }
}

impl Crossable for PlainConvConfig {
    /// With a bias before a norm too: weighted by the gates it differs from sample to sample.
    fn entry(&self, input: Shape) -> Result<EntryShape, Error> {
        let conv = self.convolution(input)?;
        Ok(EntryShape::Convolution(ConvShape {
            out_channels: conv.out_channels,
            kernel: self.kernel.height,
            stride: self.stride,
            padding: self.padding.height,
            bias: self.bias || self.norm.is_some(),
            init: self.init,
        }))
    }

    fn build_predicted(&self, input: Shape, params: &Params) -> Result<Box<dyn Block>, Error> {
        Ok(Box::new(self.assemble(input, params, true)?))
    }
}

/// See [`PlainConvConfig`].
#[derive(Debug)]
struct PlainConv {
    dropout_before: Dropout,
    conv: Option<Conv2d>,
    norm: Option<BatchNorm2d>,
    activation: Activation,
    maxout: Option<Maxout>,
    response: Option<LocalResponseNorm>,
    pools: Vec<Pooling>,
    dropout: Dropout,
}

impl Block for PlainConv {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Tensor {
        let (x, conv, mode) = (self.dropout_before.forward(x, pass.mode), entry_of(&self.conv), pass.mode);
        let activated = match (&self.norm, self.activation) {
            (Some(norm), Activation::Relu) => ConvNorm(conv, norm).forward_relu(&x, mode),
            (Some(norm), activation) => activation.forward(&ConvNorm(conv, norm).forward(&x, mode), mode),
            // In place: no gradient reads what the convolution gave.
            (None, Activation::Relu) => {
                let mut y = conv.forward(&x, mode);
                y.relu_()
            }
            (None, activation) => activation.forward(&conv.forward(&x, mode), mode),
        };
        self.after_activation(activated, mode)
    }

    fn parted(&self) -> Option<&dyn Parted> {
        Some(self)
    }
}

impl Parted for PlainConv {
    fn before(&self, x: &Tensor, pass: &mut Pass) -> Before {
        Before { entry: self.dropout_before.forward(x, pass.mode), around: None }
    }

    fn entry(&self) -> Option<&Conv2d> {
        self.conv.as_ref()
    }

    fn after(&self, entry: &Tensor, _around: Option<&Tensor>, pass: &mut Pass) -> Tensor {
        let activated = match (&self.norm, self.activation) {
            (Some(norm), Activation::Relu) => norm.forward_relu(entry, pass.mode),
            (Some(norm), activation) => activation.forward(&norm.forward(entry, pass.mode), pass.mode),
            (None, activation) => activation.forward(entry, pass.mode),
        };
        self.after_activation(activated, pass.mode)
    }
}

impl PlainConv {
    fn after_activation(&self, mut y: Tensor, mode: Mode) -> Tensor {
        if let Some(maxout) = &self.maxout {
            y = maxout.forward(&y, mode);
        }
        if let Some(response) = &self.response {
            y = response.forward(&y, mode);
        }
        self.dropout.forward(&Pooling::forward_all(&self.pools, y), mode)
    }
}
