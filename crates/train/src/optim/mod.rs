//! Optimisers: how gradients move parameters.
//!
//! An optimiser keeps its state as named tensors, so that a checkpoint can hold it and a resumed run continues to the
//! last bit. Weight decay falls on [`Role::Weight`] only: not on biases, not on the scales and shifts of norms.

mod adamw;
mod sgd;

use mp_nn::{Entry, Role};
use tch::{Kind, Tensor};

use crate::recipe::{OptimiserConfig, OptimiserName};

pub use adamw::{AdamW, AdamWConfig};
pub use sgd::{Sgd, SgdConfig};

/// A rule that moves parameters along their gradients.
pub trait Optimiser: Send {
    /// Takes one step with learning rate `rate`. A parameter that never got a gradient stays as it is.
    fn step(&mut self, rate: f64);

    /// Everything the next step depends on besides parameters and gradients, by names that hold a `/`, as no weight's does.
    ///
    /// The tensors share storage with the optimiser: copying into them restores it.
    fn state(&self) -> Vec<(String, Tensor)>;
}

/// The optimiser of a recipe, at its start.
pub fn build(config: &OptimiserConfig, parameters: Vec<Entry>) -> Box<dyn Optimiser> {
    let OptimiserConfig { name, momentum, nesterov, weight_decay, betas, eps, .. } = *config;
    match name {
        OptimiserName::Sgd => Box::new(Sgd::new(parameters, SgdConfig { momentum, nesterov, weight_decay })),
        OptimiserName::Adamw => Box::new(AdamW::new(parameters, AdamWConfig { betas, eps, weight_decay })),
    }
}

/// Sets every gradient to zero.
pub fn zero_gradients(parameters: &[Entry]) {
    for entry in parameters {
        entry.tensor.shallow_clone().zero_grad();
    }
}

/// Scales all gradients so that their joint Euclidean norm is at most `max_norm`; returns the norm before scaling.
///
/// The norm is a scalar on the parameters' device: nothing waits for it. As in PyTorch, the factor is
/// `min(1, max_norm / (norm + 1e-6))`.
pub fn clip_gradients(parameters: &[Entry], max_norm: f64) -> Tensor {
    let _guard = tch::no_grad_guard();
    let gradients: Vec<Tensor> = parameters.iter().map(|entry| entry.tensor.grad()).filter(Tensor::defined).collect();
    if gradients.is_empty() {
        return Tensor::from(0.0);
    }
    let norms: Vec<Tensor> = gradients.iter().map(|gradient| gradient.norm()).collect();
    let norm = Tensor::stack(&norms, 0).norm();
    let factor = (max_norm / (&norm + 1e-6)).clamp_max(1.0);
    for mut gradient in gradients {
        let _ = gradient.g_mul_(&factor);
    }
    norm
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

    /// The gradient, or `None` where no backward pass has reached this parameter.
    fn gradient(&self) -> Option<Tensor> {
        let gradient = self.tensor.grad();
        gradient.defined().then_some(gradient)
    }
}

/// A running mean that starts from zero and shares neither graph nor storage with its parameter.
fn zeros_like(parameter: &Tensor) -> Tensor {
    let _guard = tch::no_grad_guard();
    parameter.zeros_like()
}

/// A step counter that a checkpoint can hold; it stays on the CPU, where reading it waits for nobody.
fn counter() -> Tensor {
    Tensor::zeros([], (Kind::Int64, tch::Device::Cpu))
}
