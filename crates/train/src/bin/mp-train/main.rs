//! The mp-train binary.
fn main() {}
