//! Gather-Excite.

use mp_nn::{
    AvgPool2d, BatchNorm2d, BatchNorm2dConfig, BiasInit, Conv2d, Conv2dConfig, ConvNorm, Mode, Module, Pair, Params,
    RectConv2dConfig, Tensor, WeightInit, upsample_nearest,
};

use crate::Error;

/// `x · sigmoid(nearest(excite(gather(x))))`: each place is scaled by what lies within an extent around it. Hu et al.,
/// arXiv 1810.12348.
///
/// | form | gather | excite |
/// |---|---|---|
/// | [`minus`](GatherExciteConfig::minus) | means | nothing |
/// | [`theta`](GatherExciteConfig::theta) | depthwise convolutions, each with a norm | nothing |
/// | [`plus`](GatherExciteConfig::plus) | the same, and a ReLU | 1x1 convolutions to a 16th and back |
///
/// Gathering over the whole map by a convolution has a kernel as large as the map: such a block takes maps of the size it
/// was built for only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatherExciteConfig {
    /// By how much the gathered map is smaller, a power of two; `None` gathers the whole map into one cell.
    pub extent: Option<i64>,
    /// How it is gathered.
    pub gather: Gather,
    /// Channels for each hidden unit of the two 1x1 convolutions that follow; `None` goes without them.
    pub reduction: Option<i64>,
}

/// How Gather-Excite gathers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gather {
    /// Means over windows of `2 extent - 1`, without what lies beyond the edge.
    Mean,
    /// Depthwise 3x3 convolutions of stride 2, as many as halve the map to the extent, with norms and ReLUs between; for the
    /// whole map one convolution with a kernel of its size.
    Convolutions,
}

impl GatherExciteConfig {
    /// Without parameters: the form θ⁻.
    pub fn minus(extent: Option<i64>) -> Self {
        GatherExciteConfig { extent, gather: Gather::Mean, reduction: None }
    }

    /// The form θ.
    pub fn theta(extent: Option<i64>) -> Self {
        GatherExciteConfig { gather: Gather::Convolutions, ..Self::minus(extent) }
    }

    /// The form θ⁺.
    pub fn plus(extent: Option<i64>) -> Self {
        GatherExciteConfig { reduction: Some(16), ..Self::theta(extent) }
    }

    /// Takes `conv1` and `bn1`, `conv2`, ... for gathering, `fc1` and `fc2` for exciting.
    pub(super) fn build(
        &self,
        channels: i64,
        (height, width): (i64, i64),
        params: &Params,
    ) -> Result<Box<dyn Module>, Error> {
        let extent = self.extent.unwrap_or(2);
        if extent < 2 || extent.count_ones() != 1 {
            let what = format!("extent of the gather-excite `{}`", params.path());
            return Err(mp_nn::Error::config(what, "a power of two from 2", extent).into());
        }
        let conv = |kernel: Pair, stride: i64, padding: i64| RectConv2dConfig {
            stride: stride.into(),
            padding: padding.into(),
            groups: channels,
            bias: false,
            init: WeightInit::KaimingNormalFanIn,
            ..RectConv2dConfig::new(channels, channels, kernel)
        };
        let convolutions = match (self.gather, self.extent) {
            (Gather::Mean, _) => Vec::new(),
            (Gather::Convolutions, None) => vec![conv((height, width).into(), 1, 0)],
            (Gather::Convolutions, Some(extent)) => vec![conv(3.into(), 2, 1); extent.ilog2() as usize],
        };
        let gathering = (1..)
            .zip(convolutions)
            .map(|(number, conv)| {
                let (conv_at, norm_at) = (format!("conv{number}"), format!("bn{number}"));
                let conv = conv.build(&(params / conv_at.as_str()))?;
                Ok((conv, BatchNorm2dConfig::new(channels).build(&(params / norm_at.as_str()))?))
            })
            .collect::<Result<_, Error>>()?;
        let layer = |from, to| Conv2dConfig {
            init: WeightInit::Normal { std: 0.01 },
            bias_init: BiasInit::Constant(0.0),
            ..Conv2dConfig::new(from, to, 1)
        };
        let excite = match self.reduction {
            None => None,
            Some(reduction) => {
                let hidden = (channels / reduction.max(1)).max(1);
                Some((
                    layer(channels, hidden).build(&(params / "fc1"))?,
                    layer(hidden, channels).build(&(params / "fc2"))?,
                ))
            }
        };
        Ok(Box::new(GatherExcite { extent: self.extent, gather: self.gather, gathering, excite }))
    }
}

struct GatherExcite {
    extent: Option<i64>,
    gather: Gather,
    gathering: Vec<(Conv2d, BatchNorm2d)>,
    excite: Option<(Conv2d, Conv2d)>,
}

impl GatherExcite {
    fn gathered(&self, x: &Tensor, mode: Mode) -> Tensor {
        match (self.gather, self.extent) {
            (Gather::Mean, None) => x.mean_dim([2_i64, 3].as_slice(), true, None),
            (Gather::Mean, Some(extent)) => {
                let window = AvgPool2d::new(2 * extent - 1, extent);
                AvgPool2d { padding: extent - 1, count_include_pad: false, ..window }.forward(x, mode)
            }
            (Gather::Convolutions, _) => {
                let mut y = x.shallow_clone();
                for (number, (conv, norm)) in (1..).zip(&self.gathering) {
                    let last = number == self.gathering.len();
                    let step = ConvNorm(conv, norm);
                    // What is gathered last is only cut off at 0 before the 1x1 convolutions.
                    let relu = !last || self.excite.is_some();
                    y = if relu { step.forward_relu(&y, mode) } else { step.forward(&y, mode) };
                }
                y
            }
        }
    }
}

impl Module for GatherExcite {
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let mut y = self.gathered(x, mode);
        if let Some((first, second)) = &self.excite {
            y = second.forward(&first.forward(&y, mode).relu(), mode);
        }
        let gate = y.sigmoid();
        if self.extent.is_none() {
            return x * gate;
        }
        let size = x.size();
        x * upsample_nearest(&gate, (size[2], size[3]))
    }
}
