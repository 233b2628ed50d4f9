//! Every target is the mean of the sources.

use tch::Tensor;

use crate::{Decision, Normalisation, Pass, Router, RoutingShape};
use mp_nn::Params;

/// Weights `1 / S`.
#[derive(Debug)]
pub(super) struct Uniform {
    /// `[S, T]`.
    weights: Tensor,
}

impl Uniform {
    pub(super) fn new(params: &Params, shape: RoutingShape) -> Self {
        let RoutingShape { sources, targets, .. } = shape;
        let options = (params.kind(), params.device());
        Uniform { weights: Tensor::full([sources, targets], 1.0 / sources as f64, options) }
    }
}

impl Router for Uniform {
    fn route(&self, xs: &[Tensor], _pass: &mut Pass) -> Decision {
        Decision::soft(for_batch(&self.weights, xs), None, Normalisation::Sources)
    }
}

/// A table `[S, T]`, or `[1, S, T]`, for every sample of the sources: `[B, S, T]`.
pub(super) fn for_batch(table: &Tensor, xs: &[Tensor]) -> Tensor {
    table.expand([xs[0].size()[0], -1, -1], false)
}
