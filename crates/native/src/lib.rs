//! What `tch` does not bind, in C++ beside libtorch, behind safe functions.
//!
//! The principal items are [`Autocast`], bfloat16 on the CPU for as long as the guard lives, [`mix`] and [`route`], the
//! mixing of parallel paths and the gates that decide it in one pass over memory, [`gate_inputs`] for wide
//! convolutions, [`conv`], a convolution with a faster gradient of its weights, [`batch_norm`], which includes the
//! addition and the ReLU that follow it, [`conv_norm`], which for inference folds it into the convolution, [`max_pool`],
//! and [`ParameterList`], the steps of optimisers over all parameters at once.
//! Norms, mixing and gated inputs have kernels for GPUs too, in `cuda/`, which are compiled when they are first called:
//! [`prepare_cuda_kernels`].
//! [`Profiler`] shows where the time goes, and [`ShortWaits`] suits a machine that others use too.
#![allow(unsafe_code, reason = "this crate is the border to C++; every block says why it is sound")]

mod autocast;
mod boundary;
mod conv;
mod conv_norm;
pub mod cuda;
mod gate_inputs;
mod kernels;
pub mod libtorch;
mod memory;
mod mix;
mod norm;
mod optim;
mod pool;
mod profile;
mod route;
mod route_check;
mod waits;

pub use autocast::Autocast;
pub use boundary::TorchError;
pub use conv::{Convolution, can_conv, conv};
pub use conv_norm::{Folded, NormedConvolution, can_conv_norm, conv_norm};
pub use gate_inputs::gate_inputs;
pub use kernels::{prepare_cuda_kernels, set_cuda_gates, set_cuda_kernels};
pub use memory::keep_freed_memory;
pub use mix::{MAX_PATHS, can_mix, mix};
pub use norm::{NormState, batch_norm, can_norm};
pub use optim::{AdamWRule, ParameterList, SgdRule};
pub use pool::{PoolWindows, can_max_pool, max_pool};
pub use profile::{OpTime, Profiler};
pub use route::{GateLayers, GateNormalisation, Gated, can_route, gate, route};
pub use waits::ShortWaits;
