//! Every loss against numbers worked by hand.

use super::*;
use crate::Decision;

const ALL: [&str; 7] =
    ["importance loss", "load loss", "balance loss", "z-loss", "entropy loss", "information loss", "target-rate loss"];

fn loss(name: &str, trace: &Trace) -> Result<Tensor, Error> {
    match name {
        "importance loss" => importance(trace),
        "load loss" => load(trace, 1.0),
        "balance loss" => balance(trace),
        "z-loss" => z_loss(trace),
        "entropy loss" => entropy(trace),
        "information loss" => information(trace, 0.3),
        _ => target_rate(trace, 0.5),
    }
}

fn push(trace: &mut Trace, size: [i64; 3], weights: &[f64], logits: Option<&[f64]>, normalisation: Normalisation) {
    let tensor = |numbers: &[f64]| Tensor::from_slice(numbers).view(size).set_requires_grad(true);
    let decision = Decision::soft(tensor(weights), logits.map(tensor), normalisation);
    trace.push(&format!("layer{}", trace.layers.len() + 1), decision);
}

/// A trace of one layer with the given weights `[B, S, T]`.
fn of_weights(size: [i64; 3], weights: &[f64], normalisation: Normalisation) -> Trace {
    let mut trace = Trace::new();
    push(&mut trace, size, weights, None, normalisation);
    trace
}

/// A trace of one layer with the given logits; the losses tested with it do not read the weights.
fn of_logits(size: [i64; 3], logits: &[f64]) -> Trace {
    let mut trace = Trace::new();
    push(&mut trace, size, logits, Some(logits), Normalisation::Targets);
    trace
}

#[track_caller]
fn assert_close(found: Result<Tensor, Error>, expected: f64) {
    let found = found.unwrap().double_value(&[]);
    assert!((found - expected).abs() < 1e-7, "{found}, expected {expected}");
}

fn gradient(of: &Tensor) -> Vec<f64> {
    Vec::try_from(of.grad().view(-1)).unwrap()
}

// Two samples of one source and two targets: sums over the batch (1.5, 0.5), means (0.75, 0.25).
const UNEVEN: [f64; 4] = [0.9, 0.1, 0.6, 0.4];

#[test]
fn importance_is_the_squared_coefficient_of_variation_of_the_sums() {
    // Sums (1.5, 0.5): mean 1, variance 0.5² = 0.25.
    assert_close(importance(&of_weights([2, 1, 2], &UNEVEN, Normalisation::Targets)), 0.25);
    assert_close(importance(&of_weights([1, 1, 4], &[0.25; 4], Normalisation::Targets)), 0.0);
}

#[test]
fn information_is_asked_for_up_to_a_floor() {
    let ln2 = 2_f64.ln();
    // Each of two samples is sure of another target: H(mean) = ln 2, mean H = 0.
    let sure = of_weights([2, 1, 2], &[1.0, 0.0, 0.0, 1.0], Normalisation::Targets);
    assert_close(information(&sure, 0.5), 0.0);
    assert_close(information(&sure, 1.0), 1.0 - ln2);
    // Routes that are all used, and collapsed ones, are alike for all samples: nothing is known of the image.
    for weights in [[0.5; 4], [1.0, 0.0, 1.0, 0.0]] {
        assert_close(information(&of_weights([2, 1, 2], &weights, Normalisation::Targets), 0.3), 0.3);
    }
    let message = information(&sure, -1.0).unwrap_err().to_string();
    assert_eq!(message, "floor of the information loss: expected a finite number, 0 or above, found -1");
}

#[test]
fn losses_are_means_over_routers_and_layers() {
    // Layer 1: source 1 uses its targets (1.5, 0.5), CV² 0.25; source 2 evenly, CV² 0: mean 0.125. Layer 2: 0.
    let mut trace = Trace::new();
    push(&mut trace, [2, 2, 2], &[0.9, 0.1, 0.5, 0.5, 0.6, 0.4, 0.5, 0.5], None, Normalisation::Targets);
    push(&mut trace, [2, 1, 2], &[0.5; 4], None, Normalisation::Targets);
    assert_close(importance(&trace), 0.0625);
}

