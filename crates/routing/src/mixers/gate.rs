//! The gate: how an input decides where its features go.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::Settings;
use super::features::{GateInput, RunningFeatures};
use super::uniform::for_batch;
use crate::normalisation::at_least_float;
use crate::shape::{above_zero, at_least_one};
use crate::{Decision, Error, Normalisation, Pass, Router, RoutingShape, mix};
use mp_native::{GateLayers, GateNormalisation};
use mp_nn::{Init, Meter, Mode, Params, Role};

/// A gate of two dense layers for every source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GateConfig {
    /// Width of the hidden layer, at least 1.
    pub hidden: i64,
    /// `τ`, above 0: lower is sharper.
    pub temperature: f64,
    /// How logits become weights.
    pub normalisation: Normalisation,
    /// What is read of the sources' means.
    pub input: GateInput,
    /// Reads the running means of its sources in place of the image's own: the same parameters that learn in the same way, and
    /// no input. What a gate is better by is what the dependence on the input is worth.
    pub blind: bool,
    /// Added to the starting logit of `i → i`: above 0, a path starts by keeping more of itself.
    pub diagonal: f64,
}

impl Default for GateConfig {
    fn default() -> Self {
        GateConfig {
            hidden: 16,
            temperature: 1.0,
            normalisation: Normalisation::default(),
            input: GateInput::default(),
            blind: false,
            diagonal: 0.0,
        }
    }
}

impl GateConfig {
    /// Takes `weight1` `[S, hidden, C]`, `bias1` `[S, hidden]`, `weight2` `[S, T, hidden]` and `bias2` `[S, T]`, each
    /// source's slice with the start of a dense layer of its own. Where the input is standardised or the gate blind, also the
    /// buffers `running_mean` and `running_var` `[S, C]` and `batches` `[1]`.
    ///
    /// # Errors
    /// A path count, channels, hidden width or temperature outside its range, or a taken name.
    pub fn build(&self, params: &Params, shape: RoutingShape) -> Result<Gate, Error> {
        let layer = params.path();
        shape.check(layer)?;
        at_least_one(layer, "hidden width", self.hidden)?;
        above_zero(layer, "temperature", self.temperature)?;
        if !self.diagonal.is_finite() {
            let what = format!("diagonal of the routing layer `{layer}`");
            return Err(Error::config(what, "a finite number", self.diagonal));
        }
        let RoutingShape { sources, targets, channels } = shape;
        let (first, second) = (Init::kaiming_uniform(channels), Init::kaiming_uniform(self.hidden));
        let running = (self.blind || self.input == GateInput::Standardised)
            .then(|| RunningFeatures::build(params, sources, channels))
            .transpose()?;
        let gate = Gate {
            weight1: params.parameter("weight1", &[sources, self.hidden, channels], first.clone(), Role::Weight)?,
            bias1: params.parameter("bias1", &[sources, self.hidden], first, Role::Bias)?,
            weight2: params.parameter("weight2", &[sources, targets, self.hidden], second.clone(), Role::Weight)?,
            bias2: params.parameter("bias2", &[sources, targets], second, Role::Bias)?,
            temperature: self.temperature,
            normalisation: self.normalisation,
            input: self.input,
            running,
            blind: self.blind,
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
        let logits = self.normalisation.near_identity(sources, targets);
        vec![("gate.bias2".to_owned(), logits.into_iter().map(|logit| logit * self.temperature).collect())]
    }
}

/// `z_i = mean over H, W of X_i`; `a_i = W2_i · relu(W1_i · z_i + b1_i) + b2_i`; `g = normalise(a / τ)`.
///
/// Every source has its own weights. On the CPU all of it is one call, sample by sample, in float32 at least
/// (`mp_native::gate`); elsewhere all sources run as one batched product a layer, since S small ones cost more in calls than
/// in arithmetic. Tissera et al., arXiv 2107.02450.
#[derive(Debug)]
pub struct Gate {
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    temperature: f64,
    normalisation: Normalisation,
    input: GateInput,
    running: Option<RunningFeatures>,
    blind: bool,
    meter: Meter,
}

impl Router for Gate {
    fn route(&self, xs: &[Tensor], pass: &mut Pass) -> Decision {
        self.see(xs, pass.mode);
        self.forward(xs)
    }

