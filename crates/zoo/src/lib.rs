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
//! assert_eq!(output.logits().size(), [1, 10]);
//! assert_eq!(output.trace.layers.len(), 3); // before each of the three stages
//! # Ok::<(), mp_zoo::Error>(())
//! ```
//!
//! # Names
//!
//! `base[_wWIDTH][_xPATHS[_cc|_cp|_stitch|_blind] | _eMEMBERS]`: `resnet20`, `resnet20_w28` (28 channels in the first stage),
//! `resnet20_x3` (three paths, no routing), `resnet20_x3_cc` (cross-connections), `resnet20_x3_cp` (cross-predictions),
//! `resnet20_x3_stitch` (learned mixing that ignores the input), `resnet20_x3_blind` (gates that do not see the image), `resnet20_e3` (ensemble of three).
//!
//! # Networks of your own
//!
//! Another crate adds a block by [`mp_blocks::BlockConfig`], weights between paths by [`mp_routing::RouterConfig`] and
//! [`register_mechanism`], and a family by [`register`]: its names are then built, listed and trained like ours.

mod chain;
mod cost;
mod drops;
mod error;
mod families;
mod family;
mod interface;
mod layers;
mod matching;
mod mechanisms;
mod model;
mod name;
mod network;
mod options;
mod output;
mod plan;
mod registry;
pub mod schemes;
mod size;
mod upcycling;
mod wiring;

pub use cost::{Cost, Work, cost, cost_of};
pub use drops::{Drops, drop_rates};
pub use error::Error;
pub use family::{Family, Make, families, register};
pub use interface::{InputSize, Interface, Target};
pub use layers::{LayerPlan, SkipPlan, layers, skippable};
pub use matching::nearest_size;
pub use mechanisms::{Mechanism, mechanisms, register_mechanism};
pub use model::{Model, build};
pub use name::{ModelName, Variant};
pub use network::Network;
pub use options::{ModelOptions, Positions, RoutingConfig};
pub use output::{Head, HeadRole, Output};
pub use plan::{HeadPlan, Plan, PlannedBlock};
pub use registry::{ModelInfo, models};
pub use size::{Knob, Size};
pub use upcycling::{Copied, Place, Upcycling, auxiliaries, layer_names, upcycling};

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
