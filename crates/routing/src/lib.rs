//! Data-dependent routing between the parallel paths of a network: at every depth, each input decides how much of each
//! path's features flows into each path of the next layer. Layers of features are built on top of this crate.
//!
//! The principal types are [`CrossConnection`] and [`CrossPrediction`], which route S source tensors into T target
//! tensors, and [`Trace`], which holds the weights that they chose. Their weights come from a [`Router`]: the [`Gate`], one
//! of its controls (learned, uniform, identity; see [`MixerConfig`]), or your own. [`losses`] and [`statistics`] are functions of
//! a trace.
//!
//! ```
//! use mp_nn::{Device, Kind, Store, Tensor};
//! use mp_routing::{CrossConnectionConfig, Pass, RoutingShape};
//!
//! let store = Store::new(Device::Cpu, 0);
//! let cross = CrossConnectionConfig::default().build(&store.root(), "stage2", RoutingShape::square(2, 16))?;
//! let xs = [0, 1].map(|_| Tensor::randn([4, 16, 8, 8], (Kind::Float, Device::Cpu)));
//! let mut pass = Pass::eval();
//! let ys = cross.forward(&xs, &mut pass);
//! assert_eq!((ys.len(), ys[0].size()), (2, vec![4, 16, 8, 8]));
//! assert_eq!(pass.trace.layers[0].decision.weights.size(), [4, 2, 2]);
//! # Ok::<(), mp_routing::Error>(())
//! ```
//!
//! Axes: `B` batch, `S` source paths, `T` target paths, `C` channels, `H`, `W` height and width, `N` classes. Path `i` is
//! a source, path `j` a target; numbered names start at 1. Source of the rules: Tissera et al., "End-To-End
//! Data-Dependent Routing in Multi-Path Neural Networks" (arXiv 2107.02450).

mod cross_connection;
mod cross_prediction;
mod decision;
mod dispatch;
mod ends;
mod error;
pub mod figure;
pub mod losses;
mod mix;
mod mixers;
mod normalisation;
mod pass;
mod router;
mod shape;
mod skip;
pub mod statistics;
mod streams;
mod trace;

pub use cross_connection::{CrossConnection, CrossConnectionConfig};
pub use cross_prediction::{ConvShape, CrossPrediction, CrossPredictionConfig, DenseShape, Form};
pub use decision::Decision;
pub use dispatch::{BackEnd, Plan};
pub use ends::{Merge, OneToMany, Split};
pub use error::Error;
pub use figure::Figure;
pub use losses::{Information, RoutingLossConfig, TargetRate};
pub use mix::mix;
pub use mixers::{
    Gate, GateConfig, GateInput, GateReads, IdentityConfig, LearnedConfig, MixerConfig, Top1Config, UniformConfig,
};
pub use normalisation::Normalisation;
pub use pass::Pass;
pub use router::{Router, RouterConfig, SharedRouter};
pub use shape::{MAX_PATHS, RoutingShape};
pub use skip::{SkipRule, straight_through};
pub use statistics::{LayerStatistics, RouteAccumulator};
pub use streams::Streams;
pub use trace::{Trace, TracedLayer};
