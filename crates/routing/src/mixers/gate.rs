//! The gate: how an input decides where its features go.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::Settings;
use super::features::{GateInput, GateReads, RunningFeatures};
use super::temperature::Temperature;
use super::uniform::for_batch;
use crate::normalisation::at_least_float;
use crate::shape::{above_zero, at_least_one};
use crate::{Decision, Error, Normalisation, Pass, Router, RoutingShape, mix};
use mp_native::{Autocast, GateLayers, GateNormalisation};
use mp_nn::{Init, Meter, Mode, Params, Role};

/// A gate of two dense layers for every source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateConfig {
    /// Width of the hidden layer, at least 1.
    pub hidden: i64,
    /// `τ`, above 0: lower is sharper.
    pub temperature: f64,
    /// What `τ` has come to at the end of training, above 0, or 0 where it stays: see [`GateConfig::temperature_at`].
    pub final_temperature: f64,
    /// How logits become weights.
    pub normalisation: Normalisation,
    /// Whose means each source's gate reads.
    pub reads: GateReads,
    /// What is read of the sources' means.
    pub input: GateInput,
    /// Reads the running means of its sources in place of the image's own: the same parameters that learn in the same way, and
    /// no input. What a gate is better by is what the dependence on the input is worth.
    pub blind: bool,
    /// Added to the starting logit of `i → i`: above 0, a path starts by keeping more of itself.
    pub diagonal: f64,
    /// Gives each target its own source whole, beside what the gates send: `Y_j = X_j + sum_i g_ij X_i`, so that no path is
    /// ever starved; of one source, every target is its own. The trace holds `g`. Ours, after residual networks (He et al.,
    /// arXiv 1512.03385).
    pub residual: bool,
}

impl Default for GateConfig {
    fn default() -> Self {
        GateConfig {
            hidden: 16,
            temperature: 1.0,
            final_temperature: 0.0,
            normalisation: Normalisation::default(),
            reads: GateReads::default(),
            input: GateInput::default(),
            blind: false,
            diagonal: 0.0,
            residual: false,
        }
    }
}

impl GateConfig {
    /// Takes `weight1` `[S, hidden, C]` (`[S, hidden, S · C]` where all sources are read), `bias1` `[S, hidden]`, `weight2`
    /// `[S, T, hidden]` and `bias2` `[S, T]`, each source's slice with the start of a dense layer of its own. Where the input
    /// is standardised or the gate blind, also the buffers `running_mean` and `running_var` `[S, C]` and `batches` `[1]`;
    /// where the temperature falls, the buffer `temperature` `[1]`.
    ///
    /// # Errors
    /// A path count, channels, hidden width or temperature outside its range, residual routing between several sources and
    /// another number of targets, or a taken name.
    pub fn build(&self, params: &Params, shape: RoutingShape) -> Result<Gate, Error> {
        let layer = params.path();
        shape.check(layer)?;
        at_least_one(layer, "hidden width", self.hidden)?;
        above_zero(layer, "temperature", self.temperature)?;
        if self.final_temperature != 0.0 {
            above_zero(layer, "final temperature", self.final_temperature)?;
        }
        if !self.diagonal.is_finite() {
            let what = format!("diagonal of the routing layer `{layer}`");
            return Err(Error::config(what, "a finite number", self.diagonal));
        }
        let RoutingShape { sources, targets, channels } = shape;
        if self.residual && sources != 1 && sources != targets {
            let what = format!("targets of the routing layer `{layer}` with residual routing");
            return Err(Error::config(what, format!("as many as the {sources} sources"), targets));
        }
        let inputs = self.reads.inputs(sources, channels);
        let (first, second) = (Init::kaiming_uniform(inputs), Init::kaiming_uniform(self.hidden));
        let running = (self.blind || self.input == GateInput::Standardised)
            .then(|| RunningFeatures::build(params, sources, channels))
            .transpose()?;
        let gate = Gate {
            weight1: params.parameter("weight1", &[sources, self.hidden, inputs], first.clone(), Role::Weight)?,
            bias1: params.parameter("bias1", &[sources, self.hidden], first, Role::Bias)?,
            weight2: params.parameter("weight2", &[sources, targets, self.hidden], second.clone(), Role::Weight)?,
            bias2: params.parameter("bias2", &[sources, targets], second, Role::Bias)?,
            temperature: Temperature::build(self, params)?,
            normalisation: self.normalisation,
            reads: self.reads,
            input: self.input,
            running,
            blind: self.blind,
            residual: self.residual,
            meter: params.meter().clone(),
        };
        if self.diagonal != 0.0 {
            let _guard = tch::no_grad_guard();
            let own = Tensor::eye(sources.max(targets), (params.kind(), params.device())) * self.diagonal;
            let _ = gate.bias2.shallow_clone().g_add_(&own.narrow(0, 0, sources).narrow(1, 0, targets));
        }
        Ok(gate)
    }
}

