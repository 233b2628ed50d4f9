//! Mixing weights that are trained but the same for every input: cross-stitch.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::Settings;
use super::uniform::for_batch;
use crate::shape::above_zero;
use crate::{Decision, Error, Normalisation, Pass, Router, RoutingShape};
use mp_nn::{Init, Params, Role};

/// The gate without its input: one trained logit for each pair of paths, normalised as a gate's are, so that a
/// comparison with the gate shows what the dependence on the input is worth.
///
/// Cross-stitch units (Misra et al., arXiv 1604.03539) with normalised weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearnedConfig {
    /// Starting logit of `i → i`; the others start at 0. At 0 all paths are mixed evenly.
    pub diagonal: f64,
    /// `τ`, above 0.
    pub temperature: f64,
    /// How logits become weights.
    pub normalisation: Normalisation,
}

impl Default for LearnedConfig {
    fn default() -> Self {
        LearnedConfig { diagonal: 0.0, temperature: 1.0, normalisation: Normalisation::default() }
    }
}

impl Settings for LearnedConfig {
    /// Takes `stitch` `[S, T]`.
    ///
    /// # Errors
    /// A temperature or a diagonal outside its range, or a taken name.
    fn router(&self, params: &Params, shape: RoutingShape) -> Result<Box<dyn Router>, Error> {
        let layer = params.path();
        above_zero(layer, "temperature", self.temperature)?;
        if !self.diagonal.is_finite() {
            let what = format!("diagonal of the routing layer `{layer}`");
            return Err(Error::config(what, "a finite number", self.diagonal));
        }
        let RoutingShape { sources, targets, .. } = shape;
        let start =
            (0..sources * targets).map(|at| if at / targets == at % targets { self.diagonal } else { 0.0 }).collect();
        Ok(Box::new(Learned {
            // A bias as the gate's `bias2` is: weight decay would pull the paths towards even mixing.
            stitch: params.parameter("stitch", &[sources, targets], Init::Values(start), Role::Bias)?,
            temperature: self.temperature,
            normalisation: self.normalisation,
        }))
    }

    fn near_identity(&self, RoutingShape { sources, targets, .. }: RoutingShape) -> Vec<(String, Vec<f64>)> {
        let logits = self.normalisation.near_identity(sources, targets);
        vec![("stitch".to_owned(), logits.into_iter().map(|logit| logit * self.temperature).collect())]
    }
}

/// One logit for each pair of paths.
#[derive(Debug)]
struct Learned {
    /// Logits `[S, T]`, before the temperature.
    stitch: Tensor,
    temperature: f64,
    normalisation: Normalisation,
}

impl Router for Learned {
    fn route(&self, xs: &[Tensor], _pass: &mut Pass) -> Decision {
        // Normalised once, not once a sample.
        let logits = (&self.stitch / self.temperature).unsqueeze(0);
        let weights = self.normalisation.apply(&logits);
        Decision::soft(for_batch(&weights, xs), Some(for_batch(&logits, xs)), self.normalisation)
    }
}
