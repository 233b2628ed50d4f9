//! The optimisers move parameters as PyTorch's do: `golden/optimisers.json` was written by `golden/optimisers.py`; the numbers of
//! the others are worked by hand.

use std::collections::BTreeMap;

use mp_nn::{Device, Entry, Init, Kind, Role, Store, Tensor};
use mp_train::optim::{
    Adam, AdamConfig, AdamW, AdamWConfig, Gradients, Lamb, LambConfig, LionConfig, Optimiser, OptimiserConfig,
    RmsPropConfig, RuleConfig, Sgd, SgdConfig, build, build_at_rates,
};
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

/// Every rule of the table, with decay and, where it has any, momentum.
fn every_rule() -> impl Iterator<Item = (&'static str, impl Fn(Vec<Entry>) -> Box<dyn Optimiser>)> {
    RuleConfig::NAMES.iter().map(|name| {
        let momentum = if ["sgd", "rmsprop"].contains(name) { "momentum = 0.9" } else { "" };
        let table = format!("name = \"{name}\"\nweight_decay = 0.5\n{momentum}").parse::<toml::Table>().unwrap();
        let config = OptimiserConfig::try_from(table).unwrap();
        (*name, move |parameters: Vec<Entry>| build(&config, parameters))
    })
}

/// A weight and a bias of these values.
fn weight_and_bias(weight: &[f64], bias: &[f64]) -> Vec<Entry> {
    let mut golden = golden();
    (golden.weight, golden.bias) = (weight.to_vec(), bias.to_vec());
    parameters(&golden)
}

