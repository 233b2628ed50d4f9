use mp_nn::{Entry, Role};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{AdamW, AdamWConfig, Optimiser, Settings};

/// How [`Adam`] moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AdamConfig {
    /// Memory of the mean gradient and of the mean squared gradient, each in `[0, 1)`.
    pub betas: [f64; 2],
    /// Added to the root of the mean squared gradient, so that the quotient is finite.
    pub eps: f64,
    /// L2 penalty added to the gradients of weights; [`AdamW`] takes it off the weights instead.
    pub weight_decay: f64,
}

impl Default for AdamConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.0 }
    }
}

impl Settings for AdamConfig {
    const LR: f64 = 1e-3;

    fn build(&self, parameters: Vec<Entry>) -> Box<dyn Optimiser> {
        Box::new(Adam::new(parameters, *self))
    }
}

/// Adam, as PyTorch computes it (Kingma and Ba, ICLR 2015): `g += weight_decay · p`, then a step of [`AdamW`] without decay.
pub struct Adam {
    weights: Vec<Tensor>,
    weight_decay: f64,
    rule: AdamW,
}

impl Adam {
    /// An optimiser of `parameters`, with both means at zero.
    pub fn new(parameters: Vec<Entry>, config: AdamConfig) -> Self {
        let AdamConfig { betas, eps, weight_decay } = config;
        let weights = parameters.iter().filter(|entry| entry.role == Role::Weight);
        let weights = weights.map(|entry| entry.tensor.shallow_clone()).collect();
        Self { weights, weight_decay, rule: AdamW::new(parameters, AdamWConfig { betas, eps, weight_decay: 0.0 }) }
    }
}

impl Optimiser for Adam {
    fn step(&mut self, rate: f64) {
        if self.weight_decay > 0.0 {
            let _guard = tch::no_grad_guard();
            for weight in &self.weights {
                // Gradients are used up by a step: the penalty may stay in them.
                let mut gradient = weight.grad();
                if gradient.defined() {
                    let _ = gradient.g_add_(&(weight * self.weight_decay));
                }
            }
        }
        self.rule.step(rate);
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.rule.state()
    }
}
