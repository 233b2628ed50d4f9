//! Mixing three source paths into three target paths: bound by memory, so shown in bytes a second as well.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mp_benches::{PATHS, STAGES, configuration};
use mp_nn::{Device, Kind, Tensor};
use mp_routing::mix;

const BATCH: i64 = 128;

fn mixing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mix");
    for stage in STAGES {
        let weights = Tensor::rand([BATCH, PATHS, PATHS], (Kind::Float, Device::Cpu));
        let fixed = stage.features(BATCH, false);
        // What no mixing can do without: every source read once and every target written once.
        let bytes = 4 * 2 * PATHS as u64 * fixed[0].numel() as u64;
        group.throughput(Throughput::Bytes(bytes));
        group.bench_function(BenchmarkId::new("forward", stage.name), |bencher| {
            bencher.iter(|| black_box(mix(&fixed, &weights)));
        });
        let trained = stage.features(BATCH, true);
        let weights = weights.set_requires_grad(true);
        let upstream: Vec<Tensor> = fixed.iter().map(flat).collect();
        group.bench_function(BenchmarkId::new("forward-backward", stage.name), |bencher| {
            // The dot product sends a dense gradient back, as a layer above would; it costs two passes of its own.
            bencher.iter(|| {
                let ys = mix(&trained, &weights);
                let loss: Tensor = ys.iter().zip(&upstream).map(|(y, gradient)| flat(y).dot(gradient)).sum();
                loss.backward();
            });
        });
    }
    group.finish();
}

/// All elements of a channels-last map as one axis, without a copy.
fn flat(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).view(-1)
}

criterion_group! { name = benches; config = configuration(); targets = mixing }
criterion_main!(benches);
