//! The fused gates and mixing against their definition, forward and backward.

use mp_native::{GateLayers, GateNormalisation, can_route, gate, route};
use tch::{Device, Kind, Tensor};

/// A fixed pattern of the given shape; libtorch's generator is shared between the tests of a process.
fn pattern(shape: &[i64], kind: Kind, phase: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let x = (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + phase).sin();
    x.reshape(shape).to_kind(kind)
}

/// Sources and gates, leaves of their own.
struct Case {
    xs: Vec<Tensor>,
    layers: [Tensor; 4],
    normalisation: GateNormalisation,
}

const TEMPERATURE: f64 = 0.5;
const ALL: [GateNormalisation; 3] =
    [GateNormalisation::Targets, GateNormalisation::Sources, GateNormalisation::Sigmoid];

impl Case {
    fn new(s: i64, t: i64, shape: &[i64], kind: Kind, normalisation: GateNormalisation) -> Self {
        let real = if kind == Kind::Double { Kind::Double } else { Kind::Float };
        let leaf = |x: Tensor| x.set_requires_grad(true);
        let sizes = [vec![s, 6, shape[1]], vec![s, 6], vec![s, t, 6], vec![s, t]];
        Case {
            xs: (0..s).map(|i| leaf(pattern(shape, kind, i as f64))).collect(),
            layers: std::array::from_fn(|at| leaf(pattern(&sizes[at], real, at as f64 + 9.0))),
            normalisation,
        }
    }

    fn channels_last(mut self) -> Self {
        for x in &mut self.xs {
            let size = x.size();
            let rows = x.detach().permute([0, 2, 3, 1]).contiguous();
            *x = rows.permute([0, 3, 1, 2]).set_requires_grad(true);
            assert_eq!(x.size(), size);
        }
        self
    }

    fn in_float64(&self) -> Self {
        let leaf = |x: &Tensor| x.detach().to_kind(Kind::Double).copy().set_requires_grad(true);
        Case {
            xs: self.xs.iter().map(leaf).collect(),
            layers: std::array::from_fn(|at| leaf(&self.layers[at])),
            ..*self
        }
    }

    fn gates(&self) -> GateLayers<'_> {
        let [weight1, bias1, weight2, bias2] = &self.layers;
        GateLayers { weight1, bias1, weight2, bias2, temperature: TEMPERATURE, normalisation: self.normalisation }
    }

    /// Targets, weights and logits.
    fn fused(&self) -> Vec<Tensor> {
        let (mut outputs, gated) = route(&self.xs, self.gates()).unwrap();
        outputs.extend([gated.weights, gated.logits]);
        outputs
    }

    /// The same, word for word.
    fn definition(&self) -> Vec<Tensor> {
        let [weight1, bias1, weight2, bias2] = &self.layers;
        let per_source = |i: usize| {
            let x = &self.xs[i];
            let z = if x.dim() == 4 { x.mean_dim([2_i64, 3].as_slice(), false, None) } else { x.shallow_clone() };
            let i = i as i64;
            z.linear(&weight1.get(i), Some(&bias1.get(i))).relu().linear(&weight2.get(i), Some(&bias2.get(i)))
        };
        let logits = Tensor::stack(&(0..self.xs.len()).map(per_source).collect::<Vec<_>>(), 1) / TEMPERATURE;
        let weights = match self.normalisation {
            GateNormalisation::Targets => logits.softmax(2, None),
            GateNormalisation::Sources => logits.softmax(1, None),
            GateNormalisation::Sigmoid => logits.sigmoid(),
        };
        let target = |j: i64| {
            let part = |(i, x): (usize, &Tensor)| {
                let mut ones = vec![1; x.dim()];
                ones[0] = -1;
                x * weights.select(1, i as i64).select(1, j).reshape(ones)
            };
            self.xs.iter().enumerate().map(part).reduce(|a, b| a + b).unwrap()
        };
        let mut outputs: Vec<Tensor> = (0..weights.size()[2]).map(target).collect();
        outputs.extend([weights, logits]);
        outputs
    }

    fn inputs(&self) -> Vec<&Tensor> {
        self.xs.iter().chain(&self.layers).collect()
    }

    /// The gradients of a sum that weighs every number of the outputs differently.
    fn gradients(&self, outputs: &[Tensor]) -> Vec<Tensor> {
        Tensor::run_backward(&[loss(outputs)], &self.inputs(), false, false)
    }
}

