//! Cross-prediction between three paths in its two forms: all predictions kept and mixed, or gated inputs into wide
//! convolutions.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mp_benches::{PATHS, Precision, STAGES, backward, batch, configuration};
use mp_nn::{Device, Store, WeightInit};
use mp_routing::{ConvShape, CrossPredictionConfig, Form, Pass, RoutingShape};

fn cross_prediction(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cross_prediction");
    let batch = batch(128);
    for (stage, precision) in STAGES.into_iter().flat_map(|stage| Precision::ALL.map(|precision| (stage, precision))) {
        for (form, name) in [(Form::Direct, "direct"), (Form::Gated, "gated")] {
            let store = Store::new(Device::Cpu, 0);
            let config = CrossPredictionConfig { form, ..CrossPredictionConfig::default() };
            let conv = ConvShape {
                out_channels: stage.channels,
                kernel: 3,
                stride: 1,
                padding: 1,
                bias: true,
                init: WeightInit::KaimingNormalFanOut,
            };
            let shape = RoutingShape::square(PATHS, stage.channels);
            let layer = config.build(&store.root(), "layer", shape, conv).expect("a shape in range");
            let id = |pass: &str| BenchmarkId::new(format!("{name}/{pass}/{}", precision.name()), stage.name);
            let fixed = stage.features(batch, false);
            group.bench_function(id("forward"), |bencher| {
                let _no_grad = tch::no_grad_guard();
                let _autocast = precision.scope();
                bencher.iter(|| black_box(layer.forward(&fixed, &mut Pass::train())));
            });
            let trained = stage.features(batch, true);
            let gradients: Vec<_> = fixed.iter().map(|x| precision.of(x)).collect();
            group.bench_function(id("forward-backward"), |bencher| {
                bencher.iter(|| {
                    let (targets, _) = {
                        let _autocast = precision.scope();
                        layer.forward(&trained, &mut Pass::train())
                    };
                    backward(&targets, &gradients);
                });
            });
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = configuration(); targets = cross_prediction }
criterion_main!(benches);
