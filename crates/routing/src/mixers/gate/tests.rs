use super::*;
use mp_nn::{Device, Store};

const CPU: Device = Device::Cpu;

#[test]
fn one_batched_product_is_the_gates_one_by_one() {
    let store = Store::with_kind(CPU, Kind::Double, 7);
    let shape = RoutingShape { sources: 3, targets: 2, channels: 5 };
    let gate = GateConfig { hidden: 4, temperature: 0.5, ..Default::default() }.build(&store.root(), shape).unwrap();
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
fn a_batch_is_decided_on_before_the_statistics_see_it() {
    for reads in [GateReads::Own, GateReads::All] {
        let (store, gate) = gate(GateConfig { reads, input: GateInput::Standardised, ..Default::default() });
        let (first, second) = (images(8), images(8));
        gate.mix(&first, &mut Pass::train());
        let expected = gate.route(&second, &mut Pass::eval()).weights;
        assert!(gate.mix(&second, &mut Pass::train()).1.weights.allclose(&expected, 1e-12, 1e-12, false));
        // The second batch counts a half.
        let running = store.entries().into_iter().find(|entry| entry.name == "running_mean").unwrap().tensor;
        for (i, (a, b)) in (0..).zip(first.iter().zip(&second)) {
            let mean = (a + b).mean_dim([0_i64, 2, 3].as_slice(), false, None) / 2.0;
            assert!(running.get(i).allclose(&mean, 1e-12, 1e-12, false));
        }
        // A gate alone, as before a cross-prediction, sees it too.
        gate.route(&first, &mut Pass::train());
        let batches = store.entries().into_iter().find(|entry| entry.name == "batches").unwrap().tensor;
        assert_eq!(batches.double_value(&[0]), 3.0);
    }
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
    assert!(store.parameters().iter().all(|entry| entry.tensor.grad().abs().sum(Kind::Double).double_value(&[]) > 0.0));
    assert!(!xs[0].grad().defined());
}

#[test]
fn statistics_that_move_on_leave_the_backward_pass_alone() {
    for input in [GateInput::Mean, GateInput::Standardised] {
        for blind in [false, true] {
            let (store, gate) = gate(GateConfig { input, blind, ..Default::default() });
            for _ in 0..2 {
                let (ys, _) = gate.mix(&images(4).map(|x| x.set_requires_grad(true)), &mut Pass::train());
                ys[0].square().sum(Kind::Double).backward();
                let decision = gate.route(&images(4), &mut Pass::train());
                decision.weights.square().sum(Kind::Double).backward();
            }
            let has_gradient = |entry: &mp_nn::Entry| entry.tensor.grad().isfinite().all().int64_value(&[]) == 1;
            assert!(store.parameters().iter().all(has_gradient));
        }
    }
}

#[test]
fn paths_may_start_by_keeping_more_of_themselves() {
    let (_store, plain) = gate(GateConfig::default());
    let (_other, kept) = gate(GateConfig { diagonal: 2.0, ..Default::default() });
    let added = Vec::<f64>::try_from((&kept.bias2 - &plain.bias2).view(-1)).unwrap();
    assert!(added.iter().zip([2.0, 0.0, 0.0, 2.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{added:?}");
}

#[test]
fn a_gate_of_all_sources_reads_their_means_side_by_side() {
    for input in [GateInput::Mean, GateInput::Standardised] {
        let (_store, gate) = gate(GateConfig { reads: GateReads::All, input, ..Default::default() });
        let xs = images(6);
        let (ys, decision) = gate.mix(&xs, &mut Pass::train());
        let mut z = Tensor::cat(&xs.each_ref().map(pool), 1);
        if input == GateInput::Standardised {
            let of_batch = |x: Tensor| x.unsqueeze(0);
            let mean = of_batch(z.mean_dim([0_i64].as_slice(), false, None));
            let var = of_batch(z.var_dim([0_i64].as_slice(), true, false));
            z = (z - mean) / (var + 1e-5).sqrt();
        }
        for i in 0..2 {
            let hidden = z.linear(&gate.weight1.get(i), Some(&gate.bias1.get(i))).relu();
            let expected = hidden.linear(&gate.weight2.get(i), Some(&gate.bias2.get(i))).softmax(1, None);
            assert!(decision.weights.select(1, i).allclose(&expected, 1e-10, 1e-10, false));
        }
        assert!(ys[1].allclose(&mix(&xs, &decision.weights)[1], 1e-10, 1e-10, false));
    }
    let (store, _) = gate(GateConfig { reads: GateReads::All, ..Default::default() });
    assert_eq!(store.parameters()[0].tensor.size(), [2, 16, 10]);
}

#[test]
fn a_residual_gate_gives_each_target_its_own_source_beside_what_is_sent() {
    let (_store, plain) = gate(GateConfig::default());
    let (_other, residual) = gate(GateConfig { residual: true, ..Default::default() });
    let xs = images(3);
    let (sent, plain) = plain.mix(&xs, &mut Pass::eval());
    let (ys, decision) = residual.mix(&xs, &mut Pass::eval());
    assert!(decision.weights.allclose(&plain.weights, 1e-12, 1e-12, false), "the trace holds g");
    for ((y, sent), x) in ys.iter().zip(sent).zip(&xs) {
        assert!(y.allclose(&(sent + x), 1e-10, 1e-10, false));
    }
    // Of one source, every target is its own.
    let store = Store::with_kind(CPU, Kind::Double, 7);
    let shape = RoutingShape { sources: 1, targets: 2, channels: 5 };
    let config = GateConfig { residual: true, ..Default::default() };
    let split = config.build(&store.root(), shape).unwrap();
    let (ys, decision) = split.mix(&xs[..1], &mut Pass::eval());
    let g = decision.weights.select(1, 0).select(1, 1).view([3, 1, 1, 1]);
    assert!(ys[1].allclose(&(&xs[0] * (g + 1.0)), 1e-10, 1e-10, false));

    let error = config.build(&(&store.root() / "stage2"), RoutingShape { sources: 2, targets: 3, channels: 5 });
    assert_eq!(
        error.unwrap_err().to_string(),
        "targets of the routing layer `stage2` with residual routing: expected as many as the 2 sources, found 3"
    );
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
