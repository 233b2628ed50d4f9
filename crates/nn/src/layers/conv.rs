//! Two-dimensional convolution.

use mp_native::{Convolution, can_conv};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, Init, Meter, Mode, Module, Params, Role, numbers_of_one};

/// How the weights of a convolution start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightInit {
    /// PyTorch's default: uniform within `1 / sqrt(fan_in)`.
    #[default]
    KaimingUniform,
    /// Torchvision's for ResNet and VGG: normal with deviation `sqrt(2 / fan_out)`.
    KaimingNormalFanOut,
}

/// A square two-dimensional convolution; [`Conv2dConfig::new`] gives stride 1, no padding, one group and a bias.
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
    /// Groups of channels that do not see each other.
    pub groups: i64,
    /// Whether a bias is added.
    pub bias: bool,
    /// How the weights start.
    pub init: WeightInit,
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
            groups: 1,
            bias: true,
            init: WeightInit::default(),
        }
    }

    /// Height or width of the output for that of the input.
    pub fn output_size(&self, input: i64) -> i64 {
        (input + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Takes `weight` `[out, in / groups, kernel, kernel]` and, where there is one, `bias` `[out]`.
    ///
    /// # Errors
    /// Sizes below 1, padding below 0, groups that do not divide both channels, or a taken name.
    pub fn build(&self, params: &Params) -> Result<Conv2d, Error> {
        let at = |what: &str| format!("{what} of the convolution `{}`", params.path());
        for (what, value, least) in [
            ("in_channels", self.in_channels, 1),
            ("out_channels", self.out_channels, 1),
            ("kernel", self.kernel, 1),
            ("stride", self.stride, 1),
            ("padding", self.padding, 0),
            ("groups", self.groups, 1),
        ] {
            if value < least {
                return Err(Error::config(at(what), format!("at least {least}"), value));
            }
        }
        if self.in_channels % self.groups != 0 || self.out_channels % self.groups != 0 {
            let channels = format!("a divisor of {} and {}", self.in_channels, self.out_channels);
            return Err(Error::config(at("groups"), channels, self.groups));
        }
        let shape = [self.out_channels, self.in_channels / self.groups, self.kernel, self.kernel];
        let fan_in = shape[1] * self.kernel * self.kernel;
        let init = match self.init {
            WeightInit::KaimingUniform => Init::kaiming_uniform(fan_in),
            WeightInit::KaimingNormalFanOut => Init::kaiming_normal(self.out_channels * self.kernel * self.kernel),
        };
        let weight = params.parameter("weight", &shape, init, Role::Weight)?;
        let bias = if self.bias {
            Some(params.parameter("bias", &[self.out_channels], Init::kaiming_uniform(fan_in), Role::Bias)?)
        } else {
            None
        };
        Ok(Conv2d { weight, bias, config: self.clone(), meter: params.meter().clone() })
    }
}

/// `Y = W * X + b`: `[B, in, H, W]` to `[B, out, H', W']` with `H' = (H + 2 padding - kernel) / stride + 1`.
#[derive(Debug)]
pub struct Conv2d {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    config: Conv2dConfig,
    meter: Meter,
}

impl Conv2d {
    /// What it was built from.
    pub fn config(&self) -> &Conv2dConfig {
        &self.config
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Tensor {
        self.convolve(x, &self.weight, self.bias.as_ref(), self.config.groups)
    }
}

impl Conv2d {
    /// Its own step and padding with other weights: `[out', in / groups', kernel, kernel]`.
    fn convolve(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, groups: i64) -> Tensor {
        let c = &self.config;
        let convolution = self.with(weight, bias);
        let y = if groups == 1 && can_conv(x, convolution) {
            // What it refuses was asked before: what is left fails in libtorch, where `conv2d` panics as well.
            mp_native::conv(x, convolution).unwrap_or_else(|error| panic!("{error}"))
        } else {
            x.conv2d(weight, bias, [c.stride; 2], [c.padding; 2], [1; 2], groups)
        };
        self.count(&y);
        y
    }

    /// Its own step and padding with these weights, as mp-native takes them.
    pub(super) fn with<'a>(&self, weight: &'a Tensor, bias: Option<&'a Tensor>) -> Convolution<'a> {
        Convolution { weight, bias, stride: self.config.stride, padding: self.config.padding }
    }

    /// Adds the multiply-adds of a result of its own to the meter.
    pub(super) fn count(&self, y: &Tensor) {
        let c = &self.config;
        self.meter.add(numbers_of_one(y) * (c.in_channels / c.groups * c.kernel * c.kernel) as u64);
    }
}

/// P convolutions of one shape, each on its own input `[B, in, H, W]`, as one convolution in P times as many groups: the same
/// as each by itself, up to rounding.
///
/// # Panics
/// If there are none, not as many as inputs, or of several shapes.
pub fn conv2d_grouped(convolutions: &[&Conv2d], xs: &[Tensor]) -> Vec<Tensor> {
    assert_eq!(convolutions.len(), xs.len(), "one input for each convolution");
    let groups = convolutions[0].config.groups * xs.len() as i64;
    joint(convolutions, &Tensor::cat(xs, 1), groups)
}

/// P convolutions of one shape on one input `[B, in, H, W]`, as one convolution with P times as many output channels: the
/// same as each by itself, up to rounding.
///
/// # Panics
/// If there are none, of several shapes, or in groups.
pub fn conv2d_stacked(convolutions: &[&Conv2d], x: &Tensor) -> Vec<Tensor> {
    assert_eq!(convolutions[0].config.groups, 1, "convolutions without groups");
    joint(convolutions, x, 1)
}

fn joint(convolutions: &[&Conv2d], x: &Tensor, groups: i64) -> Vec<Tensor> {
    let first = convolutions[0];
    let same = |c: &&Conv2d| c.config == first.config;
    assert!(convolutions.iter().all(same), "convolutions of one shape");
    let weights: Vec<&Tensor> = convolutions.iter().map(|c| &c.weight).collect();
    let biases: Vec<&Tensor> = convolutions.iter().filter_map(|c| c.bias.as_ref()).collect();
    let bias = (!biases.is_empty()).then(|| Tensor::cat(&biases, 0));
    let y = first.convolve(x, &Tensor::cat(&weights, 0), bias.as_ref(), groups);
    // Each path's channels in a map of its own, in the layout that came out.
    let channels_last = y.stride()[1] == 1;
    let own = |part: Tensor| {
        if channels_last { part.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { part.contiguous() }
    };
    y.chunk(convolutions.len() as i64, 1).into_iter().map(own).collect()
}
