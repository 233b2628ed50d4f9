//! The images of a run: opened and split as the recipe says, brought to tensors, and told apart from others, whether they
//! are those that a network was trained on.

mod corpus;
mod identity;
mod origin;
mod tensors;

pub use corpus::Corpus;
pub(crate) use corpus::{ensure_there, judging};
pub use identity::Identity;
pub use origin::{Origin, Part};
pub use tensors::{targets_to_device, to_device};