impl Settings for GateConfig {
    fn router(&self, params: &Params, shape: RoutingShape) -> Result<Box<dyn Router>, Error> {
        Ok(Box::new(self.build(&(params / "gate"), shape)?))
    }

    fn near_identity(&self, RoutingShape { sources, targets, .. }: RoutingShape) -> Vec<(String, Vec<f64>)> {
        // Beside a whole source, a path is itself where nothing is sent, which only a sigmoid can say.
        let logits = match self.residual {
            true => self.normalisation.near_nothing(sources * targets),
            false => self.normalisation.near_identity(sources, targets),
        };
        if logits.is_empty() {
            return Vec::new();
        }
        vec![("gate.bias2".to_owned(), logits.into_iter().map(|logit| logit * self.temperature).collect())]
    }
}

/// `z_i = mean over H, W of X_i`; `a_i = W2_i · relu(W1_i · z_i + b1_i) + b2_i`; `g = normalise(a / τ)`.
///
/// Where statistics of features are kept, a batch in training is decided on by those of the batches before it.
///
/// Every source has its own weights. On the CPU, and on a GPU where its kernel is on, all of it is one call, sample by sample, in
/// float32 at least (`mp_native::gate`); elsewhere all sources run as one batched product a layer, since S small ones cost more in calls than
/// in arithmetic. Tissera et al., arXiv 2107.02450.
#[derive(Debug)]
pub struct Gate {
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    temperature: Temperature,
    normalisation: Normalisation,
    reads: GateReads,
    input: GateInput,
    running: Option<RunningFeatures>,
    blind: bool,
    residual: bool,
    meter: Meter,
}

impl Router for Gate {
    fn route(&self, xs: &[Tensor], pass: &mut Pass) -> Decision {
        self.decide(xs, pass)
    }

    fn mix(&self, xs: &[Tensor], pass: &mut Pass) -> (Vec<Tensor>, Decision) {
        let is_seen = self.begin(xs, pass);
        let (weight1, bias1) = self.first();
        let layers = self.layers(&weight1, &bias1);
        if self.residual || !self.is_fused(xs, &layers) {
            let decision = self.decided(xs, pass.mode, is_seen, (&weight1, &bias1));
            return (mix(xs, &self.applied(&decision.weights)), decision);
        }
        self.meter.add((self.weight1.numel() + self.weight2.numel()) as u64);
        // Only sources that the gate was not built for are refused here: falling back would hide a fault of the caller.
        let (ys, gated) = mp_native::route(xs, layers).unwrap_or_else(|error| panic!("{error}"));
        self.see(pass.mode, is_seen, || gated.pooled.transpose(0, 1));
        (ys, self.decision(gated.weights, gated.logits))
    }

    fn applied(&self, weights: &Tensor) -> Tensor {
        if !self.residual {
            return weights.shallow_clone();
        }
        let (sources, targets) = (weights.size()[1], weights.size()[2]);
        let options = (weights.kind(), weights.device());
        let own = if sources == 1 { Tensor::ones([1, targets], options) } else { Tensor::eye(sources, options) };
        weights + own
    }
}

impl Gate {
    /// The decision for S sources `[B, C, H, W]` or `[B, C]`, in evaluation.
    ///
    /// # Panics
    /// If the sources are not as many, or not of the channels, that the gate was built for.
    pub fn forward(&self, xs: &[Tensor]) -> Decision {
        self.decide(xs, &Pass::eval())
    }

    fn decide(&self, xs: &[Tensor], pass: &Pass) -> Decision {
        let is_seen = self.begin(xs, pass);
        let (weight1, bias1) = self.first();
        self.decided(xs, pass.mode, is_seen, (&weight1, &bias1))
    }

    /// The decision by the given first layer; in training, what the statistics have not seen yet they see after it.
    fn decided(&self, xs: &[Tensor], mode: Mode, is_seen: bool, (weight1, bias1): (&Tensor, &Tensor)) -> Decision {
        self.meter.add((self.weight1.numel() + self.weight2.numel()) as u64);
        if let (true, Some(running)) = (self.blind, &self.running) {
            // One decision for all images.
            let decision = self.composed(&running.blind(), weight1, bias1);
            self.see(mode, is_seen, || pooled(xs));
            let logits = decision.logits.map(|logits| for_batch(&logits, xs));
            return Decision::soft(for_batch(&decision.weights, xs), logits, self.normalisation);
        }
        let layers = self.layers(weight1, bias1);
        if self.is_fused(xs, &layers) {
            let gated = mp_native::gate(xs, layers).unwrap_or_else(|error| panic!("{error}"));
            self.see(mode, is_seen, || gated.pooled.transpose(0, 1));
            return self.decision(gated.weights, gated.logits);
        }
        let means = pooled(xs);
        let decision = self.composed(&means, weight1, bias1);
        self.see(mode, is_seen, || means);
        decision
    }