    fn mix(&self, xs: &[Tensor], pass: &mut Pass) -> (Vec<Tensor>, Decision) {
        self.see(xs, pass.mode);
        let (weight1, bias1) = self.first();
        let layers = self.layers(&weight1, &bias1);
        if self.blind || !mp_native::can_route(xs, &layers) {
            let decision = self.forward(xs);
            return (mix(xs, &decision.weights), decision);
        }
        self.meter.add((self.weight1.numel() + self.weight2.numel()) as u64);
        // Only sources that the gate was not built for are refused here: falling back would hide a fault of the caller.
        let (ys, gated) = mp_native::route(xs, layers).unwrap_or_else(|error| panic!("{error}"));
        (ys, self.decision(gated.weights, gated.logits))
    }
}

impl Gate {
    /// The decision for S sources `[B, C, H, W]` or `[B, C]`.
    ///
    /// # Panics
    /// If the sources are not as many, or not of the channels, that the gate was built for.
    pub fn forward(&self, xs: &[Tensor]) -> Decision {
        self.meter.add((self.weight1.numel() + self.weight2.numel()) as u64);
        let (weight1, bias1) = self.first();
        if let (true, Some(running)) = (self.blind, &self.running) {
            // One decision for all images.
            let decision = self.composed(&running.blind(), &weight1, &bias1);
            let logits = decision.logits.map(|logits| for_batch(&logits, xs));
            return Decision::soft(for_batch(&decision.weights, xs), logits, self.normalisation);
        }
        let layers = self.layers(&weight1, &bias1);
        if mp_native::can_route(xs, &layers) {
            let gated = mp_native::gate(xs, layers).unwrap_or_else(|error| panic!("{error}"));
            return self.decision(gated.weights, gated.logits);
        }
        let pooled: Vec<Tensor> = xs.iter().map(pool).collect();
        self.composed(&Tensor::stack(&pooled, 0), &weight1, &bias1)
    }

    /// In training, keeps what the statistics need to know of a batch.
    fn see(&self, xs: &[Tensor], mode: Mode) {
        if let Some(running) = &self.running {
            running.see(xs, mode);
        }
    }

    /// The first layer for features as they are read.
    fn first(&self) -> (Tensor, Tensor) {
        match (&self.running, self.input) {
            (Some(running), GateInput::Standardised) => running.standardising(&self.weight1, &self.bias1),
            _ => (self.weight1.shallow_clone(), self.bias1.shallow_clone()),
        }
    }

    /// The decision for features `[S, B, C]`, by tensor operations.
    fn composed(&self, features: &Tensor, weight1: &Tensor, bias1: &Tensor) -> Decision {
        let hidden = stacked_linear(features, weight1, bias1).relu();
        // [S, B, T], of half precision under autocast.
        let logits = at_least_float(&stacked_linear(&hidden, &self.weight2, &self.bias2));
        let logits = logits.transpose(0, 1) / self.temperature;
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
            temperature: self.temperature,
            normalisation: match self.normalisation {
                Normalisation::Targets => GateNormalisation::Targets,
                Normalisation::Sources => GateNormalisation::Sources,
                Normalisation::Sigmoid => GateNormalisation::Sigmoid,
            },
        }
    }
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
mod tests {
    use super::*;
    use mp_nn::{Device, Store};

    const CPU: Device = Device::Cpu;

    #[test]
    fn one_batched_product_is_the_gates_one_by_one() {
        let store = Store::with_kind(CPU, Kind::Double, 7);
        let shape = RoutingShape { sources: 3, targets: 2, channels: 5 };
        let gate =
            GateConfig { hidden: 4, temperature: 0.5, ..Default::default() }.build(&store.root(), shape).unwrap();
        let xs: Vec<Tensor> = (0..3).map(|_| Tensor::randn([2, 5, 3, 3], (Kind::Double, CPU))).collect();
        let routes = gate.forward(&xs);
        for (i, x) in xs.iter().enumerate() {
            let i = i as i64;
            let z = x.mean_dim([2_i64, 3].as_slice(), false, None);
            let hidden = z.linear(&gate.weight1.get(i), Some(&gate.bias1.get(i))).relu();
            let logits = hidden.linear(&gate.weight2.get(i), Some(&gate.bias2.get(i))) / 0.5;
            assert!(routes.logits.as_ref().unwrap().select(1, i).allclose(&logits, 1e-12, 1e-12, false));
            assert!(routes.weights.select(1, i).allclose(&logits.softmax(1, None), 1e-12, 1e-12, false));
        }
    }

