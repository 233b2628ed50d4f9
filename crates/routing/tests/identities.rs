//! The identities to which routing holds for every input (DESIGN, section 4).

use mp_nn::{Device, Kind, Store, Tensor, WeightInit};
use mp_routing::{
    ConvShape, CrossConnectionConfig, CrossPrediction, CrossPredictionConfig, DenseShape, Form, GateConfig,
    MixerConfig, Normalisation, Pass, RoutingShape,
};
use proptest::prelude::*;

const OPTIONS: (Kind, Device) = (Kind::Double, Device::Cpu);

fn store(seed: u64) -> Store {
    // The tests run side by side; the tensors are too small to share one among threads.
    tch::set_num_threads(1);
    Store::with_kind(Device::Cpu, Kind::Double, seed)
}

/// Maps `[2, channels, 5, 5]`, the same for the same seed.
fn maps(count: i64, channels: i64, seed: i64) -> Vec<Tensor> {
    tensors(&[count, 2, channels, 5, 5], seed)
}

fn tensors(size: &[i64], seed: i64) -> Vec<Tensor> {
    // Not libtorch's generator: its state is shared by the tests of a process.
    let steps = Tensor::arange(size.iter().product::<i64>(), OPTIONS);
    ((steps * 12.9898 + seed as f64).sin() * 43758.5453).frac().view(size).unbind(0)
}

fn close(a: &Tensor, b: &Tensor) -> bool {
    a.size() == b.size() && a.allclose(b, 1e-10, 1e-10, false)
}

fn all_close(a: &[Tensor], b: &[Tensor]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| close(a, b))
}

fn parameter(store: &Store, name: &str) -> Tensor {
    store.entries().into_iter().find(|entry| entry.name == name).map(|entry| entry.tensor).unwrap()
}

fn conv(out_channels: i64, stride: i64, bias: bool) -> ConvShape {
    ConvShape { out_channels, kernel: 3, stride, padding: 1, bias, init: WeightInit::KaimingUniform }
}

fn prediction(store: &Store, form: Form, shape: RoutingShape, conv: ConvShape) -> CrossPrediction {
    let config = CrossPredictionConfig { form, ..Default::default() };
    config.build(&store.root(), "cross", shape, conv).unwrap()
}

#[test]
fn one_path_is_the_plain_layer() {
    let xs = maps(1, 3, 1);
    let shape = RoutingShape::square(1, 3);
    let mut pass = Pass::train();
    let cross = CrossConnectionConfig::default().build(&store(0).root(), "cross", shape).unwrap();
    assert!(cross.forward(&xs, &mut pass)[0].equal(&xs[0]));

    for form in [Form::Direct, Form::Gated] {
        let store = store(0);
        let (ys, _) = prediction(&store, form, shape, conv(4, 2, true)).forward(&xs, &mut pass);
        let (weight, bias) = (parameter(&store, "target1.weight"), parameter(&store, "target1.bias"));
        let plain = xs[0].conv2d(&weight, Some(&bias.get(0)), [2, 2], [1, 1], [1, 1], 1);
        assert!(close(&ys[0], &plain), "{form:?}");
    }
    assert!(pass.trace.layers.iter().all(|layer| layer.decision.weights.equal(&layer.decision.weights.ones_like())));
}

#[test]
fn uniform_weights_give_the_mean() {
    let xs = maps(3, 2, 2);
    let shape = RoutingShape { sources: 3, targets: 2, channels: 2 };
    let cross =
        CrossConnectionConfig { mixer: MixerConfig::UNIFORM.into() }.build(&store(0).root(), "cross", shape).unwrap();
    let mean = Tensor::stack(&xs, 0).mean_dim([0_i64].as_slice(), false, None);
    for y in cross.forward(&xs, &mut Pass::train()) {
        assert!(close(&y, &mean));
    }
}

