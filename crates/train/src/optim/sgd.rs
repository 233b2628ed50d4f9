use mp_nn::Entry;
use tch::Tensor;

use super::{Optimiser, Slot, zeros_like};

/// How [`Sgd`] moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdConfig {
    /// Share of the running gradient that each step keeps, in `[0, 1)`; 0 is plain gradient descent.
    pub momentum: f64,
    /// Look ahead along the running gradient (Nesterov); needs a positive momentum.
    pub nesterov: bool,
    /// L2 penalty added to the gradients of weights.
    pub weight_decay: f64,
}

/// Stochastic gradient descent with momentum, as PyTorch computes it (Sutskever et al., ICML 2013).
///
/// With gradient `g` of parameter `p`: `g += weight_decay · p`, `v = momentum · v + g`, and `p -= rate · v`, or
/// `p -= rate · (g + momentum · v)` for Nesterov. The rate is not inside `v`.
pub struct Sgd {
    config: SgdConfig,
    slots: Vec<Slot<Option<Tensor>>>,
}

impl Sgd {
    /// An optimiser of `parameters`, with all running gradients at zero.
    pub fn new(parameters: Vec<Entry>, config: SgdConfig) -> Self {
        let velocity = |parameter: &Tensor| (config.momentum > 0.0).then(|| zeros_like(parameter));
        Self { config, slots: parameters.into_iter().map(|entry| Slot::new(entry, velocity)).collect() }
    }
}

impl Optimiser for Sgd {
    fn step(&mut self, rate: f64) {
        let _guard = tch::no_grad_guard();
        let SgdConfig { momentum, nesterov, weight_decay } = self.config;
        for slot in &mut self.slots {
            let Some(gradient) = slot.gradient() else { continue };
            let decay = if slot.decays { weight_decay } else { 0.0 };
            let gradient = if decay > 0.0 { gradient + &slot.tensor * decay } else { gradient };
            let direction = match &mut slot.memory {
                None => gradient,
                Some(velocity) => {
                    let _ = velocity.g_mul_scalar_(momentum).g_add_(&gradient);
                    if nesterov { gradient + &*velocity * momentum } else { velocity.shallow_clone() }
                }
            };
            let _ = slot.tensor.g_sub_(&(direction * rate));
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let velocity = |slot: &Slot<Option<Tensor>>| {
            slot.memory.as_ref().map(|velocity| (format!("velocity/{}", slot.name), velocity.shallow_clone()))
        };
        self.slots.iter().filter_map(velocity).collect()
    }
}