    /// A gate in float64 of two sources of five channels, with its store.
    fn gate(config: GateConfig) -> (Store, Gate) {
        let store = Store::with_kind(CPU, Kind::Double, 7);
        let gate = config.build(&store.root(), RoutingShape::square(2, 5)).unwrap();
        (store, gate)
    }

    fn images(count: i64) -> [Tensor; 2] {
        [0.5, 2.0].map(|mean| Tensor::randn([count, 5, 3, 3], (Kind::Double, CPU)) + mean)
    }

    #[test]
    fn a_standardised_gate_reads_how_an_image_differs_from_others() {
        let (_store, gate) = gate(GateConfig { input: GateInput::Standardised, ..Default::default() });
        let xs = images(8);
        let mut pass = Pass::train();
        let (ys, decision) = gate.mix(&xs, &mut pass);
        // After one batch the running statistics are that batch's.
        for (i, x) in (0..).zip(&xs) {
            let z = x.mean_dim([2_i64, 3].as_slice(), false, None);
            let mean = z.mean_dim([0_i64].as_slice(), true, None);
            let var = z.var_dim([0_i64].as_slice(), true, true);
            let standardised = (z - mean) / (var + 1e-5).sqrt();
            let hidden = standardised.linear(&gate.weight1.get(i), Some(&gate.bias1.get(i))).relu();
            let expected = hidden.linear(&gate.weight2.get(i), Some(&gate.bias2.get(i))).softmax(1, None);
            assert!(decision.weights.select(1, i).allclose(&expected, 1e-10, 1e-10, false));
        }
        assert!(ys[0].allclose(&mix(&xs, &decision.weights)[0], 1e-10, 1e-10, false));
        // Evaluation reads the statistics and leaves them: a batch of one decides as a batch of eight does.
        let all = gate.route(&xs, &mut Pass::eval()).weights;
        let first = gate.route(&xs.each_ref().map(|x| x.narrow(0, 0, 1)), &mut Pass::eval()).weights;
        assert!(all.narrow(0, 0, 1).allclose(&first, 1e-12, 1e-12, false));
    }

    #[test]
    fn a_blind_gate_is_the_gate_of_the_mean_image() {
        for input in [GateInput::Mean, GateInput::Standardised] {
            let (store, blind) = gate(GateConfig { input, blind: true, ..Default::default() });
            let xs = images(6);
            let decision = blind.route(&xs, &mut Pass::train());
            let rows = decision.weights.unbind(0);
            assert!(rows.iter().all(|row| row.equal(&rows[0])), "one decision for all images");
            // The same parameters and statistics that see: given the mean image, they decide alike.
            let seeing_store = Store::with_kind(CPU, Kind::Double, 7);
            let config = GateConfig { input: GateInput::Standardised, ..Default::default() };
            let mut seeing = config.build(&seeing_store.root(), RoutingShape::square(2, 5)).unwrap();
            seeing.input = input;
            for (from, to) in store.entries().into_iter().zip(seeing_store.entries()) {
                let _guard = tch::no_grad_guard();
                to.tensor.shallow_clone().copy_(&from.tensor);
            }
            let mean = xs.each_ref().map(|x| x.mean_dim([0_i64, 2, 3].as_slice(), true, None).view([1, 5]));
            let found = seeing.route(&mean, &mut Pass::eval()).weights;
            assert!(found.get(0).allclose(&rows[0], 1e-10, 1e-10, false));
        }
    }

    #[test]
    fn a_blind_gate_learns_and_its_sources_get_no_gradient_from_it() {
        let (store, gate) = gate(GateConfig { blind: true, ..Default::default() });
        let xs = images(4).map(|x| x.set_requires_grad(true));
        gate.route(&xs, &mut Pass::train()).weights.select(2, 0).sum(Kind::Double).backward();
        assert!(
            store.parameters().iter().all(|entry| entry.tensor.grad().abs().sum(Kind::Double).double_value(&[]) > 0.0)
        );
        assert!(!xs[0].grad().defined());
    }