/// What a rule makes of a weight and a bias that have the same gradients, step by step.
#[track_caller]
fn assert_moves(rule: RuleConfig, rate: f64, start: f64, gradients: &[f64], weights: &[f64], biases: &[f64]) {
    let parameters = weight_and_bias(&[start], &[start]);
    let mut optimiser = build(&rule.into(), parameters_of(&parameters));
    for (index, gradient) in gradients.iter().enumerate() {
        parameters.iter().for_each(|entry| set_gradient(&entry.tensor, &[*gradient]));
        optimiser.step(rate);
        assert_near(&values(&parameters[0].tensor), &weights[index..=index], &format!("weight after step {index}"));
        assert_near(&values(&parameters[1].tensor), &biases[index..=index], &format!("bias after step {index}"));
    }
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
fn rmsprop_divides_by_the_running_root_mean_square() {
    let config = RmsPropConfig { alpha: 0.5, eps: 0.0, ..RmsPropConfig::default() };
    // Gradients of 2 twice: the mean square is 2, then 1 + 2 = 3.
    let (one, two) = (2.0_f64.sqrt(), 2.0 / 3.0_f64.sqrt());
    let plain = [1.0 - 0.1 * one, 1.0 - 0.1 * (one + two)];
    assert_moves(RuleConfig::RmsProp(config), 0.1, 1.0, &[2.0, 2.0], &plain, &plain);
    // The second step keeps half of the first.
    let kept = [1.0 - 0.1 * one, 1.0 - 0.1 * (one + (0.5 * one + two))];
    let momentum = RmsPropConfig { momentum: 0.5, ..config };
    assert_moves(RuleConfig::RmsProp(momentum), 0.1, 1.0, &[2.0, 2.0], &kept, &kept);
}

#[test]
fn rmsprop_adds_eps_to_the_root_or_under_it() {
    let config = RmsPropConfig { alpha: 0.5, eps: 1.0, ..RmsPropConfig::default() };
    // The mean square is 2 either way.
    let (outside, inside) = (1.0 - 0.2 / (2.0_f64.sqrt() + 1.0), 1.0 - 0.2 / 3.0_f64.sqrt());
    assert_moves(RuleConfig::RmsProp(config), 0.1, 1.0, &[2.0], &[outside], &[outside]);
    let config = RmsPropConfig { eps_inside: true, ..config };
    assert_moves(RuleConfig::RmsProp(config), 0.1, 1.0, &[2.0], &[inside], &[inside]);
}

#[test]
fn rmsprop_and_adam_add_decay_to_the_gradients_of_weights() {
    // The weight's gradient is 2 + 0.5 · 4 = 4, the bias's 2; after one step the mean square is half of their square.
    let config = RmsPropConfig { alpha: 0.5, eps: 1.0, weight_decay: 0.5, ..RmsPropConfig::default() };
    let moved = |gradient: f64| 4.0 - 0.1 * gradient / ((gradient * gradient / 2.0).sqrt() + 1.0);
    assert_moves(RuleConfig::RmsProp(config), 0.1, 4.0, &[2.0], &[moved(4.0)], &[moved(2.0)]);

    // The weight's gradients are 1 + 0.5 · 4 = 3 and -1 + 0.5 · 3.5 = 0.75: means 1.5 and 1.125, of squares 4.5 and 2.53125;
    // corrected 3 over 3, then 1.5 over the root of 3.375. The bias's are 1 and -1: means 0.5 and -0.25, of squares 0.5 and 0.75.
    let config = AdamConfig { betas: [0.5, 0.5], eps: 0.0, weight_decay: 0.5 };
    let weights = [3.5, 3.5 - 0.5 * 1.5 / 3.375_f64.sqrt()];
    let biases = [3.5, 3.5 + 0.5 * (0.25 / 0.75) / 1.0];
    assert_moves(RuleConfig::Adam(config), 0.5, 4.0, &[1.0, -1.0], &weights, &biases);
}

#[test]
fn adam_without_decay_is_adamw_without_decay() {
    assert_follows("adamw_short_memory", |parameters| {
        Box::new(Adam::new(parameters, AdamConfig { betas: [0.5, 0.8], eps: 1e-3, weight_decay: 0.0 }))
    });
}

#[test]
fn lamb_moves_a_weight_by_its_own_length() {
    // The first direction of Adam is the sign. With decay it is (1 + 1.5, -1 + 2) for the weight of norm 5, and its norm the root
    // of 7.25; a bias moves as under Adam.
    let parameters = weight_and_bias(&[3.0, 4.0], &[3.0, 4.0]);
    let config = LambConfig { eps: 0.0, weight_decay: 0.5, ..LambConfig::default() };
    let mut lamb = Lamb::new(parameters_of(&parameters), config);
    parameters.iter().for_each(|entry| set_gradient(&entry.tensor, &[1.0, -2.0]));
    lamb.step(0.1);
    let step = 0.1 * 5.0 / 7.25_f64.sqrt();
    assert_near(&values(&parameters[0].tensor), &[3.0 - step * 2.5, 4.0 - step], "weight");
    assert_near(&values(&parameters[1].tensor), &[2.9, 4.1], "bias");
}

#[test]
fn lamb_moves_a_weight_of_zeros_too() {
    let parameters = weight_and_bias(&[0.0, 0.0], &[0.0]);
    let mut lamb = Lamb::new(parameters_of(&parameters), LambConfig { eps: 0.0, ..LambConfig::default() });
    set_gradient(&parameters[0].tensor, &[1.0, -2.0]);
    lamb.step(0.1);
    assert_near(&values(&parameters[0].tensor), &[-0.1, 0.1], "weight");
}

#[test]
fn lion_follows_the_sign_of_its_momentum() {
    let config = LionConfig { betas: [0.5, 0.75], weight_decay: 0.5 };
    // Signs of 2, of (1 - 1.5) / 2 and of 0.375 / 2, as the kept means are 1, then 0.75 - 0.375; the weight loses a twentieth
    // before each step.
    let weights = [1.9 - 0.1, 1.8 * 0.95 + 0.1, 1.81 * 0.95 - 0.1];
    assert_moves(RuleConfig::Lion(config), 0.1, 2.0, &[4.0, -1.5, 0.0], &weights, &[1.9, 2.0, 1.9]);
}

#[test]
fn max_norm_scales_each_output_of_a_layer_by_itself() {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
    let weight = Init::Values(vec![3.0, 4.0, 0.3, 0.4]);
    let _ = store.root().parameter("weight", &[2, 1, 1, 2], weight, Role::Weight).unwrap();
    let _ = store.root().parameter("bias", &[2], Init::Values(vec![30.0, 40.0]), Role::Bias).unwrap();
    let parameters = store.parameters();
    let start = values(&parameters[0].tensor.view([-1]));
    let config = OptimiserConfig { max_norm: 1.0, ..OptimiserConfig::default() };
    let mut optimiser = build(&config, parameters_of(&parameters));
    let zero = (parameters[0].tensor.shallow_clone() * 0.0).sum(Kind::Double);
    zero.backward();
    optimiser.step(0.0);
    // A kernel of norm 5, and one of 0.5.
    let scaled = start[..2].iter().map(|weight| weight / (5.0 + 1e-7)).chain(start[2..].iter().copied());
    let found = values(&parameters[0].tensor.view([-1]));
    for (found, expected) in found.into_iter().zip(scaled) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
    assert_eq!(values(&parameters[1].tensor), [30.0, 40.0]);
}

#[test]
fn restored_state_continues_to_the_last_bit() {
    let golden = golden();
    for (rule, make) in every_rule() {
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
            assert_eq!(values(&one.tensor), values(&other.tensor), "{rule}: {}", one.name);
        }
    }
}

