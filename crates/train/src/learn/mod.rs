//! A model that learns: its loss, the steps of its optimiser, and what they need to be repeatable.

mod batch_norm;
mod ema;
mod finetune;
mod learner;
mod loss;
pub mod seed;

pub(crate) use batch_norm::ensure_varied;
pub use learner::{Found, Learner, check_precision, correct, forward};
pub use loss::{Loss, LossConfig};
