//! A convolution and its norm, taken together.

use mp_native::can_conv_norm;
use tch::{Kind, Tensor};

use super::{BatchNorm2d, Conv2d};
use crate::{Mode, Module};

/// A convolution with the batch norm that follows it.
///
/// Training, and evaluation that records gradients, is the one after the other. Evaluation under
/// [`tch::no_grad`] folds the norm into the convolution, and a shortcut and a ReLU with it: for channels-last maps on the CPU,
/// and convolutions without dilation, no pass over memory remains but the convolution's own. Folded weights are kept until one
/// of the tensors that they come from changes, or the layer trains: nothing need be done about them.
///
/// ```
/// use mp_nn::{BatchNorm2dConfig, Conv2dConfig, ConvNorm, Device, Kind, Mode, Module, Store, Tensor};
///
/// let store = Store::new(Device::Cpu, 0);
/// let conv = Conv2dConfig::new(3, 8, 3).build(&(&store.root() / "conv"))?;
/// let norm = BatchNorm2dConfig::new(8).build(&(&store.root() / "norm"))?;
/// let x = Tensor::ones([1, 3, 6, 6], (Kind::Float, Device::Cpu));
/// let y = tch::no_grad(|| ConvNorm(&conv, &norm).forward_relu(&x, Mode::Eval));
/// assert!(y.allclose(&norm.forward_relu(&conv.forward(&x, Mode::Eval), Mode::Eval), 1e-5, 1e-5, false));
/// # Ok::<(), mp_nn::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ConvNorm<'a>(
    /// The convolution.
    pub &'a Conv2d,
    /// The norm of its result.
    pub &'a BatchNorm2d,
);

impl ConvNorm<'_> {
    /// `norm(W * x)`: `[B, in, H, W]` to `[B, out, H', W']`.
    ///
    /// # Panics
    /// On a tensor of another number of channels; so do the others.
    pub fn forward(self, x: &Tensor, mode: Mode) -> Tensor {
        self.apply(x, None, false, mode)
    }

    /// `relu(norm(W * x))`.
    pub fn forward_relu(self, x: &Tensor, mode: Mode) -> Tensor {
        self.apply(x, None, true, mode)
    }

    /// `relu(norm(W * x) + residual)`, with a residual of the result's shape.
    pub fn forward_add_relu(self, x: &Tensor, residual: &Tensor, mode: Mode) -> Tensor {
        self.apply(x, Some(residual), true, mode)
    }

    fn apply(self, x: &Tensor, residual: Option<&Tensor>, relu: bool, mode: Mode) -> Tensor {
        let ConvNorm(conv, norm) = self;
        if mode.is_train() {
            conv.folded.clear();
        }
        let foldable = conv.weight.kind() == Kind::Float && norm.is_wide();
        let convolution = match conv.normed() {
            Some(convolution) if foldable && !mode.is_train() && can_conv_norm(x) => convolution,
            _ => return norm.apply(&conv.forward(x, mode), residual, relu, mode),
        };
        // Only tensors of another shape are refused here: falling back would hide a fault of the caller.
        let y = mp_native::conv_norm(x, convolution, norm.state(), residual, relu, &conv.folded)
            .unwrap_or_else(|error| panic!("{error}"));
        conv.count(&y);
        y
    }
}
