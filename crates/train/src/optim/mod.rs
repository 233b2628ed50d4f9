//! Optimisers: how gradients move parameters.
//!
//! An optimiser keeps its state as named tensors, so that a checkpoint can hold it and a resumed run continues to the
//! last bit. Weight decay falls on [`Role::Weight`] only: not on biases, not on the scales and shifts of norms.
//!
//! On the CPU a step of SGD, Adam and AdamW is one pass over all parameters ([`mp_native::ParameterList`]); what that pass
//! leaves, as it does with parameters on another device, moves by tensor operations, and so does all that other rules move.
//!
//! A rule is one file here, with its settings, and one line of the table in `config.rs`.

mod adam;
mod adamw;
mod config;
mod gradients;
mod grouped;
mod lamb;
mod lion;
mod max_norm;
mod moments;
mod rmsprop;
mod sgd;

use mp_native::ParameterList;
use mp_nn::{Entry, Role};
use tch::{Kind, Tensor};

use config::Settings;

pub use adam::{Adam, AdamConfig};
pub use adamw::{AdamW, AdamWConfig};
pub use config::{OptimiserConfig, RuleConfig, build, build_at_rates};
pub use gradients::Gradients;
pub use grouped::Grouped;
pub use lamb::{Lamb, LambConfig};
pub use lion::{Lion, LionConfig};
pub use max_norm::MaxNorm;
pub use rmsprop::{RmsProp, RmsPropConfig};
pub use sgd::{Sgd, SgdConfig};

/// A rule that moves parameters along their gradients.
pub trait Optimiser: Send {
    /// Takes one step with learning rate `rate`. A parameter without a gradient stays as it is.
    fn step(&mut self, rate: f64);

    /// Everything the next step depends on besides parameters and gradients, by names that hold a `/`, as no weight's does.
    ///
    /// The tensors share storage with the optimiser: copying into them restores it.
    fn state(&self) -> Vec<(String, Tensor)>;
}

/// One parameter under optimisation, with what its rule remembers about it.
struct Slot<M> {
    name: String,
    tensor: Tensor,
    decays: bool,
    memory: M,
}

impl<M> Slot<M> {
    fn new(entry: Entry, memory: impl FnOnce(&Tensor) -> M) -> Self {
        let memory = memory(&entry.tensor);
        Self { name: entry.name, tensor: entry.tensor, decays: entry.role == Role::Weight, memory }
    }

    /// The gradient with the L2 penalty of a weight; none where there is no gradient.
    fn penalised(&self, decay: f64) -> Option<Tensor> {
        let gradient = self.tensor.grad();
        if !gradient.defined() {
            return None;
        }
        Some(if self.decays && decay > 0.0 { gradient + &self.tensor * decay } else { gradient })
    }
}

/// The parameters of `slots` for the pass over all of them; `memory` gives what a slot remembers, as the pass expects it.
fn list<'a, M>(slots: &'a [Slot<M>], memory: impl Fn(&'a M) -> Vec<&'a Tensor>) -> ParameterList {
    let mut list = ParameterList::new();
    for slot in slots {
        list.push(&slot.tensor, slot.decays, &memory(&slot.memory));
    }
    list
}

/// A running mean that starts from zero and shares neither graph nor storage with its parameter.
fn zeros_like(parameter: &Tensor) -> Tensor {
    let _guard = tch::no_grad_guard();
    parameter.zeros_like()
}

/// A step counter that a checkpoint can hold; it stays on the CPU, where reading it waits for nobody.
pub(crate) fn counter() -> Tensor {
    Tensor::zeros([], (Kind::Int64, tch::Device::Cpu))
}
