//! Several processes that train one network: who they are, how they meet, and what they sum, on PyTorch's own engine (c10d):
//! its `TCPStore`, its process groups on Gloo and NCCL, and its `Reducer`.
//!
//! [`Place::of`] reads which of how many processes this is. [`World::join`] meets the others. A [`Reducer`] then averages
//! gradients while the backward pass goes on, and a [`Group`] does the rest. Whatever fails is one line that names the process
//! that is to blame: [`World::explain`].
//!
//! [`Launch`] starts processes of this machine and ends them together.
//!
//! Nothing here reads the environment or prints: whoever starts the processes does.

#![allow(unsafe_code)]

mod affinity;
mod boundary;
mod error;
mod group;
mod launch;
mod nodes;
mod place;
mod reducer;
mod server;
mod signs;
mod store;
mod world;

pub use error::Error;
pub use group::{Group, Work, has_nccl};
pub use launch::{Ended, Failure, Launch};
pub use place::Place;
pub use reducer::{Reducer, backward};
pub use server::Server;
pub use world::{Meeting, World};
