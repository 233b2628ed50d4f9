//! What a two-dimensional convolution is built from.

use serde::{Deserialize, Serialize};

use super::{Conv2d, Pair};
use crate::{BiasInit, Error, Params, Role, WeightInit};

/// A square two-dimensional convolution; [`Conv2dConfig::new`] gives stride 1, no padding, no dilation, one group and a
/// bias. [`RectConv2dConfig`] is the one whose height and width differ.
///
/// ```
/// use mp_nn::{Conv2dConfig, WeightInit};
///
/// let stem = Conv2dConfig { stride: 2, padding: 3, bias: false, ..Conv2dConfig::new(3, 64, 7) };
/// assert_eq!(stem.output_size(224), 112);
/// let thin = Conv2dConfig { init: WeightInit::Normal { std: 0.01 }, ..Conv2dConfig::depthwise(64, 3) };
/// assert_eq!((thin.groups, thin.output_size(56)), (64, 54));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2dConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Channels of the output.
    pub out_channels: i64,
    /// Height and width of the kernel.
    pub kernel: i64,
    /// Step of the kernel.
    pub stride: i64,
    /// Zeros added on each side.
    pub padding: i64,
    /// Step between the kernel's cells.
    #[serde(default = "one")]
    pub dilation: i64,
    /// Groups of channels that do not see each other.
    pub groups: i64,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the weights start.
    pub init: WeightInit,
    /// How the bias starts.
    #[serde(default)]
    pub bias_init: BiasInit,
}

fn one() -> i64 {
    1
}

impl Conv2dConfig {
    /// PyTorch's defaults for the given channels and kernel.
    pub fn new(in_channels: i64, out_channels: i64, kernel: i64) -> Self {
        Conv2dConfig {
            in_channels,
            out_channels,
            kernel,
            stride: 1,
            padding: 0,
            dilation: 1,
            groups: 1,
            bias: true,
            init: WeightInit::default(),
            bias_init: BiasInit::default(),
        }
    }

    /// One kernel for each channel, which sees no other: as many groups as channels.
    pub fn depthwise(channels: i64, kernel: i64) -> Self {
        Conv2dConfig { groups: channels, ..Self::new(channels, channels, kernel) }
    }

    /// Height or width of the output for that of the input; below 1 where the kernel does not fit.
    pub fn output_size(&self, input: i64) -> i64 {
        output_size(input, self.kernel, self.stride, self.padding, self.dilation)
    }

    /// Takes `weight` `[out, in / groups, kernel, kernel]` and, where there is one, `bias` `[out]`.
    ///
    /// # Errors
    /// Sizes below 1, padding below 0, groups that do not divide both channels, a start that is not finite, or a taken
    /// name.
    pub fn build(&self, params: &Params) -> Result<Conv2d, Error> {
        RectConv2dConfig::from(self.clone()).build(params)
    }
}

/// A two-dimensional convolution with a height and a width of its own for kernel, stride, padding and dilation, as the 1x7
/// and 7x1 ones of Inception; it builds the same [`Conv2d`] as [`Conv2dConfig`] does.
///
/// ```
/// use mp_nn::{Pair, RectConv2dConfig};
///
/// let flat = RectConv2dConfig { padding: (0, 3).into(), bias: false, ..RectConv2dConfig::new(768, 192, (1, 7)) };
/// assert_eq!(flat.output_size(17), Pair::from(17));
/// assert_eq!(flat, RectConv2dConfig { bias: false, ..RectConv2dConfig::new(768, 192, (1, 7)).same() });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RectConv2dConfig {
    /// Channels of the input.
    pub in_channels: i64,
    /// Channels of the output.
    pub out_channels: i64,
    /// Size of the kernel.
    pub kernel: Pair,
    /// Step of the kernel.
    pub stride: Pair,
    /// Zeros added above and below, left and right.
    pub padding: Pair,
    /// Step between the kernel's cells.
    pub dilation: Pair,
    /// Groups of channels that do not see each other.
    pub groups: i64,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the weights start.
    pub init: WeightInit,
    /// How the bias starts.
    pub bias_init: BiasInit,
}

