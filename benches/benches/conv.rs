//! A 3x3 convolution in bfloat16, forward and backward, with libtorch's gradient of the weights and with our own: what most of
//! a training step is. The parameters are float32, as autocast has them.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mp_benches::{Precision, STAGES, backward, batch, configuration};
use mp_native::{Autocast, Convolution, can_conv, conv};
use mp_nn::{Device, Tensor};
use tch::Kind;

type Way = fn(&Tensor, Convolution<'_>) -> Tensor;

const WAYS: [(&str, Way); 2] = [
    ("libtorch", |x, c| x.conv2d(c.weight, c.bias, [c.stride; 2], [c.padding; 2], [1; 2], 1)),
    ("own-weight-gradient", |x, c| conv(x, c).expect("a convolution that it takes")),
];

fn convolution(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("conv");
    for stage in STAGES {
        let channels = stage.channels;
        let map = || Precision::Bf16.of(&stage.map(batch(128), channels, false));
        let (x, gradient) = (map().set_requires_grad(true), map());
        let weight = Tensor::randn([channels, 3, 3, channels], (Kind::Float, Device::Cpu)) * 0.1;
        let weight = weight.permute([0, 3, 1, 2]).set_requires_grad(true);
        let convolution = Convolution { weight: &weight, bias: None, stride: 1, padding: 1 };
        // A multiply-add for each number of the result, channel and place of the kernel, forward and twice backward.
        group.throughput(Throughput::Elements(3 * (9 * channels as usize * x.numel()) as u64));
        for (name, way) in WAYS {
            if name != "libtorch" && !can_conv(&x, convolution) {
                continue;
            }
            group.bench_function(BenchmarkId::new(name, stage.name), |bencher| {
                bencher.iter(|| {
                    let y = {
                        let _bf16 = Autocast::bf16_cpu();
                        way(&x, convolution)
                    };
                    backward(&[y], std::slice::from_ref(&gradient));
                });
            });
        }
    }
    group.finish();
}

criterion_group! { name = benches; config = configuration(); targets = convolution }
criterion_main!(benches);
