//! Two-dimensional convolution.

use mp_native::{Convolution, Folded, NormedConvolution, can_conv};
use tch::Tensor;

use super::RectConv2dConfig;
use crate::{Meter, Mode, Module, numbers_of_one};

/// `Y = W * X + b`: `[B, in, H, W]` to `[B, out, H', W']` with `H' = (H + 2 padding - dilation (kernel - 1) - 1) / stride + 1`
/// rounded down, and `W'` likewise. Built by [`Conv2dConfig`](crate::Conv2dConfig) or [`RectConv2dConfig`].
///
/// ```
/// use mp_nn::{Conv2dConfig, Device, Kind, Mode, Module, RectConv2dConfig, Store, Tensor};
///
/// let store = Store::new(Device::Cpu, 0);
/// let x = Tensor::zeros([2, 3, 17, 17], (Kind::Float, Device::Cpu));
/// let square = Conv2dConfig { stride: 2, ..Conv2dConfig::new(3, 8, 3) }.build(&(&store.root() / "square"))?;
/// assert_eq!(square.forward(&x, Mode::Eval).size(), [2, 8, 8, 8]);
/// let flat = RectConv2dConfig::new(3, 8, (1, 7)).build(&(&store.root() / "flat"))?;
/// assert_eq!(flat.forward(&x, Mode::Eval).size(), [2, 8, 17, 11]);
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Debug)]
pub struct Conv2d {
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    config: RectConv2dConfig,
    meter: Meter,
    /// With the norm that follows it, for inference.
    pub(super) folded: Folded,
}

impl Conv2d {
    pub(super) fn new(weight: Tensor, bias: Option<Tensor>, config: RectConv2dConfig, meter: Meter) -> Self {
        Conv2d { weight, bias, config, meter, folded: Folded::new() }
    }

    /// What it was built from.
    pub fn config(&self) -> &RectConv2dConfig {
        &self.config
    }
}

impl Module for Conv2d {
    fn forward(&self, x: &Tensor, _mode: Mode) -> Tensor {
        self.convolve(x, &self.weight, self.bias.as_ref(), self.config.groups)
    }
}

impl Conv2d {
    /// Its own step and padding with other weights: `[out', in / groups', kernel height, kernel width]`.
    fn convolve(&self, x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, groups: i64) -> Tensor {
        let c = &self.config;
        let y = match self.with(weight, bias) {
            // What it refuses was asked before: what is left fails in libtorch, where `conv2d` panics as well.
            Some(convolution) if groups == 1 && can_conv(x, convolution) => {
                mp_native::conv(x, convolution).unwrap_or_else(|error| panic!("{error}"))
            }
            _ => x.conv2d(weight, bias, c.stride.both(), c.padding.both(), c.dilation.both(), groups),
        };
        self.count(&y);
        y
    }

    /// Its own step and padding with these weights, as mp-native takes them: square and without dilation only.
    fn with<'a>(&self, weight: &'a Tensor, bias: Option<&'a Tensor>) -> Option<Convolution<'a>> {
        let c = &self.config;
        let plain = c.kernel.square().is_some() && c.dilation == 1.into();
        let (stride, padding) = (c.stride.square()?, c.padding.square()?);
        plain.then_some(Convolution { weight, bias, stride, padding })
    }

    /// As what a norm follows; `None` where it is dilated.
    pub(super) fn normed(&self) -> Option<NormedConvolution<'_>> {
        let c = &self.config;
        let of = NormedConvolution {
            weight: &self.weight,
            bias: self.bias.as_ref(),
            stride: c.stride.both(),
            padding: c.padding.both(),
        };
        (c.dilation == 1.into()).then_some(of)
    }

    /// Adds the multiply-adds of a result of its own to the meter.
    pub(super) fn count(&self, y: &Tensor) {
        let c = &self.config;
        self.meter.add(numbers_of_one(y) * (c.in_channels / c.groups * c.kernel.area()) as u64);
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
