use mp_nn::{Entry, Role};
use tch::Tensor;

use super::Optimiser;

/// A limit on the weights that each output of a layer has, kept after every step (Srivastava et al., JMLR 2014, section 5.1).
///
/// The kernel of each output channel of a convolution, and the row of each unit of a dense layer, whose Euclidean norm is above
/// the limit is scaled to it. As in PyTorch's `renorm`, the factor is `limit / (norm + 1e-7)`. Biases and norms have no limit.
pub struct MaxNorm {
    rule: Box<dyn Optimiser>,
    weights: Vec<Tensor>,
    limit: f64,
}

impl MaxNorm {
    /// The steps of `rule`, which moves `parameters`, under the limit.
    pub fn new(rule: Box<dyn Optimiser>, parameters: &[Entry], limit: f64) -> Self {
        let weights = parameters.iter().filter(|entry| entry.role == Role::Weight && entry.tensor.dim() >= 2);
        Self { rule, weights: weights.map(|entry| entry.tensor.shallow_clone()).collect(), limit }
    }
}

impl Optimiser for MaxNorm {
    fn step(&mut self, rate: f64) {
        self.rule.step(rate);
        let _guard = tch::no_grad_guard();
        for weight in &mut self.weights {
            let _ = weight.renorm_(2.0, 0, self.limit);
        }
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        self.rule.state()
    }
}
