//! How the entry convolutions of parallel paths are computed.

use mp_nn::{Conv2d, Mode, Module, Tensor, conv2d_grouped, conv2d_stacked};
use serde::{Deserialize, Serialize};

use crate::Error;

/// How the entry convolutions of a layer's P paths are computed. All ways give the same numbers up to rounding; which is the
/// fastest depends on the shape, the number format and the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Execution {
    /// One convolution a path.
    #[default]
    Separate,
    /// One convolution in P groups over the channels of all paths.
    Grouped,
    /// One convolution with the output channels of all paths, for paths that have one input: those after a plain split.
    Stacked,
}

impl Execution {
    /// Every way, in the order in which they are tried.
    pub const ALL: [Execution; 3] = [Execution::Separate, Execution::Grouped, Execution::Stacked];

    /// The word that configurations use.
    pub fn name(self) -> &'static str {
        match self {
            Execution::Separate => "separate",
            Execution::Grouped => "grouped",
            Execution::Stacked => "stacked",
        }
    }

    /// Fails unless the entries of all paths are convolutions of the paths' own.
    pub(crate) fn check(self, layer: &str, entries: &[Option<&Conv2d>]) -> Result<(), Error> {
        if self == Execution::Separate || entries.iter().all(Option::is_some) {
            return Ok(());
        }
        Err(Error::Execution { layer: layer.to_owned(), execution: self })
    }

    /// What the entries give, a tensor a path.
    ///
    /// # Panics
    /// On [`Execution::Stacked`] of paths whose inputs differ.
    pub(crate) fn entries(self, convolutions: &[&Conv2d], xs: &[Tensor]) -> Vec<Tensor> {
        match self {
            Execution::Separate => convolutions.iter().zip(xs).map(|(conv, x)| conv.forward(x, Mode::Eval)).collect(),
            Execution::Grouped => conv2d_grouped(convolutions, xs),
            Execution::Stacked => {
                let first = xs[0].data_ptr();
                assert!(xs.iter().all(|x| x.data_ptr() == first), "stacked convolutions of paths that have one input");
                conv2d_stacked(convolutions, &xs[0])
            }
        }
    }
}