    #[test]
    fn paths_may_start_by_keeping_more_of_themselves() {
        let (_store, plain) = gate(GateConfig::default());
        let (_other, kept) = gate(GateConfig { diagonal: 2.0, ..Default::default() });
        let added = Vec::<f64>::try_from((&kept.bias2 - &plain.bias2).view(-1)).unwrap();
        assert!(added.iter().zip([2.0, 0.0, 0.0, 2.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{added:?}");
    }

    #[test]
    fn dense_sources_are_not_pooled() {
        let store = Store::new(CPU, 0);
        let gate = GateConfig::default().build(&store.root(), RoutingShape::square(2, 6)).unwrap();
        let maps: Vec<Tensor> = (0..2).map(|_| Tensor::randn([3, 6, 1, 1], (Kind::Float, CPU))).collect();
        let dense: Vec<Tensor> = maps.iter().map(|x| x.view([3, 6])).collect();
        assert!(gate.forward(&maps).weights.equal(&gate.forward(&dense).weights));
    }

    #[test]
    fn half_precision_maps_are_pooled_in_float32() {
        // The mean of 1 and 1 + 2^-7 is 1 + 2^-8, for which bfloat16 lacks the last bit.
        let map = Tensor::from_slice(&[1.0, 1.0 + 2.0_f64.powi(-7)]).view([1, 1, 1, 2]).to_kind(Kind::BFloat16);
        assert_eq!(pool(&map).double_value(&[0, 0]), 1.0 + 2.0_f64.powi(-8));
    }

    #[test]
    fn parameters_are_stacked_over_the_sources() {
        let store = Store::new(CPU, 0);
        let shape = RoutingShape { sources: 3, targets: 2, channels: 5 };
        GateConfig { hidden: 4, ..Default::default() }.build(&(&store.root() / "gate"), shape).unwrap();
        let found: Vec<(String, Vec<i64>)> = store.entries().into_iter().map(|e| (e.name, e.tensor.size())).collect();
        let expected = [
            ("gate.weight1", vec![3, 4, 5]),
            ("gate.bias1", vec![3, 4]),
            ("gate.weight2", vec![3, 2, 4]),
            ("gate.bias2", vec![3, 2]),
        ];
        assert_eq!(found, expected.map(|(name, size)| (name.to_owned(), size)));
    }

    #[test]
    fn reports_its_multiply_adds() {
        // 3 gates of 5 x 4 + 4 x 2 products each: 3 · 28 = 84, for one of the two samples.
        let store = Store::new(CPU, 0);
        let shape = RoutingShape { sources: 3, targets: 2, channels: 5 };
        let gate = GateConfig { hidden: 4, ..Default::default() }.build(&store.root(), shape).unwrap();
        let xs: Vec<Tensor> = (0..3).map(|_| Tensor::zeros([2, 5], (Kind::Float, CPU))).collect();
        assert_eq!(store.meter().measure(|| gate.forward(&xs)).1, 84);
    }

    #[test]
    fn refuses_values_out_of_range() {
        let message = |config: GateConfig, shape: RoutingShape| {
            let store = Store::new(CPU, 0);
            config.build(&(&store.root() / "stage2" / "gate"), shape).unwrap_err().to_string()
        };
        let square = RoutingShape::square(2, 8);
        assert_eq!(
            message(GateConfig { temperature: 0.0, ..Default::default() }, square),
            "temperature of the routing layer `stage2.gate`: expected a finite number above 0, found 0"
        );
        assert_eq!(
            message(GateConfig { hidden: 0, ..Default::default() }, square),
            "hidden width of the routing layer `stage2.gate`: expected at least 1, found 0"
        );
        assert_eq!(
            message(GateConfig::default(), RoutingShape { sources: 9, ..square }),
            "sources of the routing layer `stage2.gate`: expected 1 to 8 paths, found 9"
        );
        assert_eq!(
            message(GateConfig::default(), RoutingShape { channels: 0, ..square }),
            "channels of the routing layer `stage2.gate`: expected at least 1, found 0"
        );
    }
}
