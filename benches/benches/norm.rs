//! Batch normalisation and the ReLU after it, with and without the addition of a shortcut between them: the memory passes
//! that come next after mixing. Fused is what the blocks call; composed is one op after the other.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mp_benches::{Precision, STAGES, backward, batch, configuration};
use mp_nn::{BatchNorm2d, BatchNorm2dConfig, Device, Mode, Module, Store, Tensor};

/// A norm, a map and a shortcut to what is timed.
type Way = fn(&BatchNorm2d, &Tensor, &Tensor, Mode) -> Tensor;

const WAYS: [(&str, Way); 4] = [
    ("relu-fused", |norm, x, _, mode| norm.forward_relu(x, mode)),
    ("relu-composed", |norm, x, _, mode| norm.forward(x, mode).relu_()),
    ("add-relu-fused", |norm, x, shortcut, mode| norm.forward_add_relu(x, shortcut, mode)),
    ("add-relu-composed", |norm, x, shortcut, mode| norm.forward(x, mode).g_add_(shortcut).relu_()),
];

fn norm(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("norm");
    for (stage, precision) in STAGES.into_iter().flat_map(|stage| Precision::ALL.map(|precision| (stage, precision))) {
        for (name, way) in WAYS {
            let store = Store::new(Device::Cpu, 0);
            let norm = BatchNorm2dConfig::new(stage.channels).build(&store.root()).expect("a shape in range");
            let id = |pass: &str| BenchmarkId::new(format!("{name}/{pass}/{}", precision.name()), stage.name);
            let map = || precision.of(&stage.map(batch(128), stage.channels, false));
            let (fixed, shortcut, gradient) = (map(), map(), map());
            // Read once and written once.
            group.throughput(Throughput::Bytes((2 * fixed.kind().elt_size_in_bytes() * fixed.numel()) as u64));
            group.bench_function(id("evaluation"), |bencher| {
                let _no_grad = tch::no_grad_guard();
                bencher.iter(|| black_box(way(&norm, &fixed, &shortcut, Mode::Eval)));
            });
            let (trained, residual) = (fixed.set_requires_grad(true), shortcut.set_requires_grad(true));
            group.bench_function(id("forward-backward"), |bencher| {
                bencher.iter(|| {
                    let y = way(&norm, &trained, &residual, Mode::Train);
                    backward(&[y], std::slice::from_ref(&gradient));
                });
            });
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = configuration(); targets = norm }
criterion_main!(benches);
