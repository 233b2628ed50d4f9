//! Every target is the mean of the sources.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::Settings;
use crate::{Decision, Error, Normalisation, Pass, Router, RoutingShape};
use mp_nn::Params;

/// Every target is the mean of the sources: nothing to set, and no parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UniformConfig {}

impl Settings for UniformConfig {
    fn router(&self, params: &Params, shape: RoutingShape) -> Result<Box<dyn Router>, Error> {
        let RoutingShape { sources, targets, .. } = shape;
        let options = (params.kind(), params.device());
        Ok(Box::new(Uniform { weights: Tensor::full([sources, targets], 1.0 / sources as f64, options) }))
    }
}

/// Weights `1 / S`.
#[derive(Debug)]
struct Uniform {
    /// `[S, T]`.
    weights: Tensor,
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