    /// In training, sets what changes with it, and lets the statistics see the first batch of all before it is decided on: until
    /// then they are of nothing. Later batches are decided on first, since the means then come with the decision. Whether the
    /// statistics have seen the batch.
    fn begin(&self, xs: &[Tensor], pass: &Pass) -> bool {
        if !pass.mode.is_train() {
            return false;
        }
        self.temperature.set(pass);
        let new = self.running.as_ref().filter(|running| running.is_new());
        new.inspect(|running| running.see(&pooled(xs))).is_some()
    }

    /// In training, takes the means `[S, B, C]` into the statistics, unless they have been.
    fn see(&self, mode: Mode, is_seen: bool, means: impl FnOnce() -> Tensor) {
        if let (true, false, Some(running)) = (mode.is_train(), is_seen, &self.running) {
            running.see(&means());
        }
    }

    /// In training, keeps what the statistics need to know of a batch whose sources have only some images: their means `[n, C]`.
    pub(super) fn see_some(&self, means: &[Tensor], mode: Mode) {
        if let (true, Some(running)) = (mode.is_train(), &self.running) {
            running.see_some(means);
        }
    }

    /// Whether one call computes the gate: not one that reads no image, or more of it than its own source.
    fn is_fused(&self, xs: &[Tensor], layers: &GateLayers<'_>) -> bool {
        !self.blind && self.reads == GateReads::Own && mp_native::can_route(xs, layers)
    }

    /// The first layer for features as they are read.
    fn first(&self) -> (Tensor, Tensor) {
        match (&self.running, self.input) {
            (Some(running), GateInput::Standardised) => running.standardising(&self.weight1, &self.bias1),
            _ => (self.weight1.shallow_clone(), self.bias1.shallow_clone()),
        }
    }

    /// The decision for features `[S, B, C]`, by tensor operations; in float32 under autocast too, as the fused gate has it.
    fn composed(&self, features: &Tensor, weight1: &Tensor, bias1: &Tensor) -> Decision {
        let _float = Autocast::off(features.device());
        let hidden = stacked_linear(&self.reads.of(features), weight1, bias1).relu();
        // [S, B, T].
        let logits = stacked_linear(&hidden, &self.weight2, &self.bias2);
        let logits = self.temperature.divide(&logits.transpose(0, 1));
        self.decision(self.normalisation.apply(&logits), logits)
    }

    fn decision(&self, weights: Tensor, logits: Tensor) -> Decision {
        Decision::soft(weights, Some(logits), self.normalisation)
    }

    fn layers<'a>(&'a self, weight1: &'a Tensor, bias1: &'a Tensor) -> GateLayers<'a> {
        GateLayers {
            weight1,
            bias1,
            weight2: &self.weight2,
            bias2: &self.bias2,
            temperature: self.temperature.value(),
            normalisation: match self.normalisation {
                Normalisation::Targets => GateNormalisation::Targets,
                Normalisation::Sources => GateNormalisation::Sources,
                Normalisation::Sigmoid => GateNormalisation::Sigmoid,
            },
        }
    }
}

/// The means of S sources, `[S, B, C]`.
fn pooled(xs: &[Tensor]) -> Tensor {
    Tensor::stack(&xs.iter().map(pool).collect::<Vec<_>>(), 0)
}

/// `[B, C]` in float32 at least: a mean over a map in bfloat16 would lose most of what it sums.
pub(super) fn pool(x: &Tensor) -> Tensor {
    if x.dim() == 2 {
        return at_least_float(x);
    }
    let kind = if matches!(x.kind(), Kind::Half | Kind::BFloat16) { Some(Kind::Float) } else { None };
    x.mean_dim([2_i64, 3].as_slice(), false, kind)
}

/// `x [S, B, in]`, `weight [S, out, in]`, `bias [S, out]` to `[S, B, out]`.
fn stacked_linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Tensor {
    bias.unsqueeze(1).baddbmm(x, &weight.transpose(1, 2), 1, 1)
}

#[cfg(test)]
impl Gate {
    pub(super) fn temperature(&self) -> &Temperature {
        &self.temperature
    }
}

#[cfg(test)]
mod tests;
