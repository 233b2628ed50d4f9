//! The optimisers move parameters as PyTorch's do: `golden/optimisers.json` was written by `golden/optimisers.py`.

use std::collections::BTreeMap;

use mp_nn::{Device, Entry, Init, Kind, Role, Store, Tensor};
use mp_train::optim::{AdamW, AdamWConfig, Gradients, Optimiser, Sgd, SgdConfig};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    weight: Vec<f64>,
    bias: Vec<f64>,
    rates: Vec<f64>,
    clipped: Clipped,
    #[serde(flatten)]
    trajectories: BTreeMap<String, Vec<Values>>,
}

#[derive(Deserialize)]
struct Values {
    weight: Vec<f64>,
    bias: Vec<f64>,
}

#[derive(Deserialize)]
struct Clipped {
    norm: f64,
    gradient: Vec<f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("golden/optimisers.json")).unwrap()
}

/// A weight and a bias in float64, as the golden runs start from.
fn parameters(golden: &Golden) -> Vec<Entry> {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
    let root = store.root();
    let _ = root
        .parameter("weight", &[golden.weight.len() as i64], Init::Values(golden.weight.clone()), Role::Weight)
        .unwrap();
    let _ = root.parameter("bias", &[golden.bias.len() as i64], Init::Values(golden.bias.clone()), Role::Bias).unwrap();
    let mut parameters = store.parameters();
    // The store draws its starting values in float32; the golden ones are float64.
    let _guard = tch::no_grad_guard();
    parameters[0].tensor.copy_(&Tensor::from_slice(&golden.weight));
    parameters[1].tensor.copy_(&Tensor::from_slice(&golden.bias));
    parameters
}

/// Makes `gradient` the gradient of `tensor`: that of the sum of their product.
fn set_gradient(tensor: &Tensor, gradient: &[f64]) {
    tensor.shallow_clone().zero_grad();
    (tensor * Tensor::from_slice(gradient)).sum(Kind::Double).backward();
}

/// The gradients of the golden runs: `sin(7 t + k)` for step `t` and element `k`.
fn set_golden_gradients(parameters: &[Entry], t: usize) {
    for entry in parameters {
        let gradient: Vec<f64> = (0..entry.tensor.numel()).map(|k| ((7 * t + k) as f64).sin()).collect();
        set_gradient(&entry.tensor, &gradient);
    }
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.try_into().unwrap()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= 1e-12 * expected.abs().max(1.0), "{what}: {found} is not {expected}");
    }
}

/// The same numbers with gaps between them, which the pass over all parameters leaves to tensor operations.
fn gapped(parameters: Vec<Entry>) -> Vec<Entry> {
    let gap = |entry: Entry| {
        let _guard = tch::no_grad_guard();
        let tensor = Tensor::stack(&[&entry.tensor, &entry.tensor], 1).select(1, 0).set_requires_grad(true);
        Entry { tensor, ..entry }
    };
    parameters.into_iter().map(gap).collect()
}

#[track_caller]
fn assert_follows(run: &str, make: impl Fn(Vec<Entry>) -> Box<dyn Optimiser>) {
    assert_follows_from(run, parameters(&golden()), &make);
    assert_follows_from(run, gapped(parameters(&golden())), &make);
}

#[track_caller]
fn assert_follows_from(run: &str, parameters: Vec<Entry>, make: &impl Fn(Vec<Entry>) -> Box<dyn Optimiser>) {
    let golden = golden();
    let mut optimiser = make(parameters_of(&parameters));
    for (index, (rate, expected)) in golden.rates.iter().zip(&golden.trajectories[run]).enumerate() {
        set_golden_gradients(&parameters, index + 1);
        optimiser.step(*rate);
        assert_near(&values(&parameters[0].tensor), &expected.weight, &format!("{run}, weight after step {index}"));
        assert_near(&values(&parameters[1].tensor), &expected.bias, &format!("{run}, bias after step {index}"));
    }
}

fn parameters_of(entries: &[Entry]) -> Vec<Entry> {
    let share = |e: &Entry| Entry { name: e.name.clone(), tensor: e.tensor.shallow_clone(), role: e.role };
    entries.iter().map(share).collect()
}

fn gradients_of(entries: &[Entry]) -> Gradients {
    Gradients::of(parameters_of(entries))
}

fn sgd(momentum: f64, nesterov: bool, weight_decay: f64) -> impl Fn(Vec<Entry>) -> Box<dyn Optimiser> {
    move |parameters| Box::new(Sgd::new(parameters, SgdConfig { momentum, nesterov, weight_decay }))
}

fn adamw(betas: [f64; 2], eps: f64, weight_decay: f64) -> impl Fn(Vec<Entry>) -> Box<dyn Optimiser> {
    move |parameters| Box::new(AdamW::new(parameters, AdamWConfig { betas, eps, weight_decay }))
}

#[test]
fn plain_sgd_follows_pytorch() {
    assert_follows("sgd", sgd(0.0, false, 0.0));
}

