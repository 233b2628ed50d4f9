//! Statistics against numbers worked by hand.

use super::*;
use crate::Decision;

/// Entropy of (1/4, 3/4): 0.25 ln 4 + 0.75 ln (4/3).
const QUARTER: f64 = 0.5623351446188083;
const LN_2: f64 = std::f64::consts::LN_2;

fn trace(size: [i64; 3], weights: &[f64], normalisation: Normalisation) -> Trace {
    let mut trace = Trace::new();
    trace.push("stage2", Decision::soft(Tensor::from_slice(weights).view(size), None, normalisation));
    trace
}

fn of_one_batch(trace: &Trace, labels: &[i64], classes: usize) -> LayerStatistics {
    let mut accumulator = RouteAccumulator::new(classes);
    accumulator.add(trace, &Tensor::from_slice(labels)).unwrap();
    accumulator.finish().unwrap().remove(0)
}

#[track_caller]
fn assert_entropies(found: &LayerStatistics, of_mean: f64, mean: f64) {
    let expected = [of_mean, mean, of_mean - mean];
    let found = [found.entropy_of_mean, found.mean_entropy, found.mutual_information];
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, expected {expected:?}");
}

#[test]
fn hard_routes_that_follow_the_class_carry_all_information() {
    // Half of the samples go each way: the mean (1/2, 1/2) has entropy ln 2, each sample has none.
    let weights = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
    let found = of_one_batch(&trace([4, 1, 2], &weights, Normalisation::Targets), &[0, 0, 1, 1], 2);
    assert_entropies(&found, LN_2, 0.0);
    assert_eq!(found.utilisation, [[0.5, 0.5]]);
    assert_eq!(found.by_class, [[[1.0, 0.0]], [[0.0, 1.0]]]);
    assert_eq!((found.sources, found.targets, found.samples), (1, 2, 4));
}

#[test]
fn gates_that_ignore_the_input_carry_none_however_balanced() {
    let even = of_one_batch(&trace([2, 1, 2], &[0.5; 4], Normalisation::Targets), &[0, 1], 2);
    assert_entropies(&even, LN_2, LN_2);
    let uneven = of_one_batch(&trace([2, 1, 2], &[0.25, 0.75, 0.25, 0.75], Normalisation::Targets), &[0, 1], 2);
    assert_entropies(&uneven, QUARTER, QUARTER);
}

#[test]
fn soft_routes_carry_some() {
    let found = of_one_batch(&trace([2, 1, 2], &[0.25, 0.75, 0.75, 0.25], Normalisation::Targets), &[0, 1], 2);
    assert_entropies(&found, LN_2, QUARTER);
}

#[test]
fn entropies_are_means_over_the_routers() {
    // Source 1 is hard and follows the sample (ln 2, 0); source 2 is always (1/4, 3/4).
    let weights = [1.0, 0.0, 0.25, 0.75, 0.0, 1.0, 0.25, 0.75];
    let found = of_one_batch(&trace([2, 2, 2], &weights, Normalisation::Targets), &[0, 0], 1);
    assert_entropies(&found, (LN_2 + QUARTER) / 2.0, QUARTER / 2.0);
    assert_eq!(found.utilisation, [[0.5, 0.5], [0.25, 0.75]]);
}

#[test]
fn under_sources_a_target_chooses_among_the_sources() {
    // One target takes (1/4, 3/4), then (3/4, 1/4) of two sources.
    let found = of_one_batch(&trace([2, 2, 1], &[0.25, 0.75, 0.75, 0.25], Normalisation::Sources), &[0, 1], 2);
    assert_entropies(&found, LN_2, QUARTER);
    assert_eq!(found.utilisation, [[0.5], [0.5]]);
}

#[test]
fn sigmoid_gates_are_coins() {
    // Gate 1 opens for one of two samples: mean 1/2, entropy ln 2, each sample 0. Gate 2 is always 1/4.
    let found = of_one_batch(&trace([2, 1, 2], &[1.0, 0.25, 0.0, 0.25], Normalisation::Sigmoid), &[0, 1], 2);
    assert_entropies(&found, LN_2 + QUARTER, QUARTER);
}

#[test]
fn batches_add_up() {
    let mut accumulator = RouteAccumulator::new(2);
    for (weights, label) in [([1.0, 0.0], 0), ([0.5, 0.5], 1), ([0.0, 1.0], 1)] {
        let batch = trace([1, 1, 2], &weights, Normalisation::Targets);
        accumulator.add(&batch, &Tensor::from_slice(&[label])).unwrap();
    }
    let together = trace([3, 1, 2], &[1.0, 0.0, 0.5, 0.5, 0.0, 1.0], Normalisation::Targets);
    assert_eq!(accumulator.finish().unwrap(), [of_one_batch(&together, &[0, 1, 1], 2)]);
}

#[test]
fn a_class_without_samples_is_zero_and_says_so() {
    let found = of_one_batch(&trace([2, 1, 2], &[0.25, 0.75, 0.75, 0.25], Normalisation::Targets), &[2, 0], 3);
    assert_eq!(found.class_samples, [1, 0, 1]);
    assert_eq!(found.by_class, [[[0.75, 0.25]], [[0.0, 0.0]], [[0.25, 0.75]]]);
}

#[test]
fn nothing_seen_gives_no_statistics() {
    assert_eq!(RouteAccumulator::new(2).finish().unwrap(), []);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let batch = trace([1, 1, 2], &[0.5, 0.5], Normalisation::Targets);
    let label = Tensor::from_slice(&[0_i64]);
    let mut accumulator = RouteAccumulator::new(2);
    assert_eq!(
        accumulator.add(&Trace::new(), &label).unwrap_err().to_string(),
        "routing statistics needs routes, and the trace is empty: choose a model with routing (`_cc`, `_cp`) or leave it out"
    );
    assert_eq!(
        accumulator.add(&batch, &Tensor::from_slice(&[0_i64, 1])).unwrap_err().to_string(),
        "routing statistics of 1 samples need labels [1], found [2]"
    );
    accumulator.add(&batch, &label).unwrap();
    let other = trace([1, 2, 1], &[0.5, 0.5], Normalisation::Targets);
    assert_eq!(
        accumulator.add(&other, &label).unwrap_err().to_string(),
        "routing statistics began with the layers `stage2` 1x2, and this trace has `stage2` 2x1: use one accumulator a model"
    );
}

#[test]
fn labels_outside_the_classes_are_counted() {
    let mut accumulator = RouteAccumulator::new(2);
    let batch = trace([3, 1, 1], &[1.0; 3], Normalisation::Targets);
    accumulator.add(&batch, &Tensor::from_slice(&[0_i64, 2, -1])).unwrap();
    assert_eq!(
        accumulator.finish().unwrap_err().to_string(),
        "2 of 3 labels lie outside 0..2: expected the data set's own number of classes"
    );
}
