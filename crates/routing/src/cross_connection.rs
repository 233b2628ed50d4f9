//! Cross-connection: sources mixed into targets, with no transform between.

use tch::Tensor;

use crate::{Error, MixerConfig, Pass, Router, RoutingShape, SharedRouter, Streams, mix};
use mp_nn::{Meter, Params, numbers_of_one};

/// A cross-connection of a layer; the default is gated.
#[derive(Clone, Debug)]
pub struct CrossConnectionConfig {
    /// Where the weights come from.
    pub mixer: SharedRouter,
}

impl Default for CrossConnectionConfig {
    fn default() -> Self {
        CrossConnectionConfig { mixer: MixerConfig::default().into() }
    }
}

impl CrossConnectionConfig {
    /// Takes the mixer's parameters (see [`RouterConfig::build`](crate::RouterConfig::build)) at `params`; `name` is the
    /// layer's in the trace.
    ///
    /// # Errors
    /// Those of the mixer.
    pub fn build(&self, params: &Params, name: &str, shape: RoutingShape) -> Result<CrossConnection, Error> {
        Ok(CrossConnection {
            mixer: self.mixer.build(params, shape)?,
            targets: shape.targets,
            hard: self.mixer.is_hard(),
            name: name.to_owned(),
            meter: params.meter().clone(),
        })
    }
}

/// `Y_j = sum_i g_ij X_i`; the target path's own layer acts on `Y_j`. Tissera et al., arXiv 2006.13904.
#[derive(Debug)]
pub struct CrossConnection {
    mixer: Box<dyn Router>,
    targets: i64,
    hard: bool,
    name: String,
    meter: Meter,
}

impl CrossConnection {
    /// S sources `[B, C, H, W]` or `[B, C]` to T targets of the same shape; the decision is appended to the trace.
    ///
    /// # Panics
    /// If the sources are not those that the layer was built for.
    pub fn forward(&self, xs: &[Tensor], pass: &mut Pass) -> Vec<Tensor> {
        let size = (xs[0].size()[0], xs.len() as i64, self.targets);
        let (ys, decision) = match pass.forced(&self.name, size) {
            Some(decision) => (mix(xs, &self.mixer.applied(&decision.weights)), decision),
            None => self.mixer.mix(xs, pass),
        };
        if !self.mixer.is_identity() {
            self.meter.add(xs.len() as u64 * numbers_of_one(&xs[0]) * decision.size().2 as u64);
        }
        pass.trace.push(&self.name, decision);
        ys
    }

    /// The same for paths of which each may have only some images. After a router that sends each image to one target, each
    /// target has those that were sent to it.
    ///
    /// # Panics
    /// As [`CrossConnection::forward`], and if a router that says that it is hard chooses nothing.
    pub fn flow(&self, streams: &Streams, pass: &mut Pass) -> Streams {
        if !self.hard {
            let all: Vec<Tensor> = (0..streams.xs.len()).map(|path| streams.full(path)).collect();
            return Streams::of(self.forward(&all, pass));
        }
        let size = (streams.batch(), streams.xs.len() as i64, self.targets);
        let decision = pass.forced(&self.name, size).or_else(|| self.mixer.choose(streams, pass));
        let mut decision = decision.unwrap_or_else(|| panic!("`{}` is hard and chooses nothing", self.name));
        let routed = streams.routed(&decision, pass.back_end);
        decision.executed = routed.xs.iter().map(|x| x.size()[0]).collect();
        pass.trace.push(&self.name, decision);
        routed
    }
}
