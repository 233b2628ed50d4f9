//! Norms that stand before their convolutions: the steps of pre-activation blocks and of dense layers.

use mp_nn::{BatchNorm2d, BatchNorm2dConfig, Conv2d, Conv2dConfig, Params};

use crate::Error;

/// A norm, and the convolution of what it gives unless that is predicted.
pub(super) struct NormConv {
    pub(super) norm: BatchNorm2d,
    pub(super) conv: Option<Conv2d>,
}

impl NormConv {
    /// Takes `norm1`, `conv1` (unless predicted), `norm2`, `conv2`, ...: timm's and torchvision's names.
    ///
    /// # Errors
    /// Sizes out of range, or a taken name.
    pub(super) fn build_all(
        convolutions: &[Conv2dConfig],
        params: &Params,
        predicted: bool,
    ) -> Result<Vec<NormConv>, Error> {
        let build = |(number, conv): (usize, &Conv2dConfig)| {
            let own = !(predicted && number == 1);
            Ok(NormConv {
                norm: BatchNorm2dConfig::new(conv.in_channels).build(&(params / format!("norm{number}").as_str()))?,
                conv: if own { Some(conv.build(&(params / format!("conv{number}").as_str()))?) } else { None },
            })
        };
        (1..).zip(convolutions).map(build).collect()
    }
}
