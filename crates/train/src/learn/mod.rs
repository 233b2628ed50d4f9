//! A model that learns: what it minimises ([`Objective`]), how a batch is learnt from ([`Procedure`]), the steps of its
//! optimiser, and what they need to be repeatable.

mod batch_norm;
mod ema;
mod finetune;
mod learner;
mod loss_scale;
mod objective;
mod procedure;
mod replay;
pub mod seed;

pub(crate) use batch_norm::ensure_varied;
pub use learner::{Found, Learner, correct, forward, forward_forced};
pub use objective::{Classification, Loss, Objective, Targets};
pub use procedure::{Distillation, Hints, Procedure, ScoreFunction, Supervised, Teacher, TrainBatch};