#[test]
fn under_sources_a_target_chooses_among_the_sources() {
    // One target takes (0.75, 0.25) of two sources: mean 0.5, variance 0.25² = 0.0625, over 0.25.
    assert_close(importance(&of_weights([1, 2, 1], &[0.75, 0.25], Normalisation::Sources)), 0.25);
    // As two sources with one target each, there is nothing to choose.
    assert_close(importance(&of_weights([1, 2, 1], &[0.75, 0.25], Normalisation::Targets)), 0.0);
}

#[test]
fn importance_of_closed_gates_is_even() {
    assert_close(importance(&of_weights([1, 1, 2], &[0.0, 0.0], Normalisation::Sigmoid)), 0.0);
}

#[test]
fn load_counts_the_probable_wins() {
    // Margins 1 and -1: Φ(1) = 0.8413447461 and 0.1586552539, mean 0.5, variance 0.3413447461² = 0.1165162357,
    // over 0.25.
    assert_close(load(&of_logits([1, 1, 2], &[1.0, 0.0]), 1.0), 0.4660649427);
    // (2, 1, 0), σ = 2: margins to the best of the others 1, -1, -2, over 2: Φ(0.5), Φ(-0.5), Φ(-1) =
    // 0.6914624613, 0.3085375387, 0.1586552539; mean 0.3862184180, squared 0.1491646664;
    // variance (0.3052440433² + 0.0776808793² + 0.2275631641²) / 3 = 0.0503310795.
    assert_close(load(&of_logits([1, 1, 3], &[2.0, 1.0, 0.0]), 2.0), 0.3374195818);
}

#[test]
fn load_of_a_batch_that_wins_evenly_is_zero() {
    assert_close(load(&of_logits([2, 1, 2], &[3.0, -1.0, -1.0, 3.0]), 1.0), 0.0);
}

#[test]
fn load_pushes_the_winner_down() {
    let trace = of_logits([1, 1, 2], &[1.0, 0.0]);
    load(&trace, 1.0).unwrap().backward();
    let gradient = gradient(trace.layers[0].decision.logits.as_ref().unwrap());
    // With p = Φ(m), m = a_1 - a_2: CV² = 4 (p - 1/2)², derivative 8 (p - 1/2) φ(1) = 8 · 0.3413447461 · 0.2419707245.
    assert!((gradient[0] - 0.660766).abs() < 1e-5 && (gradient[1] + 0.660766).abs() < 1e-5, "{gradient:?}");
}

#[test]
fn load_of_a_single_choice_is_zero_with_a_finite_gradient() {
    let trace = of_logits([2, 2, 1], &[0.3, -2.0, 0.1, 5.0]);
    let loss = load(&trace, 1.0).unwrap();
    loss.backward();
    assert_eq!(loss.double_value(&[]), 0.0);
    assert_eq!(gradient(trace.layers[0].decision.logits.as_ref().unwrap()), [0.0; 4]);
}

#[test]
fn balance_is_the_product_of_use_and_share() {
    // Target 1 has the largest weight in 3 of 4 samples: f = (3/4, 1/4), P = (2.6, 1.4) / 4 = (0.65, 0.35);
    // 2 (0.4875 + 0.0875) = 1.15.
    let weights = [0.9, 0.1, 0.8, 0.2, 0.6, 0.4, 0.3, 0.7];
    let trace = of_weights([4, 1, 2], &weights, Normalisation::Targets);
    let loss = balance(&trace).unwrap();
    loss.backward();
    assert_close(Ok(loss), 1.15);
    // f has no gradient: T f_j / B = 2 · (3/4, 1/4) / 4.
    assert_eq!(gradient(&trace.layers[0].decision.weights)[..2], [0.375, 0.125]);
}

