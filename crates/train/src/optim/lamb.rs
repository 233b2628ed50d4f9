use mp_nn::Entry;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::moments::Moments;
use super::{Optimiser, Settings, Slot, counter};

/// How [`Lamb`] moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LambConfig {
    /// Memory of the mean gradient and of the mean squared gradient, each in `[0, 1)`.
    pub betas: [f64; 2],
    /// Added to the root of the mean squared gradient, so that the quotient is finite.
    pub eps: f64,
    /// Share of a weight that is added to its direction.
    pub weight_decay: f64,
}

impl Default for LambConfig {
    fn default() -> Self {
        Self { betas: [0.9, 0.999], eps: 1e-6, weight_decay: 0.01 }
    }
}

impl Settings for LambConfig {
    const LR: f64 = 5e-3;

    fn build(&self, parameters: Vec<Entry>) -> Box<dyn Optimiser> {
        Box::new(Lamb::new(parameters, *self))
    }
}

/// Adam whose steps are as long as the weights that they move, for large batches (You et al., ICLR 2020, algorithm 2).
///
/// At step `t`, with gradient `g` of parameter `p`: `m = β1 m + (1 - β1) g`, `v = β2 v + (1 - β2) g²`, and
/// `u = m̂ / (√v̂ + eps) + weight_decay · p` with `m̂ = m / (1 - β1^t)`, `v̂ = v / (1 - β2^t)`. A weight, as a whole tensor, moves by
/// `p -= rate · (|p| / |u|) · u`, or by `rate · u` where either norm is zero; biases and norms move by `rate · u`, without decay.
pub struct Lamb {
    config: LambConfig,
    steps: Tensor,
    slots: Vec<Slot<Moments>>,
}

impl Lamb {
    /// An optimiser of `parameters`, with both means at zero.
    pub fn new(parameters: Vec<Entry>, config: LambConfig) -> Self {
        let slots = parameters.into_iter().map(|entry| Slot::new(entry, Moments::of)).collect();
        Self { config, steps: counter(), slots }
    }
}

impl Optimiser for Lamb {
    fn step(&mut self, rate: f64) {
        let _guard = tch::no_grad_guard();
        let _ = self.steps.g_add_scalar_(1);
        let LambConfig { betas: [beta1, beta2], eps, weight_decay } = self.config;
        let step = self.steps.int64_value(&[]) as f64;
        let (mean_scale, square_scale) = (1.0 / (1.0 - beta1.powf(step)), 1.0 / (1.0 - beta2.powf(step)));
        for slot in self.slots.iter_mut() {
            let Some(gradient) = slot.penalised(0.0) else { continue };
            let Moments { mean, square } = &mut slot.memory;
            let _ = mean.g_mul_scalar_(beta1).g_add_(&(&gradient * (1.0 - beta1)));
            let _ = square.g_mul_scalar_(beta2).g_add_(&(&gradient * &gradient * (1.0 - beta2)));
            let direction = (&*mean * mean_scale) / ((&*square * square_scale).sqrt() + eps);
            let direction = match slot.decays {
                true => {
                    let direction = direction + &slot.tensor * weight_decay;
                    &direction * trust(&slot.tensor, &direction)
                }
                false => direction,
            };
            let _ = slot.tensor.g_sub_(&(direction * rate));
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        Moments::state("lamb", &self.steps, &self.slots)
    }
}

/// The norm of a weight over that of its direction, 1 where either is zero; a scalar on their device, which nothing waits for.
fn trust(weight: &Tensor, direction: &Tensor) -> Tensor {
    let (weight, direction) = (weight.norm(), direction.norm());
    let moves = weight.gt(0.0).logical_and(&direction.gt(0.0));
    let one = Tensor::ones([], (weight.kind(), weight.device()));
    (weight / direction).where_self(&moves.to_kind(Kind::Bool), &one)
}
