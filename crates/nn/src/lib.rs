//! The thin layer over `tch` that makes wrong code fail: ordered, checked parameters, layers with PyTorch's defaults,
//! strict weight files and a meter of multiply-adds.
//!
//! The principal types are [`Store`], which owns a model's parameters in the order of their creation, [`Params`], the
//! path by which a constructor names and takes its own, and [`Module`], a layer of one tensor in and one out.
//! [`read_state_dict`] reads weights that other programs have written, including PyTorch's own files, and a [`Renaming`]
//! gives them a model's names.
//!
//! ```
//! use mp_nn::{Conv2dConfig, Device, Kind, Mode, Module, Store, Tensor};
//!
//! let store = Store::new(Device::Cpu, 0);
//! let conv = Conv2dConfig { padding: 1, ..Conv2dConfig::new(3, 8, 3) }.build(&(&store.root() / "conv"))?;
//! let y = conv.forward(&Tensor::zeros([2, 3, 32, 32], (Kind::Float, Device::Cpu)), Mode::Eval);
//! assert_eq!(y.size(), [2, 8, 32, 32]);
//! assert_eq!(store.entries()[0].name, "conv.weight");
//! # Ok::<(), mp_nn::Error>(())
//! ```
//!
//! Axes: `B` batch, `C` channels, `H`, `W` height and width, `N` classes.

mod error;
mod foreign;
mod formula;
mod init;
mod layers;
mod meter;
mod mode;
pub mod nearest;
mod pytorch;
mod renaming;
mod seal;
mod state_dict;
mod store;
mod weights;

pub use error::{Error, Mismatch};
pub use formula::{fill_by_formula, formula_input, formula_values};
pub use init::{BiasInit, Init, WeightInit};
pub use layers::{
    Activation, AllSum, AvgPool2d, BatchNorm2d, BatchNorm2dConfig, ChannelConv, ChannelConvConfig, Conv2d,
    Conv2dConfig, ConvNorm, DropBlock, Dropout, Linear, LinearConfig, LocalResponseNorm, LocalResponseNormConfig,
    MaxPool2d, Maxout, Pair, RectConv2dConfig, StochasticDepth, adaptive_avg_pool2d, conv2d_grouped, conv2d_stacked,
    global_avg_pool, max_pool2d, upsample_nearest,
};
pub use meter::{Meter, numbers_of_one};
pub use mode::{Mode, Module};
pub use renaming::Renaming;
pub use state_dict::{LoadReport, StateDict, read_state_dict};
pub use store::{Entry, Params, Role, Store};
pub use tch::{Device, Kind, Tensor};
pub use weights::{TensorFile, load_tensors, save_tensors};
