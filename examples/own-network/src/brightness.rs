//! A user's own weights between paths: the brighter the features of a source are, the more it gives to the other paths.

use mp_blocks::CrossingConfig;
use mp_nn::{Init, Params, Role, Tensor};
use mp_routing::{Decision, Error, Normalisation, Pass, Router, RouterConfig, RoutingShape};
use mp_zoo::Mechanism;

/// `_bright`: cross-connections by [`Brightness`].
pub(crate) static BRIGHT: Mechanism = Mechanism {
    suffix: "bright",
    summary: "cross-connections by the brightness of features",
    mixer: |_configured| BrightnessConfig.into(),
    crossing: |mixer, _form| CrossingConfig::Connection(mixer),
};

/// The settings of [`Brightness`]: none.
#[derive(Clone, Copy, Debug)]
struct BrightnessConfig;

impl RouterConfig for BrightnessConfig {
    fn build(&self, params: &Params, shape: RoutingShape) -> Result<Box<dyn Router>, Error> {
        let size = [shape.sources, shape.targets];
        Ok(Box::new(Brightness { slope: params.parameter("slope", &size, Init::Normal { std: 1.0 }, Role::Bias)? }))
    }
}

/// `g_ij = softmax over j of s_ij mean(X_i)`, with one trained slope for each pair of paths.
#[derive(Debug)]
struct Brightness {
    /// `[S, T]`.
    slope: Tensor,
}

impl Router for Brightness {
    fn route(&self, xs: &[Tensor], _pass: &mut Pass) -> Decision {
        // [B, S, 1]: one number for each source.
        let means: Vec<Tensor> =
            xs.iter().map(|x| x.flatten(1, -1).mean_dim([1_i64].as_slice(), false, None)).collect();
        let logits = Tensor::stack(&means, 1).unsqueeze(2) * &self.slope;
        Decision::soft(Normalisation::Targets.apply(&logits), Some(logits), Normalisation::Targets)
    }
}
