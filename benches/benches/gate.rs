//! The gate of a routing layer: three paths' features in, mixing weights out.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mp_benches::{PATHS, STAGES, configuration};
use mp_nn::{Device, Store};
use mp_routing::{GateConfig, RoutingShape};

const BATCH: i64 = 128;

fn gate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("gate");
    for stage in STAGES {
        let store = Store::new(Device::Cpu, 0);
        let shape = RoutingShape::square(PATHS, stage.channels);
        let gate = GateConfig::default().build(&store.root(), shape).expect("a shape in range");
        let fixed = stage.features(BATCH, false);
        group.bench_function(BenchmarkId::new("forward", stage.name), |bencher| {
            let _no_grad = tch::no_grad_guard();
            bencher.iter(|| black_box(gate.forward(&fixed)));
        });
        let trained = stage.features(BATCH, true);
        group.bench_function(BenchmarkId::new("forward-backward", stage.name), |bencher| {
            // The sum of softmax weights is constant; that of their squares has a gradient.
            bencher.iter(|| gate.forward(&trained).weights.square().sum(None).backward());
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = configuration(); targets = gate }
criterion_main!(benches);
