//! A network that is trained: brought back from a run or a file of weights, judged by a data set, and applied to images from
//! outside.

mod budget;
mod export;
mod judge;
pub mod predict;
mod trained;

pub use export::{Names, save_starting_weights, save_weights};
pub use judge::{Judge, of_run};
pub use trained::Trained;