fn loss(outputs: &[Tensor]) -> Tensor {
    let weighed = |(at, y): (usize, &Tensor)| {
        (y.to_kind(Kind::Double) * pattern(&y.size(), Kind::Double, 5.0 + at as f64)).sum(Kind::Double)
    };
    outputs.iter().enumerate().map(weighed).reduce(|a, b| a + b).unwrap()
}

fn assert_close(a: &Tensor, b: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(a.size(), b.size(), "{what}");
    if a.numel() > 0 {
        let scale = b.abs().max().double_value(&[]).max(1.0);
        let difference = (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[]);
        assert!(difference <= tolerance * scale, "{what}: largest difference {difference}, at most {scale}");
    }
}

fn check(case: &Case, tolerance: f64, what: &str) {
    let reference = case.in_float64();
    let (found, expected) = (case.fused(), reference.definition());
    for (a, b) in found.iter().zip(&expected) {
        assert_close(a, b, tolerance, what);
    }
    assert_eq!(found[0].kind(), case.xs[0].kind());
    assert_eq!(found[0].stride(), case.xs[0].stride());
    for (at, (a, b)) in case.gradients(&found).iter().zip(&reference.gradients(&expected)).enumerate() {
        assert_close(a, b, tolerance, &format!("gradient {at} of {what}"));
    }
}

#[test]
fn every_number_of_paths_agrees_with_the_definition() {
    for (s, t) in (1..=8).flat_map(|s| [1, 2, 3, 5, 8].map(|t| (s, t))) {
        let case = Case::new(s, t, &[2, 3, 5, 7], Kind::Double, GateNormalisation::Targets);
        check(&case, 1e-12, &format!("S = {s}, T = {t}"));
    }
}

#[test]
fn every_normalisation_layout_and_shape_agrees_with_the_definition() {
    for normalisation in ALL {
        for shape in [&[3, 16, 4, 4][..], &[2, 117, 3, 2], &[1, 1, 1, 1], &[5, 33]] {
            let what = format!("{normalisation:?}, {shape:?}");
            check(&Case::new(3, 2, shape, Kind::Double, normalisation), 1e-12, &what);
            check(&Case::new(3, 2, shape, Kind::Float, normalisation), 2e-5, &what);
            if shape.len() == 4 {
                let what = format!("{what}, channels-last");
                check(&Case::new(3, 2, shape, Kind::Double, normalisation).channels_last(), 1e-12, &what);
                check(&Case::new(3, 2, shape, Kind::Float, normalisation).channels_last(), 2e-5, &what);
            }
        }
    }
}

#[test]
fn bfloat16_sources_are_gated_in_float32() {
    // Targets and maps' gradients are rounded to 8 bits, so are off by up to 2^-8 of the largest; gates are not rounded.
    let case = Case::new(3, 3, &[2, 16, 6, 5], Kind::BFloat16, GateNormalisation::Targets).channels_last();
    check(&case, 2.0_f64.powi(-7), "bfloat16");
    let (found, expected) = (case.fused(), case.in_float64().definition());
    assert_eq!(found[3].kind(), Kind::Float);
    assert_close(&found[3], &expected[3], 1e-5, "weights");
}

