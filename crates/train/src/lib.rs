//! Training multi-path networks: recipes, optimisers, checkpoints, metrics and the loop.

pub mod atomic;
pub mod benchmark;
pub mod checkpoint;
pub mod corpus;
mod error;
pub mod evaluate;
pub mod images;
pub mod interrupt;
pub mod learner;
pub mod loss;
pub mod machine;
pub mod metrics;
pub mod neighbours;
pub mod observer;
pub mod optim;
pub mod predict;
pub mod progress;
pub mod recipe;
pub mod recorder;
pub mod report;
pub mod run;
pub mod run_folder;
pub mod running;
pub mod schedule;
pub mod seed;
pub mod spec;
pub mod summary;
pub mod timing;
pub mod trained;
pub mod trainer;
pub mod tune;

pub use error::Error;
pub use recipe::Recipe;
pub use run_folder::RunFolder;
pub use spec::Spec;
pub use summary::Summary;