impl RectConv2dConfig {
    /// PyTorch's defaults for the given channels and kernel, `(height, width)`.
    pub fn new(in_channels: i64, out_channels: i64, kernel: impl Into<Pair>) -> Self {
        let square = Conv2dConfig::new(in_channels, out_channels, 1);
        RectConv2dConfig { kernel: kernel.into(), ..square.into() }
    }

    /// With the padding at which a kernel of odd sides and stride 1 keeps the size of its input.
    #[must_use]
    pub fn same(self) -> Self {
        let padding = self.kernel.zip(self.dilation, |kernel, dilation| (kernel - 1) * dilation / 2);
        RectConv2dConfig { padding, ..self }
    }

    /// Size of the output for that of the input; below 1 where the kernel does not fit.
    pub fn output_size(&self, input: impl Into<Pair>) -> Pair {
        let input = input.into();
        let along = |axis: fn(Pair) -> i64| {
            output_size(axis(input), axis(self.kernel), axis(self.stride), axis(self.padding), axis(self.dilation))
        };
        Pair { height: along(|pair| pair.height), width: along(|pair| pair.width) }
    }

    /// Takes `weight` `[out, in / groups, kernel height, kernel width]` and, where there is one, `bias` `[out]`.
    ///
    /// # Errors
    /// As [`Conv2dConfig::build`].
    pub fn build(&self, params: &Params) -> Result<Conv2d, Error> {
        let at = |what: &str| format!("{what} of the convolution `{}`", params.path());
        self.check(at)?;
        let Pair { height, width } = self.kernel;
        let shape = [self.out_channels, self.in_channels / self.groups, height, width];
        let (fan_in, fan_out) = (shape[1] * self.kernel.area(), self.out_channels * self.kernel.area());
        let weight = params.parameter("weight", &shape, self.init.start(fan_in, fan_out), Role::Weight)?;
        let bias = if self.bias {
            Some(params.parameter("bias", &[self.out_channels], self.bias_init.start(fan_in), Role::Bias)?)
        } else {
            None
        };
        Ok(Conv2d::new(weight, bias, self.clone(), params.meter().clone()))
    }

    fn check(&self, at: impl Fn(&str) -> String) -> Result<(), Error> {
        for (what, value) in
            [("in_channels", self.in_channels), ("out_channels", self.out_channels), ("groups", self.groups)]
        {
            if value < 1 {
                return Err(Error::config(at(what), "at least 1", value));
            }
        }
        for (what, pair, least) in [
            ("kernel", self.kernel, 1),
            ("stride", self.stride, 1),
            ("padding", self.padding, 0),
            ("dilation", self.dilation, 1),
        ] {
            if let Some(value) = pair.both().into_iter().find(|value| *value < least) {
                return Err(Error::config(at(what), format!("at least {least}"), value));
            }
        }
        if self.in_channels % self.groups != 0 || self.out_channels % self.groups != 0 {
            let channels = format!("a divisor of {} and {}", self.in_channels, self.out_channels);
            return Err(Error::config(at("groups"), channels, self.groups));
        }
        self.init.check(at("init"))?;
        self.bias_init.check(at("bias_init"))
    }
}

impl From<Conv2dConfig> for RectConv2dConfig {
    fn from(square: Conv2dConfig) -> Self {
        RectConv2dConfig {
            in_channels: square.in_channels,
            out_channels: square.out_channels,
            kernel: square.kernel.into(),
            stride: square.stride.into(),
            padding: square.padding.into(),
            dilation: square.dilation.into(),
            groups: square.groups,
            bias: square.bias,
            init: square.init,
            bias_init: square.bias_init,
        }
    }
}

fn output_size(input: i64, kernel: i64, stride: i64, padding: i64, dilation: i64) -> i64 {
    (input + 2 * padding - dilation * (kernel - 1) - 1).div_euclid(stride) + 1
}
