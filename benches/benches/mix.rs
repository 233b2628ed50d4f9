//! Mixing three source paths into three target paths: bound by memory, so shown in bytes a second as well.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mp_benches::{PATHS, Precision, STAGES, backward, batch, configuration};
use mp_nn::{Device, Kind, Tensor};
use mp_routing::mix;

fn mixing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mix");
    let batch = batch(128);
    for (stage, precision) in STAGES.into_iter().flat_map(|stage| Precision::ALL.map(|precision| (stage, precision))) {
        let weights = Tensor::rand([batch, PATHS, PATHS], (Kind::Float, Device::Cpu));
        let fixed: Vec<Tensor> = stage.features(batch, false).iter().map(|x| precision.of(x)).collect();
        let id = |pass: &str| BenchmarkId::new(format!("{pass}/{}", precision.name()), stage.name);
        // What no mixing can do without: every source read once and every target written once.
        let bytes = fixed[0].kind().elt_size_in_bytes() * 2 * PATHS as usize * fixed[0].numel();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(id("forward"), |bencher| bencher.iter(|| black_box(mix(&fixed, &weights))));

        let trained: Vec<Tensor> = fixed.iter().map(|x| x.copy().set_requires_grad(true)).collect();
        let weights = weights.set_requires_grad(true);
        group.bench_function(id("forward-backward"), |bencher| {
            // The dot products cost two passes of their own.
            bencher.iter(|| backward(&mix(&trained, &weights), &fixed));
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = configuration(); targets = mixing }
criterion_main!(benches);
