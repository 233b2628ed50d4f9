//! Every target is its own source: independent paths.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::Settings;
use super::uniform::for_batch;
use crate::{Decision, Error, Normalisation, Pass, Router, RoutingShape};
use mp_nn::Params;

/// Target `i` is source `i`: nothing to set, and no parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {}

impl Settings for IdentityConfig {
    fn router(&self, params: &Params, shape: RoutingShape) -> Result<Box<dyn Router>, Error> {
        let RoutingShape { sources, targets, .. } = shape;
        if sources != targets {
            let what = format!("targets of the routing layer `{}` with identity weights", params.path());
            return Err(Error::config(what, format!("as many as the {sources} sources"), targets));
        }
        Ok(Box::new(Identity { weights: Tensor::eye(sources, (params.kind(), params.device())) }))
    }

    fn is_identity(&self) -> bool {
        true
    }
}

/// Weights 1 for a path and itself, 0 for others.
#[derive(Debug)]
struct Identity {
    /// `[S, S]`.
    weights: Tensor,
}

impl Router for Identity {
    fn route(&self, xs: &[Tensor], _pass: &mut Pass) -> Decision {
        Decision::soft(for_batch(&self.weights, xs), None, Normalisation::Targets)
    }

    fn mix(&self, xs: &[Tensor], pass: &mut Pass) -> (Vec<Tensor>, Decision) {
        (xs.iter().map(Tensor::shallow_clone).collect(), self.route(xs, pass))
    }

    fn is_identity(&self) -> bool {
        true
    }
}
