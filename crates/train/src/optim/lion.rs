use mp_nn::Entry;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Optimiser, Settings, Slot, zeros_like};

/// How [`Lion`] moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LionConfig {
    /// Memory of the mean gradient, each in `[0, 1)`: for the step that it decides, and for the mean that is kept.
    pub betas: [f64; 2],
    /// Share of a weight that is taken off per unit of learning rate, apart from the gradient.
    pub weight_decay: f64,
}

impl Default for LionConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.99], weight_decay: 0.0 }
    }
}

impl Settings for LionConfig {
    const LR: f64 = 1e-4;

    fn build(&self, parameters: Vec<Entry>) -> Box<dyn Optimiser> {
        Box::new(Lion::new(parameters, *self))
    }
}

/// Steps of one length along the sign of the momentum (Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS
/// 2023, algorithm 2).
///
/// With gradient `g` of parameter `p`: `p -= rate · weight_decay · p`, `p -= rate · sign(β1 m + (1 - β1) g)`, then
/// `m = β2 m + (1 - β2) g`.
pub struct Lion {
    config: LionConfig,
    slots: Vec<Slot<Tensor>>,
}

impl Lion {
    /// An optimiser of `parameters`, with all means at zero.
    pub fn new(parameters: Vec<Entry>, config: LionConfig) -> Self {
        Self { config, slots: parameters.into_iter().map(|entry| Slot::new(entry, zeros_like)).collect() }
    }
}

impl Optimiser for Lion {
    fn step(&mut self, rate: f64) {
        let _guard = tch::no_grad_guard();
        let LionConfig { betas: [beta1, beta2], weight_decay } = self.config;
        for slot in self.slots.iter_mut() {
            let Some(gradient) = slot.penalised(0.0) else { continue };
            if slot.decays && weight_decay > 0.0 {
                let _ = slot.tensor.g_mul_scalar_(1.0 - rate * weight_decay);
            }
            let direction = (&slot.memory * beta1 + &gradient * (1.0 - beta1)).sign();
            let _ = slot.tensor.g_sub_(&(direction * rate));
            let _ = slot.memory.g_mul_scalar_(beta2).g_add_(&(gradient * (1.0 - beta2)));
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.slots.iter().map(|slot| (format!("mean/{}", slot.name), slot.memory.shallow_clone())).collect()
    }
}
