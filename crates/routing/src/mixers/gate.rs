//! The gate: how an input decides where its features go.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::normalisation::at_least_float;
use crate::shape::{above_zero, at_least_one};
use crate::{Decision, Error, Normalisation, Pass, Router, RoutingShape, mix};
use mp_native::{GateLayers, GateNormalisation};
use mp_nn::{Init, Meter, Params, Role};

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
}

impl Default for GateConfig {
    fn default() -> Self {
        GateConfig { hidden: 16, temperature: 1.0, normalisation: Normalisation::default() }
    }
}

impl GateConfig {
    /// Takes `weight1` `[S, hidden, C]`, `bias1` `[S, hidden]`, `weight2` `[S, T, hidden]` and `bias2` `[S, T]`, each
    /// source's slice with the start of a dense layer of its own.
    ///
    /// # Errors
    /// A path count, channels, hidden width or temperature outside its range, or a taken name.
    pub fn build(&self, params: &Params, shape: RoutingShape) -> Result<Gate, Error> {
        let layer = params.path();
        shape.check(layer)?;
        at_least_one(layer, "hidden width", self.hidden)?;
        above_zero(layer, "temperature", self.temperature)?;
        let RoutingShape { sources, targets, channels } = shape;
        let (first, second) = (Init::kaiming_uniform(channels), Init::kaiming_uniform(self.hidden));
        Ok(Gate {
            weight1: params.parameter("weight1", &[sources, self.hidden, channels], first.clone(), Role::Weight)?,
            bias1: params.parameter("bias1", &[sources, self.hidden], first, Role::Bias)?,
            weight2: params.parameter("weight2", &[sources, targets, self.hidden], second.clone(), Role::Weight)?,
            bias2: params.parameter("bias2", &[sources, targets], second, Role::Bias)?,
            temperature: self.temperature,
            normalisation: self.normalisation,
            meter: params.meter().clone(),
        })
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
    meter: Meter,
}

impl Router for Gate {
    fn route(&self, xs: &[Tensor], _pass: &mut Pass) -> Decision {
        self.forward(xs)
    }

    fn mix(&self, xs: &[Tensor], _pass: &mut Pass) -> (Vec<Tensor>, Decision) {
        let layers = self.layers();
        if !mp_native::can_route(xs, &layers) {
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
        let layers = self.layers();
        if mp_native::can_route(xs, &layers) {
            let gated = mp_native::gate(xs, layers).unwrap_or_else(|error| panic!("{error}"));
            return self.decision(gated.weights, gated.logits);
        }
        let pooled: Vec<Tensor> = xs.iter().map(pool).collect();
        let hidden = stacked_linear(&Tensor::stack(&pooled, 0), &self.weight1, &self.bias1).relu();
        // [S, B, T], of half precision under autocast.
        let logits = at_least_float(&stacked_linear(&hidden, &self.weight2, &self.bias2));
        let logits = logits.transpose(0, 1) / self.temperature;
        self.decision(self.normalisation.apply(&logits), logits)
    }

    fn decision(&self, weights: Tensor, logits: Tensor) -> Decision {
        Decision::soft(weights, Some(logits), self.normalisation)
    }

    fn layers(&self) -> GateLayers<'_> {
        GateLayers {
            weight1: &self.weight1,
            bias1: &self.bias1,
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
fn pool(x: &Tensor) -> Tensor {
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
