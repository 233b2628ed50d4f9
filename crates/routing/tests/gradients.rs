//! Gradients of gate and mixing together, in float64 against finite differences.

use mp_nn::{Device, Kind, Store, Tensor};
use mp_routing::{
    CrossConnectionConfig, GateConfig, MixerConfig, Normalisation, Pass, RoutingLossConfig, RoutingShape, TargetRate,
};

/// Each number of `tensor` moved up and down by a step: `(f(x + h) - f(x - h)) / 2h`.
fn finite_differences(tensor: &Tensor, f: &dyn Fn() -> f64) -> Vec<f64> {
    const STEP: f64 = 1e-6;
    let _no_grad = tch::no_grad_guard();
    let flat = tensor.view(-1);
    (0..tensor.numel() as i64)
        .map(|at| {
            let mut number = flat.get(at);
            let _ = number.g_add_scalar_(STEP);
            let above = f();
            let _ = number.g_add_scalar_(-2.0 * STEP);
            let below = f();
            let _ = number.g_add_scalar_(STEP);
            (above - below) / (2.0 * STEP)
        })
        .collect()
}

fn check(normalisation: Normalisation) {
    // The tests run side by side; the tensors are too small to share one among threads.
    tch::set_num_threads(1);
    let store = Store::with_kind(Device::Cpu, Kind::Double, 3);
    let mixer = MixerConfig::Gate(GateConfig { hidden: 3, temperature: 0.7, normalisation, ..Default::default() });
    let shape = RoutingShape { sources: 2, targets: 3, channels: 2 };
    let cross = CrossConnectionConfig { mixer: mixer.into() }.build(&store.root(), "cross", shape).unwrap();
    let waves = (Tensor::arange(2 * 2 * 2 * 4, (Kind::Double, Device::Cpu)) * 1.7).sin();
    let xs: Vec<Tensor> =
        waves.view([2, 2, 2, 2, 2]).unbind(0).iter().map(|x| x.copy().set_requires_grad(true)).collect();
    let losses = RoutingLossConfig {
        importance: 0.3,
        load: 0.2,
        balance: 0.1,
        z_loss: 0.05,
        entropy: -0.4,
        target_rate: TargetRate { weight: 0.5, rate: 0.2 },
        ..Default::default()
    };
    let objective = || {
        let mut pass = Pass::train();
        let ys = cross.forward(&xs, &mut pass);
        let features: Tensor = ys.iter().enumerate().map(|(j, y)| (y * (j as f64 + 1.0)).square().sum(None)).sum();
        features + losses.total(&pass.trace).unwrap().unwrap()
    };
    objective().backward();
    let parameters = store.parameters().into_iter().map(|entry| (entry.name, entry.tensor));
    let inputs = xs.iter().enumerate().map(|(i, x)| (format!("source {}", i + 1), x.shallow_clone()));
    for (name, tensor) in parameters.chain(inputs) {
        let found = Vec::<f64>::try_from(tensor.grad().contiguous().view(-1)).unwrap();
        let expected = finite_differences(&tensor, &|| objective().double_value(&[]));
        assert!(found.iter().any(|g| g.abs() > 1e-6), "{normalisation:?}: no gradient reaches {name}");
        for (a, b) in found.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-6 * (1.0 + b.abs()), "{normalisation:?}, {name}: {a}, expected {b}");
        }
    }
}

#[test]
fn softmax_over_targets() {
    check(Normalisation::Targets);
}

#[test]
fn softmax_over_sources() {
    check(Normalisation::Sources);
}

#[test]
fn sigmoid() {
    check(Normalisation::Sigmoid);
}
