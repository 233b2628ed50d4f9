//! Convolutional, residual and dense blocks, alone and in parallel paths that are routed into each other.
//!
//! The principal types are [`BlockConfig`] and [`Block`], the interface of our blocks and of a user's own, and [`Paths`], a
//! layer of P such blocks with a [`CrossingConfig`] between it and the layer before. `Split` and `Merge` of `mp-routing` make
//! P tensors of one and one of P.
//!
//! ```
//! use mp_blocks::{CrossingConfig, PathsConfig, ResidualConfig, Shape};
//! use mp_nn::{Device, Kind, Store, Tensor};
//! use mp_routing::{MixerConfig, Pass};
//!
//! let store = Store::new(Device::Cpu, 0);
//! let layer = PathsConfig {
//!     crossing: CrossingConfig::Connection(MixerConfig::default().into()),
//!     ..PathsConfig::new(ResidualConfig::basic(16, 2), 3)
//! }
//! .build(Shape::square(8, 8), &(&store.root() / "stage2"), "stage2")?;
//!
//! let xs = [0, 1, 2].map(|_| Tensor::randn([4, 8, 8, 8], (Kind::Float, Device::Cpu)));
//! let mut pass = Pass::train();
//! let ys = layer.forward(&xs, &mut pass);
//! assert_eq!((ys.len(), ys[0].size()), (3, vec![4, 16, 4, 4]));
//! assert_eq!(pass.trace.layers[0].decision.weights.size(), [4, 3, 3]);
//! # Ok::<(), mp_blocks::Error>(())
//! ```
//!
//! Axes: `B` batch, `C` channels, `H`, `W` height and width; path `i` is a source, path `j` a target.

mod block;
mod blocks;
mod drops;
mod error;
mod execution;
mod paths;
mod recalibration;
mod shape;

pub use block::{Before, Block, BlockConfig, Crossable, EntryShape, Parted, SharedBlock};
pub use blocks::{
    Branch, CodesConfig, ConcatConfig, ConvBlock, ConvBlockConfig, DenseBlock, DenseBlockConfig, DenseLayer,
    DenseLayerConfig, DenseSteps, HighwayConfig, ImageView, MultipathDense, MultipathDenseConfig, NamedBlock, NormRelu,
    NormReluConfig, PlainConvConfig, PlainDenseConfig, Pool, Pooling, PoolingBlockConfig, PreActivation,
    PreActivationConfig, ResNeSt, ResNeStConfig, RescaleConfig, Residual, ResidualConfig, ResponseConfig,
    ScaledSumConfig, SequenceConfig, ShortcutConfig, SkipForm, SkipGateConfig, Skippable, SkippableConfig, Strided,
    SubsamplingConfig, Transition, TransitionConfig, WiredConvConfig,
};
pub use drops::{DropRates, Droppable};
pub use error::Error;
pub use execution::Execution;
pub use paths::{CrossingConfig, Paths, PathsConfig};
pub use recalibration::{
    ChannelAttentionConfig, Gather, GatherExciteConfig, Recalibration, SqueezeExciteConfig, SqueezeLayers,
};
pub use shape::Shape;