#[test]
fn a_rate_of_zero_moves_nothing() {
    let golden = golden();
    for (rule, make) in every_rule() {
        let parameters = parameters(&golden);
        let mut optimiser = make(parameters_of(&parameters));
        // The zero gradient too: a mean square of zero must not turn the quotient into NaN.
        for gradient in [[0.0; 6], [1.0; 6]] {
            set_gradient(&parameters[0].tensor, &gradient);
            optimiser.step(0.0);
            assert_eq!(values(&parameters[0].tensor), golden.weight, "{rule}");
        }
    }
}

#[test]
fn a_parameter_without_a_gradient_stays_and_does_not_decay() {
    let golden = golden();
    let parameters = parameters(&golden);
    for (rule, make) in every_rule() {
        make(parameters_of(&parameters)).step(0.1);
        assert_eq!(values(&parameters[0].tensor), golden.weight, "{rule}");
    }
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

/// Gradients 2 of a weight at ten times the rate and 3 of a bias at the rate itself, 0.01: steps of 0.2 and 0.03.
#[test]
fn a_parameter_moves_at_its_own_multiple_of_the_rate() {
    let golden = golden();
    let config = SgdConfig { momentum: 0.0, nesterov: false, weight_decay: 0.0 };
    let parameters = parameters(&golden);
    let before: Vec<Vec<f64>> = parameters.iter().map(|entry| values(&entry.tensor)).collect();
    let tensors: Vec<Tensor> = parameters.iter().map(|entry| entry.tensor.shallow_clone()).collect();
    let mut rule = build_at_rates(&RuleConfig::Sgd(config).into(), parameters.into_iter().zip([10.0, 1.0]).collect());
    for (tensor, gradient) in tensors.iter().zip([2.0, 3.0]) {
        set_gradient(tensor, &vec![gradient; tensor.numel()]);
    }
    rule.step(0.01);
    for ((tensor, before), step) in tensors.iter().zip(before).zip([0.2, 0.03]) {
        for (after, before) in values(tensor).iter().zip(before) {
            assert!((before - after - step).abs() < 1e-12, "{before} to {after}, expected a step of {step}");
        }
    }
}

#[test]
fn every_rule_moves_a_group_as_it_would_alone_at_the_multiplied_rate() {
    let golden = golden();
    for name in RuleConfig::NAMES {
        let config: OptimiserConfig = toml::from_str(&format!("name = \"{name}\"\nmax_norm = 2.0")).unwrap();
        let (together, alone) = (parameters(&golden), parameters(&golden));
        let share = |entries: &[Entry]| entries.iter().map(|entry| entry.tensor.shallow_clone()).collect::<Vec<_>>();
        let (ours, theirs) = (share(&together), share(&alone));
        let mut grouped = build_at_rates(&config, together.into_iter().zip([10.0, 1.0]).collect());
        let mut single: Vec<_> = alone.into_iter().map(|entry| build(&config, vec![entry])).collect();
        for _ in 0..3 {
            for tensor in ours.iter().chain(&theirs) {
                set_gradient(tensor, &vec![0.5; tensor.numel()]);
            }
            grouped.step(0.01);
            single[0].step(0.1);
            single[1].step(0.01);
        }
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(ours.allclose(theirs, 1e-12, 1e-12, false), "{name}");
        }
        let state = grouped.state();
        let names: std::collections::BTreeSet<&String> = state.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), state.len(), "{name}: {names:?}");
    }
}