#[test]
fn finite_differences_agree() {
    let case = Case::new(2, 3, &[2, 3, 2, 2], Kind::Double, GateNormalisation::Targets);
    let gradients = case.gradients(&case.fused());
    for (input, gradient) in case.inputs().iter().zip(&gradients) {
        let numbers = input.detach().view(-1);
        for at in 0..numbers.size()[0] {
            let moved = |by: f64| {
                let _guard = tch::no_grad_guard();
                let _ = numbers.get(at).g_add_scalar_(by);
                let value = loss(&case.fused()).double_value(&[]);
                let _ = numbers.get(at).g_add_scalar_(-by);
                value
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            let found = gradient.reshape([-1]).double_value(&[at]);
            assert!((slope - found).abs() < 1e-6, "{slope}, {found}");
        }
    }
}

#[test]
fn gates_alone_give_the_same_and_their_gradients_spread_over_the_map() {
    for shape in [&[2, 5, 3, 4][..], &[2, 5]] {
        let case = Case::new(2, 3, shape, Kind::Double, GateNormalisation::Sources);
        let reference = case.in_float64();
        let gated = gate(&case.xs, case.gates()).unwrap();
        assert!(!gated.pooled.requires_grad());
        for (i, x) in (0..).zip(&case.xs) {
            let mean = if x.dim() == 4 { x.mean_dim([2_i64, 3].as_slice(), false, None) } else { x.shallow_clone() };
            assert_close(&gated.pooled.select(1, i), &mean, 1e-12, "pooled features");
        }
        let outputs = [gated.weights, gated.logits];
        let expected = reference.definition().split_off(3);
        for (a, b) in outputs.iter().zip(&expected) {
            assert_close(a, b, 1e-12, "gates alone");
        }
        for (a, b) in case.gradients(&outputs).iter().zip(&reference.gradients(&expected)) {
            assert_close(a, b, 1e-12, "gradient of gates alone");
        }
    }
}

#[test]
fn an_output_that_the_loss_leaves_out_has_no_share() {
    let case = Case::new(2, 3, &[2, 3, 2, 2], Kind::Double, GateNormalisation::Targets);
    let reference = case.in_float64();
    for kept in 0..5 {
        let (mut found, mut expected) = (case.fused(), reference.definition());
        let (found, expected) = ([found.swap_remove(kept)], [expected.swap_remove(kept)]);
        let gradients = |case: &Case, outputs: &[Tensor]| {
            // Logits do not depend on the maps' numbers one by one, but on all: every input has a gradient.
            Tensor::run_backward(&[loss(outputs)], &case.inputs(), false, false)
        };
        for (a, b) in gradients(&case, &found).iter().zip(&gradients(&reference, &expected)) {
            assert_close(a, b, 1e-12, &format!("output {kept}"));
        }
    }
}

#[test]
fn gradients_of_gradients_agree_with_the_definition() {
    let case = Case::new(2, 2, &[2, 3, 2, 2], Kind::Double, GateNormalisation::Targets).channels_last();
    let reference = case.in_float64();
    let second = |case: &Case, outputs: Vec<Tensor>| {
        let first = Tensor::run_backward(&[loss(&outputs)], &case.inputs(), true, true);
        let norm = first.iter().map(|g| g.square().sum(Kind::Double)).reduce(|a, b| a + b).unwrap();
        Tensor::run_backward(&[norm], &case.inputs(), false, false)
    };
    let found = second(&case, case.fused());
    for (a, b) in found.iter().zip(&second(&reference, reference.definition())) {
        assert_close(a, b, 1e-10, "second gradient");
    }
}

#[test]
fn an_empty_batch_gives_empty_targets() {
    let case = Case::new(2, 3, &[0, 4, 3, 3], Kind::Float, GateNormalisation::Targets);
    let outputs = case.fused();
    assert_eq!((outputs[2].size(), outputs[3].size()), (vec![0, 4, 3, 3], vec![0, 2, 3]));
    loss(&outputs).backward();
    assert_eq!(case.layers[0].grad().abs().max().double_value(&[]), 0.0);
}

#[test]
fn what_it_does_not_take_is_said() {
    let case = Case::new(2, 3, &[2, 4, 3, 3], Kind::Float, GateNormalisation::Targets);
    let half: Vec<Tensor> = case.xs.iter().map(|x| x.detach().to_kind(Kind::Half)).collect();
    assert!(can_route(&case.xs, &case.gates()));
    assert!(!can_route(&half, &case.gates()));
    assert!(!can_route(&[], &case.gates()));
    let message = route(&half, case.gates()).unwrap_err().to_string();
    assert!(message.starts_with("cannot route the paths: expected 1 to 8 sources of one shape"), "{message}");
    let wider = Case::new(2, 3, &[2, 5, 3, 3], Kind::Float, GateNormalisation::Targets);
    let message = route(&case.xs, wider.gates()).unwrap_err().to_string();
    assert_eq!(message, "cannot route the paths: gates [2, 6, 4] of Float expected, not [2, 6, 5] of Float");
}
