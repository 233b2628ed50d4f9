//! Cross-connection: sources mixed into targets, with no transform between.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::{Error, Mixer, MixerConfig, RoutingShape, Trace};
use mp_nn::{Meter, Params, numbers_of_one};

/// A cross-connection of a layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CrossConnectionConfig {
    /// Where the weights come from.
    pub mixer: MixerConfig,
}

impl CrossConnectionConfig {
    /// Takes the mixer's parameters (see [`MixerConfig::build`]) at `params`; `name` is the layer's in the trace.
    ///
    /// # Errors
    /// Those of [`MixerConfig::build`].
    pub fn build(&self, params: &Params, name: &str, shape: RoutingShape) -> Result<CrossConnection, Error> {
        Ok(CrossConnection {
            mixer: self.mixer.build(params, shape)?,
            name: name.to_owned(),
            meter: params.meter().clone(),
        })
    }
}

/// `Y_j = sum_i g_ij X_i`; the target path's own layer acts on `Y_j`. Tissera et al., arXiv 2006.13904.
#[derive(Debug)]
pub struct CrossConnection {
    mixer: Mixer,
    name: String,
    meter: Meter,
}

impl CrossConnection {
    /// S sources `[B, C, H, W]` or `[B, C]` to T targets of the same shape; the routes are appended to the trace.
    ///
    /// # Panics
    /// If the sources are not those that the layer was built for.
    pub fn forward(&self, xs: &[Tensor], trace: &mut Trace) -> Vec<Tensor> {
        let (ys, routes) = self.mixer.mix(xs);
        if !self.mixer.is_identity() {
            self.meter.add(xs.len() as u64 * numbers_of_one(&xs[0]) * routes.size().2 as u64);
        }
        trace.push(&self.name, routes);
        ys
    }
}
