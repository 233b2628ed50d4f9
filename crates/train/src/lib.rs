//! Training multi-path networks: recipes, optimisers, checkpoints, metrics and the loop.

pub mod optim;
pub mod schedule;
