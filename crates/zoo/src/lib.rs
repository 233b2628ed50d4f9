//! Multi-path models by name.
//!
//! The principal function is [`build`], which makes a [`Model`] of a name such as `resnet20_x3_cc` and of
//! [`ModelOptions`]; [`models`] lists the names, [`cost()`] counts parameters and multiply-adds.
//!
//! ```
//! use mp_nn::{Device, Kind, Mode, Store, Tensor};
//! use mp_zoo::{InputSize, ModelOptions};
//!
//! let store = Store::new(Device::Cpu, 0);
//! let options = ModelOptions::new(InputSize { channels: 3, size: 32, classes: 10 });
//! let model = mp_zoo::build("resnet20_x2_cc", &options, &store.root())?;
//! let output = model.forward(&Tensor::zeros([1, 3, 32, 32], (Kind::Float, Device::Cpu)), Mode::Eval);
//! assert_eq!(output.logits.size(), [1, 10]);
//! assert_eq!(output.trace.layers.len(), 3); // before each of the three stages
//! # Ok::<(), mp_zoo::Error>(())
//! ```
//!
//! # Names
//!
//! `base[_wWIDTH][_xPATHS[_cc|_cp|_stitch] | _eMEMBERS]`: `resnet20`, `resnet20_w28` (28 channels in the first stage),
//! `resnet20_x3` (three paths, no routing), `resnet20_x3_cc` (cross-connections), `resnet20_x3_cp` (cross-predictions),
//! `resnet20_x3_stitch` (learned mixing that ignores the input), `resnet20_e3` (ensemble of three).

mod cost;
mod error;
mod families;
mod layers;
mod model;
mod name;
mod network;
mod options;
mod plan;
mod registry;

pub use cost::{Cost, cost, cost_of};
pub use error::Error;
pub use families::{FAMILIES, Family};
pub use layers::{LayerPlan, layers};
pub use model::{Model, Objective, Output, build};
pub use name::{Mechanism, ModelName, Variant};
pub use options::{InputSize, ModelOptions, Positions, RoutingConfig};
pub use registry::{ModelInfo, models};

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
