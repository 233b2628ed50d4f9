use mp_nn::Entry;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Optimiser, Settings, Slot, zeros_like};

/// How [`RmsProp`] moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RmsPropConfig {
    /// Memory of the mean squared gradient, in `[0, 1)`.
    pub alpha: f64,
    /// Keeps the quotient finite.
    pub eps: f64,
    /// Whether `eps` is added under the root, as TensorFlow does, and not to the root.
    pub eps_inside: bool,
    /// Share of the running step that each step keeps, in `[0, 1)`; 0 for none.
    pub momentum: f64,
    /// L2 penalty added to the gradients of weights.
    pub weight_decay: f64,
}

impl Default for RmsPropConfig {
    fn default() -> Self {
        Self { alpha: 0.99, eps: 1e-8, eps_inside: false, momentum: 0.0, weight_decay: 0.0 }
    }
}

impl Settings for RmsPropConfig {
    const LR: f64 = 0.01;

    fn build(&self, parameters: Vec<Entry>) -> Box<dyn Optimiser> {
        Box::new(RmsProp::new(parameters, *self))
    }
}

/// Division by the running root mean square of the gradient, as PyTorch computes it (Tieleman and Hinton, Coursera, 2012).
///
/// With gradient `g` of parameter `p`: `g += weight_decay · p`, `v = α v + (1 - α) g²`, `d = g / (√v + eps)`, or
/// `g / √(v + eps)` with `eps_inside`, and `p -= rate · d`; with momentum `b = momentum · b + d` and `p -= rate · b`.
pub struct RmsProp {
    config: RmsPropConfig,
    slots: Vec<Slot<Memory>>,
}

struct Memory {
    square: Tensor,
    velocity: Option<Tensor>,
}

impl RmsProp {
    /// An optimiser of `parameters`, with all means at zero.
    pub fn new(parameters: Vec<Entry>, config: RmsPropConfig) -> Self {
        let memory = |parameter: &Tensor| Memory {
            square: zeros_like(parameter),
            velocity: (config.momentum > 0.0).then(|| zeros_like(parameter)),
        };
        Self { config, slots: parameters.into_iter().map(|entry| Slot::new(entry, memory)).collect() }
    }
}

impl Optimiser for RmsProp {
    fn step(&mut self, rate: f64) {
        let _guard = tch::no_grad_guard();
        let RmsPropConfig { alpha, eps, eps_inside, momentum, weight_decay } = self.config;
        for slot in self.slots.iter_mut() {
            let Some(gradient) = slot.penalised(weight_decay) else { continue };
            let Memory { square, velocity } = &mut slot.memory;
            let _ = square.g_mul_scalar_(alpha).g_add_(&(&gradient * &gradient * (1.0 - alpha)));
            let scale = if eps_inside { (&*square + eps).sqrt() } else { square.sqrt() + eps };
            let direction = gradient / scale;
            let direction = match velocity {
                None => direction,
                Some(velocity) => velocity.g_mul_scalar_(momentum).g_add_(&direction),
            };
            let _ = slot.tensor.g_sub_(&(direction * rate));
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        let of = |slot: &Slot<Memory>| {
            let square = (format!("square/{}", slot.name), slot.memory.square.shallow_clone());
            let velocity = slot.memory.velocity.as_ref();
            let velocity = velocity.map(|velocity| (format!("velocity/{}", slot.name), velocity.shallow_clone()));
            std::iter::once(square).chain(velocity)
        };
        self.slots.iter().flat_map(of).collect()
    }
}