#[test]
fn balance_is_one_where_even_and_the_number_of_choices_where_not() {
    let even = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    assert_close(balance(&of_weights([3, 1, 3], &even, Normalisation::Targets)), 1.0);
    let one = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    assert_close(balance(&of_weights([3, 1, 3], &one, Normalisation::Targets)), 3.0);
}

#[test]
fn balance_divides_sigmoid_weights_by_their_sum() {
    // (0.9, 0.3) / 1.2 = (0.75, 0.25), f = (1, 0): 2 · 0.75.
    assert_close(balance(&of_weights([1, 1, 2], &[0.9, 0.3], Normalisation::Sigmoid)), 1.5);
}

#[test]
fn z_loss_is_the_mean_squared_log_partition() {
    // (0, ln 3): ln 4, squared 1.9218120557. (0, 0): ln 2, squared 0.4804530139.
    assert_close(z_loss(&of_logits([2, 1, 2], &[0.0, 3.0_f64.ln(), 0.0, 0.0])), 1.2011325348);
}

#[test]
fn entropy_is_the_mean_over_samples() {
    // (1/4, 3/4): 0.25 ln 4 + 0.75 ln (4/3) = 0.5623351446; (1, 0): 0.
    assert_close(entropy(&of_weights([2, 1, 2], &[0.25, 0.75, 1.0, 0.0], Normalisation::Targets)), 0.2811675723);
    // Coins of 1/2 and 1/4: ln 2 + 0.5623351446.
    assert_close(entropy(&of_weights([1, 1, 2], &[0.5, 0.25], Normalisation::Sigmoid)), 1.2554823252);
}

#[test]
fn entropy_has_a_finite_gradient_at_closed_gates() {
    let trace = of_weights([1, 1, 2], &[1.0, 0.0], Normalisation::Targets);
    entropy(&trace).unwrap().backward();
    assert!(gradient(&trace.layers[0].decision.weights).iter().all(|g| g.is_finite()));
}

#[test]
fn target_rate_is_the_squared_distance_of_the_means() {
    // Means (0.75, 0.25): from 0.5, 0.25² each; from 0.25, (0.5² + 0) / 2.
    let trace = of_weights([2, 1, 2], &UNEVEN, Normalisation::Targets);
    assert_close(target_rate(&trace, 0.5), 0.0625);
    assert_close(target_rate(&trace, 0.25), 0.125);
}

#[test]
fn half_precision_routes_are_read_in_float32() {
    let mut trace = of_logits([1, 1, 2], &[1.0, 0.0]);
    let decision = &mut trace.layers[0].decision;
    decision.weights = decision.weights.to_kind(Kind::BFloat16);
    decision.logits = decision.logits.as_ref().map(|a| a.to_kind(Kind::BFloat16));
    for name in ALL {
        assert_eq!(loss(name, &trace).unwrap().kind(), Kind::Float, "{name}");
    }
}

#[test]
fn a_layer_that_may_be_skipped_is_held_to_how_often_it_runs() {
    // One runs for 1 of 4 samples, the other for 3 of 4: (0.25 - 0.5)² and (0.75 - 0.5)², mean 0.0625.
    let mut trace = Trace::new();
    for runs in [[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 0.0]] {
        let weights: Vec<f64> = runs.iter().flat_map(|run| [1.0 - run, *run]).collect();
        push(&mut trace, [4, 1, 2], &weights, None, Normalisation::Targets);
    }
    trace.layers.iter_mut().for_each(|layer| layer.decision.cost = vec![0, 9]);
    let mean = |rate| target_rate(&trace, rate);
    assert_close(mean(0.5), 0.0625);
    // At 0.4: 0.0225 and 0.1225. The code's loss is 2 · mean, the paper's the sum: with two layers they are one.
    assert_close(mean(0.4), 0.0725);
    trace.layers.truncate(1);
    assert_close(target_rate(&trace, 0.25), 0.0);
}

