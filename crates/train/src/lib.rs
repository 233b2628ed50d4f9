//! Training multi-path networks: recipes, optimisers, checkpoints, metrics and the loop.

mod error;
pub mod optim;
pub mod recipe;
pub mod schedule;

pub use error::Error;
pub use recipe::Recipe;