#[test]
fn sgd_decays_weights_and_leaves_biases() {
    assert_follows("sgd_decay", sgd(0.0, false, 0.01));
}

#[test]
fn sgd_with_momentum_follows_pytorch() {
    assert_follows("sgd_momentum", sgd(0.9, false, 0.01));
}

#[test]
fn sgd_with_nesterov_follows_pytorch() {
    assert_follows("sgd_nesterov", sgd(0.9, true, 0.01));
}

#[test]
fn adamw_follows_pytorch() {
    assert_follows("adamw", adamw([0.9, 0.999], 1e-8, 0.05));
}

#[test]
fn adamw_with_other_betas_follows_pytorch() {
    assert_follows("adamw_short_memory", adamw([0.5, 0.8], 1e-3, 0.0));
}

#[test]
fn restored_state_continues_to_the_last_bit() {
    let golden = golden();
    for make in [
        Box::new(sgd(0.9, true, 0.01)) as Box<dyn Fn(Vec<Entry>) -> Box<dyn Optimiser>>,
        Box::new(adamw([0.9, 0.999], 1e-8, 0.05)),
    ] {
        let parameters = parameters(&golden);
        let mut whole = make(parameters_of(&parameters));
        for t in 1..=3 {
            set_golden_gradients(&parameters, t);
            whole.step(0.1);
        }

        let resumed_parameters = self::parameters(&golden);
        let resumed = make(parameters_of(&resumed_parameters));
        {
            let _guard = tch::no_grad_guard();
            for (from, to) in parameters.iter().zip(&resumed_parameters) {
                to.tensor.shallow_clone().copy_(&from.tensor);
            }
            for ((name, from), (same, mut to)) in whole.state().into_iter().zip(resumed.state()) {
                assert_eq!(name, same);
                // By the `/` a checkpoint tells it from the weights.
                assert!(name.contains('/'), "{name}");
                to.copy_(&from);
            }
        }

        for (parameters, mut optimiser) in [(&parameters, whole), (&resumed_parameters, resumed)] {
            set_golden_gradients(parameters, 4);
            optimiser.step(0.1);
        }
        for (one, other) in parameters.iter().zip(&resumed_parameters) {
            assert_eq!(values(&one.tensor), values(&other.tensor), "{}", one.name);
        }
    }
}

#[test]
fn a_rate_of_zero_moves_nothing() {
    let golden = golden();
    for make in [
        Box::new(sgd(0.9, true, 0.01)) as Box<dyn Fn(Vec<Entry>) -> Box<dyn Optimiser>>,
        Box::new(adamw([0.9, 0.999], 1e-8, 0.05)),
    ] {
        let parameters = parameters(&golden);
        let mut optimiser = make(parameters_of(&parameters));
        // The zero gradient too: a mean square of zero must not turn the quotient into NaN.
        for gradient in [[0.0; 6], [1.0; 6]] {
            set_gradient(&parameters[0].tensor, &gradient);
            optimiser.step(0.0);
            assert_eq!(values(&parameters[0].tensor), golden.weight);
        }
    }
}

#[test]
fn a_parameter_without_a_gradient_stays_and_does_not_decay() {
    let golden = golden();
    let parameters = parameters(&golden);
    sgd(0.9, true, 0.5)(parameters_of(&parameters)).step(0.1);
    adamw([0.9, 0.999], 1e-8, 0.5)(parameters_of(&parameters)).step(0.1);
    assert_eq!(values(&parameters[0].tensor), golden.weight);
}

#[test]
fn clipping_scales_the_joint_norm_and_reports_it_before_scaling() {
    // (3, 4, 12) has norm 13.
    let golden = golden();
    for parameters in [parameters(&golden), gapped(parameters(&golden))] {
        set_gradient(&parameters[0].tensor, &[3.0, 4.0, 0.0, 0.0, 0.0, 0.0]);
        set_gradient(&parameters[1].tensor, &[0.0, 12.0, 0.0]);
        let norm = gradients_of(&parameters).clip(2.0);
        assert_near(&[norm.double_value(&[])], &[golden.clipped.norm], "norm");
        let clipped = parameters.iter().flat_map(|e| values(&e.tensor.grad()));
        let non_zero: Vec<f64> = clipped.filter(|g| *g != 0.0).collect();
        let expected: Vec<f64> = golden.clipped.gradient.iter().copied().filter(|g| *g != 0.0).collect();
        assert_near(&non_zero, &expected, "clipped gradient");
    }
}

#[test]
fn clipping_leaves_small_gradients_alone() {
    let golden = golden();
    let parameters = parameters(&golden);
    set_gradient(&parameters[0].tensor, &[0.3, 0.4, 0.0, 0.0, 0.0, 0.0]);
    let mut gradients = gradients_of(&parameters);
    let _ = gradients.clip(1.0);
    assert_eq!(values(&parameters[0].tensor.grad()), [0.3, 0.4, 0.0, 0.0, 0.0, 0.0]);
    gradients.clear();
    assert!(!parameters[0].tensor.grad().defined());
}
