use mp_native::{AdamWRule, ParameterList};
use mp_nn::Entry;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::moments::Moments;
use super::{Optimiser, Settings, Slot, counter, list};

/// How [`AdamW`] moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamWConfig {
    /// Memory of the mean gradient and of the mean squared gradient, each in `[0, 1)`.
    pub betas: [f64; 2],
    /// Added to the root of the mean squared gradient, so that the quotient is finite.
    pub eps: f64,
    /// Share of a weight that is taken off per unit of learning rate, apart from the gradient.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.05 }
    }
}

impl Settings for AdamWConfig {
    const LR: f64 = 1e-3;

    fn build(&self, parameters: Vec<Entry>) -> Box<dyn Optimiser> {
        Box::new(AdamW::new(parameters, *self))
    }
}

/// Adam with decoupled weight decay, as PyTorch computes it (Loshchilov and Hutter, ICLR 2019, algorithm 2).
///
/// At step `t`, with gradient `g` of parameter `p`: `p -= rate · weight_decay · p`, `m = β1 m + (1 - β1) g`,
/// `v = β2 v + (1 - β2) g²`, and `p -= rate · m̂ / (√v̂ + eps)` with `m̂ = m / (1 - β1^t)`, `v̂ = v / (1 - β2^t)`.
pub struct AdamW {
    config: AdamWConfig,
    steps: Tensor,
    slots: Vec<Slot<Moments>>,
    list: ParameterList,
}

impl AdamW {
    /// An optimiser of `parameters`, with both means at zero.
    pub fn new(parameters: Vec<Entry>, config: AdamWConfig) -> Self {
        let slots: Vec<_> = parameters.into_iter().map(|entry| Slot::new(entry, Moments::of)).collect();
        let list = list(&slots, |moments| vec![&moments.mean, &moments.square]);
        Self { config, steps: counter(), slots, list }
    }
}

impl Optimiser for AdamW {
    fn step(&mut self, rate: f64) {
        let _ = self.steps.g_add_scalar_(1);
        let AdamWConfig { betas, eps, weight_decay } = self.config;
        let rule = AdamWRule { rate, betas, eps, decay: weight_decay, step: self.steps.int64_value(&[]) };
        for (slot, left) in self.slots.iter_mut().zip(self.list.adamw(&rule)) {
            if *left {
                slot.step(&rule);
            }
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        Moments::state("adamw", &self.steps, &self.slots)
    }
}

impl Slot<Moments> {
    /// The step by tensor operations.
    fn step(&mut self, rule: &AdamWRule) {
        let _guard = tch::no_grad_guard();
        let AdamWRule { rate, betas: [beta1, beta2], eps, decay, step } = *rule;
        let mean_rate = rate / (1.0 - beta1.powf(step as f64));
        let square_scale = (1.0 - beta2.powf(step as f64)).sqrt().recip();

        let gradient = self.tensor.grad();
        if self.decays && decay > 0.0 {
            let _ = self.tensor.g_mul_scalar_(1.0 - rate * decay);
        }
        let Moments { mean, square } = &mut self.memory;
        let _ = mean.lerp_(&gradient, 1.0 - beta1);
        let _ = square.g_mul_scalar_(beta2).g_add_(&(&gradient * &gradient * (1.0 - beta2)));
        let scale = (square.sqrt() * square_scale).g_add_scalar_(eps);
        let _ = self.tensor.g_sub_(&((&*mean / scale).g_mul_scalar_(mean_rate)));
    }
}
