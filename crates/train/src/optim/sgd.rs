use mp_native::{ParameterList, SgdRule};
use mp_nn::Entry;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Optimiser, Settings, Slot, list, zeros_like};
use crate::Error;

/// How [`Sgd`] moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SgdConfig {
    /// Share of the running gradient that each step keeps, in `[0, 1)`; 0 is plain gradient descent.
    pub momentum: f64,
    /// Look ahead along the running gradient (Nesterov); needs a positive momentum.
    pub nesterov: bool,
    /// L2 penalty added to the gradients of weights.
    pub weight_decay: f64,
}

impl Default for SgdConfig {
    fn default() -> Self {
        Self { momentum: 0.9, nesterov: true, weight_decay: 5e-4 }
    }
}

impl Settings for SgdConfig {
    const LR: f64 = 0.1;

    fn build(&self, parameters: Vec<Entry>) -> Box<dyn Optimiser> {
        Box::new(Sgd::new(parameters, *self))
    }

    fn check(&self) -> Result<(), Error> {
        if !self.nesterov || self.momentum > 0.0 {
            return Ok(());
        }
        let expected = "above 0, or optimiser.nesterov = false".to_owned();
        Err(Error::Invalid { key: "optimiser.momentum", value: self.momentum.to_string(), expected })
    }
}

/// Stochastic gradient descent with momentum, as PyTorch computes it (Sutskever et al., ICML 2013).
///
/// With gradient `g` of parameter `p`: `g += weight_decay · p`, `v = momentum · v + g`, and `p -= rate · v`, or
/// `p -= rate · (g + momentum · v)` for Nesterov. The rate is not inside `v`.
pub struct Sgd {
    config: SgdConfig,
    slots: Vec<Slot<Option<Tensor>>>,
    list: ParameterList,
}

impl Sgd {
    /// An optimiser of `parameters`, with all running gradients at zero.
    pub fn new(parameters: Vec<Entry>, config: SgdConfig) -> Self {
        let velocity = |parameter: &Tensor| (config.momentum > 0.0).then(|| zeros_like(parameter));
        let slots: Vec<_> = parameters.into_iter().map(|entry| Slot::new(entry, velocity)).collect();
        let list = list(&slots, |velocity| velocity.iter().collect());
        Self { config, slots, list }
    }
}

impl Optimiser for Sgd {
    fn step(&mut self, rate: f64) {
        let SgdConfig { momentum, nesterov, weight_decay } = self.config;
        let left = self.list.sgd(&SgdRule { rate, momentum, decay: weight_decay, nesterov });
        for (slot, left) in self.slots.iter_mut().zip(left) {
            if *left {
                slot.step(rate, &self.config);
            }
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let velocity = |slot: &Slot<Option<Tensor>>| {
            slot.memory.as_ref().map(|velocity| (format!("velocity/{}", slot.name), velocity.shallow_clone()))
        };
        self.slots.iter().filter_map(velocity).collect()
    }
}

impl Slot<Option<Tensor>> {
    /// The step by tensor operations.
    fn step(&mut self, rate: f64, config: &SgdConfig) {
        let _guard = tch::no_grad_guard();
        let SgdConfig { momentum, nesterov, weight_decay } = *config;
        let gradient = self.tensor.grad();
        let decay = if self.decays { weight_decay } else { 0.0 };
        let gradient = if decay > 0.0 { gradient + &self.tensor * decay } else { gradient };
        let direction = match &mut self.memory {
            None => gradient,
            Some(velocity) => {
                let _ = velocity.g_mul_scalar_(momentum).g_add_(&gradient);
                if nesterov { gradient + &*velocity * momentum } else { velocity.shallow_clone() }
            }
        };
        let _ = self.tensor.g_sub_(&(direction * rate));
    }
}
