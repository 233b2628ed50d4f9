//! What `tch` does not bind, in C++ beside libtorch, behind a safe face.
//!
//! The principal items are [`Autocast`], bfloat16 on the CPU for as long as the guard lives, and [`mix`], the mixing of
//! parallel paths in one pass over memory.
#![allow(unsafe_code, reason = "this crate is the border to C++; every block says why it is sound")]

mod autocast;
mod memory;
mod mix;

pub use autocast::Autocast;
pub use memory::keep_freed_memory;
pub use mix::{MAX_PATHS, MixError, can_mix, mix};
