//! The gate of a routing layer: three paths' features in, mixing weights out.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mp_benches::{PATHS, Precision, STAGES, batch, configuration};
use mp_nn::{Device, Store, Tensor};
use mp_routing::{GateConfig, RoutingShape};

fn gate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gate");
    for (stage, precision) in STAGES.into_iter().flat_map(|stage| Precision::ALL.map(|precision| (stage, precision))) {
        let store = Store::new(Device::Cpu, 0);
        let shape = RoutingShape::square(PATHS, stage.channels);
        let gate = GateConfig::default().build(&store.root(), shape).expect("a shape in range");
        let id = |pass: &str| BenchmarkId::new(format!("{pass}/{}", precision.name()), stage.name);
        let fixed: Vec<Tensor> = stage.features(batch(128), false).iter().map(|x| precision.of(x)).collect();
        group.bench_function(id("forward"), |bencher| {
            let _no_grad = tch::no_grad_guard();
            let _autocast = precision.scope();
            bencher.iter(|| black_box(gate.forward(&fixed)));
        });
        let trained: Vec<Tensor> = fixed.iter().map(|x| x.copy().set_requires_grad(true)).collect();
        group.bench_function(id("forward-backward"), |bencher| {
            bencher.iter(|| {
                let weights = {
                    let _autocast = precision.scope();
                    gate.forward(&trained).weights
                };
                // The sum of softmax weights is constant; that of their squares has a gradient.
                weights.square().sum(None).backward();
            });
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = configuration(); targets = gate }
criterion_main!(benches);
