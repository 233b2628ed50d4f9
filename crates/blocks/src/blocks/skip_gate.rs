//! What decides from a block's input whether the block is run.

use mp_nn::{
    BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, ConvNorm, Init, Linear, LinearConfig, MaxPool2d, Mode,
    Module, Params, Role, Tensor, WeightInit, global_avg_pool,
};

use crate::{Error, Shape};

/// What scores a block's input, `[B, C, H, W]`, by the way around the block and by the block: `[B, 2]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SkipGateConfig {
    /// `W2 · relu(norm(W1 · mean(X)))`, with `hidden` features and biases that start at 0.1 and 2, so that 87 of 100 images run
    /// the block at first. ConvNet-AIG, arXiv 1711.11503.
    Relevance {
        /// Features between the two dense layers.
        hidden: i64,
    },
    /// A 2x2 max-pool, two 3x3 convolutions with norms, the second with a stride of 2, a global mean, a dense layer: gate I of
    /// SkipNet, arXiv 1711.09485.
    TwoConvolutions,
    /// One 3x3 convolution with a stride of 2 and its norm, a global mean, a dense layer: gate II of SkipNet.
    OneConvolution,
}

impl SkipGateConfig {
    /// Fails for maps that are too small.
    pub(super) fn check(self, input: Shape) -> Result<(), Error> {
        let (_, height, width) = input.map("a block that may be skipped")?;
        if self == SkipGateConfig::TwoConvolutions && height.min(width) < 2 {
            let expected = "maps of at least 2x2, which its gate pools";
            return Err(Error::Shape { block: "a block that may be skipped", expected, found: input });
        }
        Ok(())
    }

    /// Takes `fc1`, `bn1` and `fc2`, or `conv1`, `bn1`, `conv2`, `bn2` and `linear`.
    pub(super) fn build(self, input: Shape, params: &Params) -> Result<SkipGate, Error> {
        const NEARLY_ZERO: WeightInit = WeightInit::Normal { std: 0.001 };
        let (channels, second) = (input.channels(), params / "fc2");
        match self {
            SkipGateConfig::Relevance { hidden } => Ok(SkipGate::Relevance {
                first: LinearConfig::new(channels, hidden).build(&(params / "fc1"))?,
                norm: BatchNorm2dConfig::new(hidden).build(&(params / "bn1"))?,
                second: LinearConfig { init: NEARLY_ZERO, bias: false, ..LinearConfig::new(hidden, 2) }
                    .build(&second)?,
                bias: second.parameter("bias", &[2], Init::Values(vec![0.1, 2.0]), Role::Bias)?,
            }),
            SkipGateConfig::TwoConvolutions => {
                let step = |number, stride| Step::build(channels, stride, number, params);
                SkipGate::convolutions(true, vec![step(1, 1)?, step(2, 2)?], channels, params)
            }
            SkipGateConfig::OneConvolution => {
                SkipGate::convolutions(false, vec![Step::build(channels, 2, 1, params)?], channels, params)
            }
        }
    }
}

/// A built [`SkipGateConfig`].
#[derive(Debug)]
pub(super) enum SkipGate {
    Relevance { first: Linear, norm: BatchNorm2d, second: Linear, bias: Tensor },
    Convolutions { pools: bool, steps: Vec<Step>, dense: Linear },
}

impl SkipGate {
    fn convolutions(pools: bool, steps: Vec<Step>, channels: i64, params: &Params) -> Result<Self, Error> {
        // The authors' 1x1 convolution to two channels, which starts as all their convolutions do.
        let init = WeightInit::KaimingNormalFanOut;
        let dense = LinearConfig { init, ..LinearConfig::new(channels, 2) }.build(&(params / "linear"))?;
        Ok(SkipGate::Convolutions { pools, steps, dense })
    }

    /// `[B, C, H, W]` to `[B, 2]`.
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match self {
            SkipGate::Relevance { first, norm, second, bias } => {
                let hidden = norm.forward(&first.forward(&global_avg_pool(x), mode), mode).relu();
                second.forward(&hidden, mode) + bias
            }
            SkipGate::Convolutions { pools, steps, dense } => {
                let mut x = if *pools { MaxPool2d::new(2, 2).forward(x, mode) } else { x.shallow_clone() };
                for Step { conv, norm } in steps {
                    x = ConvNorm(conv, norm).forward_relu(&x, mode);
                }
                dense.forward(&global_avg_pool(&x), mode)
            }
        }
    }
}

/// A convolution with its norm.
#[derive(Debug)]
pub(super) struct Step {
    conv: Conv2d,
    norm: BatchNorm2d,
}

impl Step {
    fn build(channels: i64, stride: i64, number: usize, params: &Params) -> Result<Self, Error> {
        let conv = Conv2dConfig {
            stride,
            padding: 1,
            bias: false,
            init: WeightInit::KaimingNormalFanOut,
            ..Conv2dConfig::new(channels, channels, 3)
        };
        Ok(Step {
            conv: conv.build(&(params / format!("conv{number}").as_str()))?,
            norm: BatchNorm2dConfig::new(channels).build(&(params / format!("bn{number}").as_str()))?,
        })
    }
}
