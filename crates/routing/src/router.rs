//! What decides how features flow: the interface that every source of mixing weights has, ours and a user's own.

use std::fmt::{self, Debug, Formatter};
use std::ops::Deref;
use std::sync::Arc;

use mp_nn::Params;
use tch::Tensor;

use crate::{Decision, Error, Pass, RoutingShape, Streams, mix};

/// Decides for S sources how much of each goes to each of T targets.
pub trait Router: Debug + Send {
    /// The decision for S sources `[B, C, H, W]` or `[B, C]`. It is the caller who appends it to the trace.
    ///
    /// # Panics
    /// On sources that the router was not built for.
    fn route(&self, xs: &[Tensor], pass: &mut Pass) -> Decision;

    /// The decision and the T targets that it makes, `Y_j = sum_i g_ij X_i`: for routers that do both in one pass over
    /// the sources.
    ///
    /// # Panics
    /// As [`Router::route`].
    fn mix(&self, xs: &[Tensor], pass: &mut Pass) -> (Vec<Tensor>, Decision) {
        let decision = self.route(xs, pass);
        (mix(xs, &self.applied(&decision.weights)), decision)
    }

    /// The weights `[B, S, T]` by which sources are added up, given those that were decided, or forced: the same, except where
    /// a target gets something that is not decided.
    fn applied(&self, weights: &Tensor) -> Tensor {
        weights.shallow_clone()
    }

    /// The decision for paths of which each may have only some images, by a router that sends each image to one target; none
    /// for one whose targets are mixes.
    fn choose(&self, streams: &Streams, pass: &mut Pass) -> Option<Decision> {
        let _ = (streams, pass);
        None
    }

    /// Whether every target is its own source, so that there is nothing to compute.
    fn is_identity(&self) -> bool {
        false
    }
}

/// The settings of a [`Router`]. [`MixerConfig`](crate::MixerConfig) lists ours; another crate can write its own.
pub trait RouterConfig: Debug + Send + Sync {
    /// Builds the router of a layer, with its parameters at `params`.
    ///
    /// # Errors
    /// A value outside its range, a shape that the router does not take, a taken name.
    fn build(&self, params: &Params, shape: RoutingShape) -> Result<Box<dyn Router>, Error>;

    /// Values for some of the router's parameters, by their names below its place, under which it starts near the identity:
    /// target `i` is then almost source `i` and, where there is one source, every target is it, as far as the normalisation lets
    /// it. They are given in row-major order; none for a router that has no such start.
    fn near_identity(&self, shape: RoutingShape) -> Vec<(String, Vec<f64>)> {
        let _ = shape;
        Vec::new()
    }

    /// Whether the router sends each image to one target: see [`Router::choose`].
    fn is_hard(&self) -> bool {
        false
    }

    /// Whether the router would be [`Router::is_identity`].
    fn is_identity(&self) -> bool {
        false
    }
}

/// Settings that several layers share; `config.into()` makes one of any [`RouterConfig`].
#[derive(Clone)]
pub struct SharedRouter(Arc<dyn RouterConfig>);

impl<C: RouterConfig + 'static> From<C> for SharedRouter {
    fn from(config: C) -> Self {
        SharedRouter(Arc::new(config))
    }
}

impl Deref for SharedRouter {
    type Target = dyn RouterConfig;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Debug for SharedRouter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