#[test]
fn the_balance_of_choices_counts_what_was_chosen_and_weighs_probabilities() {
    // Two samples of one source: probabilities (3/4, 1/4) and (1/2, 1/2), both choose the first. f = (1, 0), P_1 = 5/8, E = 2.
    let third = 3.0_f64.ln();
    let mut trace = Trace::new();
    let one_hot = [1.0, 0.0, 1.0, 0.0];
    push(&mut trace, [2, 1, 2], &one_hot, Some(&[third, 0.0, 0.0, 0.0]), Normalisation::Targets);
    trace.layers[0].decision.chosen = Some(Tensor::from_slice(&one_hot).view([2, 1, 2]).gt(0.5));
    assert_close(balance(&trace), 1.25);
    // A second source that had none of the samples is even.
    let mut trace = Trace::new();
    let weights = [1.0, 0.0, 0.0, 0.0];
    push(&mut trace, [1, 2, 2], &weights, Some(&[third, 0.0, 5.0, 0.0]), Normalisation::Targets);
    trace.layers[0].decision.chosen = Some(Tensor::from_slice(&weights).view([1, 2, 2]).gt(0.5));
    // 2 · 1 · 3/4 for the first, 1 for the second.
    assert_close(balance(&trace), 1.25);
}

#[test]
fn a_loss_on_an_empty_trace_is_an_error() {
    for name in ALL {
        assert_eq!(
            loss(name, &Trace::new()).unwrap_err().to_string(),
            format!(
                "{name} needs routes, and the trace is empty: choose a model with routing (`_cc`, `_cp`) or leave it out"
            )
        );
    }
}

#[test]
fn losses_on_logits_refuse_fixed_weights() {
    let trace = of_weights([1, 1, 2], &[0.5, 0.5], Normalisation::Targets);
    for name in ["load loss", "z-loss"] {
        assert_eq!(
            loss(name, &trace).unwrap_err().to_string(),
            format!(
                "{name} needs gate logits, and the routing layer `layer1` has none: use it with gated or learned mixing"
            )
        );
    }
}

#[test]
fn a_recipe_adds_the_losses_that_are_on() {
    let trace = of_weights([2, 1, 2], &UNEVEN, Normalisation::Targets);
    assert!(RoutingLossConfig::default().total(&trace).unwrap().is_none());
    let config: RoutingLossConfig =
        toml::from_str("importance = 2.0\ntarget_rate = { weight = 10.0, rate = 0.25 }").unwrap();
    // 2 · 0.25 + 10 · 0.125.
    assert_close(config.total(&trace).map(Option::unwrap), 1.75);
    let names: Vec<&str> = config.terms(&trace).unwrap().iter().map(|term| term.name).collect();
    assert_eq!(names, ["importance", "target_rate"]);
}

#[test]
fn a_recipe_with_values_out_of_range_is_refused() {
    let message = |config: RoutingLossConfig| config.check().unwrap_err().to_string();
    assert_eq!(
        message(RoutingLossConfig { balance: -1.0, ..Default::default() }),
        "routing loss weight `balance`: expected a finite number, 0 or above, found -1"
    );
    assert_eq!(
        message(RoutingLossConfig { entropy: f64::NAN, ..Default::default() }),
        "routing loss weight `entropy`: expected a finite number, found NaN"
    );
    assert_eq!(
        message(RoutingLossConfig { load_sigma: 0.0, ..Default::default() }),
        "routing loss `load_sigma`: expected a finite number above 0, found 0"
    );
    assert_eq!(
        message(RoutingLossConfig { target_rate: TargetRate { weight: 1.0, rate: 1.5 }, ..Default::default() }),
        "routing loss `target_rate.rate`: expected 0 to 1, found 1.5"
    );
}
