//! What `tch` does not bind, in C++ beside libtorch, behind a safe face.
//!
//! The principal type is [`Autocast`]: bfloat16 on the CPU for as long as the guard lives.
#![allow(unsafe_code, reason = "this crate is the border to C++; every block says why it is sound")]

mod autocast;

pub use autocast::Autocast;