#[test]
fn identity_weights_give_independent_paths() {
    let xs = maps(3, 2, 3);
    let shape = RoutingShape::square(3, 2);
    let mut pass = Pass::train();
    let cross =
        CrossConnectionConfig { mixer: MixerConfig::IDENTITY.into() }.build(&store(0).root(), "cross", shape).unwrap();
    let ys = cross.forward(&xs, &mut pass);
    assert!(ys.iter().zip(&xs).all(|(y, x)| y.equal(x)));
    // The shortcut past the arithmetic is what the arithmetic would have given.
    assert!(all_close(&ys, &mp_routing::mix(&xs, &pass.trace.layers[0].decision.weights)));

    for form in [Form::Direct, Form::Gated] {
        let store = store(0);
        let config = CrossPredictionConfig { mixer: MixerConfig::IDENTITY.into(), form };
        let cross = config.build(&store.root(), "cross", shape, conv(4, 1, false)).unwrap();
        let (ys, _) = cross.forward(&xs, &mut pass);
        for (j, y) in ys.iter().enumerate() {
            let own = parameter(&store, &format!("target{}.weight", j + 1)).narrow(1, 2 * j as i64, 2);
            assert!(close(y, &xs[j].conv2d(&own, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)), "{form:?}");
        }
    }
}

#[test]
fn permuting_the_paths_permutes_the_outputs() {
    let shape = RoutingShape::square(3, 2);
    let order = [2_i64, 0, 1];
    let index = Tensor::from_slice(&order);
    let xs = maps(3, 2, 4);
    let permuted_xs: Vec<Tensor> = order.iter().map(|&i| xs[i as usize].shallow_clone()).collect();

    let (plain, permuted) = (store(0), store(0));
    let first = CrossConnectionConfig::default().build(&plain.root(), "cross", shape).unwrap();
    let second = CrossConnectionConfig::default().build(&permuted.root(), "cross", shape).unwrap();
    let _no_grad = tch::no_grad_guard();
    for mut entry in permuted.entries() {
        let by_source = entry.tensor.index_select(0, &index);
        // The targets are the second axis of the second layer.
        let value = if entry.name.ends_with('2') { by_source.index_select(1, &index) } else { by_source };
        entry.tensor.copy_(&value);
    }
    let ys = first.forward(&xs, &mut Pass::train());
    let permuted_ys = second.forward(&permuted_xs, &mut Pass::train());
    let expected: Vec<Tensor> = order.iter().map(|&j| ys[j as usize].shallow_clone()).collect();
    assert!(all_close(&permuted_ys, &expected));
}

#[test]
fn dense_predictions_are_convolutions_of_single_pixels() {
    let dense_xs = tensors(&[2, 3, 4], 5);
    let map_xs: Vec<Tensor> = dense_xs.iter().map(|x| x.view([3, 4, 1, 1])).collect();
    let shape = RoutingShape { sources: 2, targets: 3, channels: 4 };
    for form in [Form::Direct, Form::Gated] {
        let config = CrossPredictionConfig { form, ..Default::default() };
        let (dense_store, map_store) = (store(6), store(6));
        let dense = config.build_dense(&dense_store.root(), "cross", shape, DenseShape { out_features: 5, bias: true });
        let pixel = ConvShape { kernel: 1, padding: 0, ..conv(5, 1, true) };
        let maps = config.build(&map_store.root(), "cross", shape, pixel);
        let (ys, _) = dense.unwrap().forward(&dense_xs, &mut Pass::train());
        let (expected, _) = maps.unwrap().forward(&map_xs, &mut Pass::train());
        let expected: Vec<Tensor> = expected.iter().map(|y| y.view([3, 5])).collect();
        assert!(all_close(&ys, &expected), "{form:?}");
    }
}

#[test]
fn cross_prediction_reports_its_multiply_adds() {
    // Of one sample: 2 sources of 3 channels, 3 targets of 4 channels, 5x5 to 3x3. A prediction has 4 · 9 = 36 numbers of
    // 3 · 9 = 27 products, 6 predictions: 5,832. Direct mixing: 6 · 36 = 216. Gating: 3 targets of 2 · 3 · 25 = 150
    // numbers, 450. Mixed biases: 3 targets of 4 numbers of 2 products, 24. The gate: 2 · (3 + 3) · 16 = 192.
    let shape = RoutingShape { sources: 2, targets: 3, channels: 3 };
    let xs = maps(2, 3, 7);
    let counted = |form, bias| {
        let store = store(0);
        let cross = prediction(&store, form, shape, conv(4, 2, bias));
        store.meter().measure(|| cross.forward(&xs, &mut Pass::train())).1
    };
    assert_eq!(counted(Form::Direct, true), 5_832 + 216 + 192);
    assert_eq!(counted(Form::Gated, false), 5_832 + 450 + 192);
    assert_eq!(counted(Form::Gated, true), 5_832 + 450 + 24 + 192);
}

