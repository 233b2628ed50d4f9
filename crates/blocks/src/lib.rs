//! Convolutional, residual and dense blocks, alone and in parallel paths that are routed into each other.
//!
//! The principal types are [`BlockConfig`], which names a block and its sizes, and [`Paths`], a layer of P such blocks
//! with a [`CrossingConfig`] between it and the layer before. How one tensor becomes P and P become one again are
//! `Split` and `Merge` of `mp-routing`.
//!
//! ```
//! use mp_blocks::{BasicBlockConfig, BlockConfig, CrossingConfig, PathsConfig};
//! use mp_nn::{Device, Kind, Mode, Store, Tensor};
//! use mp_routing::{MixerConfig, Trace};
//!
//! let store = Store::new(Device::Cpu, 0);
//! let block = BlockConfig::Basic(BasicBlockConfig { in_channels: 8, out_channels: 16, stride: 2 });
//! let layer = PathsConfig {
//!     crossing: CrossingConfig::Connection(MixerConfig::default()),
//!     ..PathsConfig::new(block, 3)
//! }
//! .build(&(&store.root() / "stage2"), "stage2")?;
//!
//! let xs = [0, 1, 2].map(|_| Tensor::randn([4, 8, 8, 8], (Kind::Float, Device::Cpu)));
//! let mut trace = Trace::new();
//! let ys = layer.forward(&xs, Mode::Train, &mut trace);
//! assert_eq!((ys.len(), ys[0].size()), (3, vec![4, 16, 4, 4]));
//! assert_eq!(trace.layers[0].routes.weights.size(), [4, 3, 3]);
//! # Ok::<(), mp_blocks::Error>(())
//! ```
//!
//! Axes: `B` batch, `C` channels, `H`, `W` height and width; path `i` is a source, path `j` a target.

mod blocks;
mod error;
mod execution;
mod paths;

pub use blocks::{
    BasicBlock, BasicBlockConfig, Block, BlockConfig, Bottleneck, BottleneckConfig, ConvBlock, ConvBlockConfig,
    DenseBlock, DenseBlockConfig, Entry, Pool,
};
pub use error::Error;
pub use execution::Execution;
pub use paths::{CrossingConfig, Paths, PathsConfig};