#[test]
fn the_automatic_form_is_direct_on_the_cpu() {
    let form = |form| prediction(&store(0), form, RoutingShape::square(2, 3), conv(3, 1, false)).form();
    assert_eq!([Form::Auto, Form::Direct, Form::Gated].map(form), [Form::Direct, Form::Direct, Form::Gated]);
}

#[test]
fn cross_connection_reports_its_multiply_adds() {
    // Of one sample: 3 targets of 2 sources of 3 · 25 = 75 numbers: 450; the gate as above: 192.
    let shape = RoutingShape { sources: 2, targets: 3, channels: 3 };
    let store = store(0);
    let cross = CrossConnectionConfig::default().build(&store.root(), "cross", shape).unwrap();
    assert_eq!(store.meter().measure(|| cross.forward(&maps(2, 3, 8), &mut Pass::train())).1, 450 + 192);
}

#[test]
fn values_out_of_range_are_refused() {
    let build = |shape: ConvShape| {
        let store = store(0);
        let params = &store.root() / "stage2";
        let error = CrossPredictionConfig::default().build(&params, "cross", RoutingShape::square(2, 4), shape);
        error.unwrap_err().to_string()
    };
    let good = conv(4, 1, false);
    assert_eq!(
        build(ConvShape { stride: 0, ..good }),
        "stride of the routing layer `stage2`: expected at least 1, found 0"
    );
    assert_eq!(
        build(ConvShape { padding: -1, ..good }),
        "padding of the routing layer `stage2`: expected at least 0, found -1"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn weights_sum_to_one_over_the_axis_on_which_they_compete(
        sources in 1..=8_i64, targets in 1..=8_i64, temperature in 0.1..10.0_f64, seed in 0..1000_u64,
    ) {
        let shape = RoutingShape { sources, targets, channels: 3 };
        let xs = maps(sources, 3, seed as i64);
        let weights = |normalisation| {
            let config = GateConfig { hidden: 4, temperature, normalisation, ..Default::default() };
            config.build(&store(seed).root(), shape).unwrap().forward(&xs).weights
        };
        for (normalisation, axis, size) in [(Normalisation::Targets, 2_i64, [2, sources]), (Normalisation::Sources, 1, [2, targets])] {
            let sums = weights(normalisation).sum_dim_intlist([axis].as_slice(), false, None);
            prop_assert!(close(&sums, &Tensor::ones(size, OPTIONS)));
        }
        let sigmoid = weights(Normalisation::Sigmoid);
        prop_assert!(f64::try_from(sigmoid.min()).unwrap() > 0.0 && f64::try_from(sigmoid.max()).unwrap() < 1.0);
    }

    #[test]
    fn both_forms_of_cross_prediction_agree_forward_and_backward(
        sources in 1..=4_i64, targets in 1..=4_i64, channels in 1..=4_i64, out in 1..=4_i64, stride in 1..=2_i64,
        bias: bool, seed in 0..1000_u64,
    ) {
        let shape = RoutingShape { sources, targets, channels };
        let run = |form| {
            let store = store(seed);
            let cross = prediction(&store, form, shape, conv(out, stride, bias));
            let xs: Vec<Tensor> =
                maps(sources, channels, seed as i64).into_iter().map(|x| x.detach().set_requires_grad(true)).collect();
            let (ys, _) = cross.forward(&xs, &mut Pass::train());
            // Squares, so that the gradient differs from number to number.
            ys.iter().map(|y| y.square().sum(Kind::Double)).sum::<Tensor>().backward();
            let parameters = store.parameters().into_iter().map(|entry| entry.tensor);
            let gradients: Vec<Tensor> = parameters.chain(xs).map(|t| t.grad()).collect();
            (ys, gradients)
        };
        let ((direct, direct_gradients), (gated, gated_gradients)) = (run(Form::Direct), run(Form::Gated));
        prop_assert!(all_close(&direct, &gated));
        prop_assert!(all_close(&direct_gradients, &gated_gradients));
    }
}
