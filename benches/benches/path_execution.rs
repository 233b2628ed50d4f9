//! The same convolution in P parallel paths, run in three ways: separate, one convolution a path; grouped, one convolution
//! over maps that lie side by side on the channel axis, as they do if the layers around it are grouped too; stacked, a
//! grouped convolution for which the paths' maps are brought together and after which they are taken apart.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mp_benches::{Precision, Stage, backward, batch, configuration};
use mp_nn::{Device, Kind, Tensor};

/// A 3x3 convolution of one path: its input, and the channels that it gives.
struct Layer {
    input: Stage,
    outputs: i64,
}

const fn layer(name: &'static str, channels: i64, outputs: i64, size: i64) -> Layer {
    Layer { input: Stage { name, channels, size }, outputs }
}

/// The layers inside the stages of a ResNet-20, and those of a `base_cnn` on images of 28x28.
const LAYERS: [Layer; 5] = [
    layer("resnet20-stage1", 16, 16, 32),
    layer("resnet20-stage2", 32, 32, 16),
    layer("resnet20-stage3", 64, 64, 8),
    layer("base_cnn-stage2", 32, 64, 14),
    layer("base_cnn-stage3", 64, 128, 7),
];

#[derive(Clone, Copy)]
enum Way {
    Separate,
    Grouped,
    Stacked,
}

impl Way {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Separate, "separate"), (Self::Grouped, "grouped"), (Self::Stacked, "stacked")];

    /// One map a path, or a single one where they lie side by side.
    fn maps(self, of: Stage, channels: i64, paths: i64, trained: bool) -> Vec<Tensor> {
        match self {
            Self::Grouped => vec![of.map(batch(128), paths * channels, trained)],
            Self::Separate | Self::Stacked => (0..paths).map(|_| of.map(batch(128), channels, trained)).collect(),
        }
    }

    /// [`Way::maps`] to as many maps; `weights` holds one a path, or a single one for all groups.
    fn run(self, xs: &[Tensor], weights: &[Tensor], paths: i64) -> Vec<Tensor> {
        match self {
            Self::Separate => xs.iter().zip(weights).map(|(x, w)| convolution(x, w, 1)).collect(),
            Self::Grouped => vec![convolution(&xs[0], &weights[0], paths)],
            Self::Stacked => {
                let together = convolution(&Tensor::cat(xs, 1), &weights[0], paths);
                // What comes next in a path takes a dense map.
                together.chunk(paths, 1).iter().map(dense).collect()
            }
        }
    }

    fn weights(self, layer: &Layer, paths: i64) -> Vec<Tensor> {
        let draw = |outputs| {
            let weight = Tensor::randn([outputs, layer.input.channels, 3, 3], (Kind::Float, Device::Cpu));
            weight.set_requires_grad(true)
        };
        match self {
            Self::Separate => (0..paths).map(|_| draw(layer.outputs)).collect(),
            Self::Grouped | Self::Stacked => vec![draw(paths * layer.outputs)],
        }
    }
}

fn convolution(x: &Tensor, weight: &Tensor, groups: i64) -> Tensor {
    x.conv2d(weight, None::<&Tensor>, [1; 2], [1; 2], [1; 2], groups)
}

/// The same map, channels-last, in memory of its own.
fn dense(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

fn path_execution(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("path_execution");
    for (layer, precision) in LAYERS.iter().flat_map(|layer| Precision::ALL.map(|precision| (layer, precision))) {
        for (paths, (way, name)) in (2..=5).flat_map(|paths| Way::ALL.map(|way| (paths, way))) {
            let id = |pass: &str| BenchmarkId::new(format!("{name}/{pass}/{}", precision.name()), place(layer, paths));
            let weights = way.weights(layer, paths);
            let fixed = way.maps(layer.input, layer.input.channels, paths, false);
            group.bench_function(id("forward"), |bencher| {
                let _no_grad = tch::no_grad_guard();
                let _autocast = precision.scope();
                bencher.iter(|| black_box(way.run(&fixed, &weights, paths)));
            });
            let trained = way.maps(layer.input, layer.input.channels, paths, true);
            let gradients: Vec<Tensor> =
                way.maps(layer.input, layer.outputs, paths, false).iter().map(|x| precision.of(x)).collect();
            group.bench_function(id("forward-backward"), |bencher| {
                bencher.iter(|| {
                    let ys = {
                        let _autocast = precision.scope();
                        way.run(&trained, &weights, paths)
                    };
                    backward(&ys, &gradients);
                });
            });
        }
    }
    group.finish();
}

fn place(layer: &Layer, paths: i64) -> String {
    format!("{}-x{paths}", layer.input.name)
}

criterion_group! { name = benches; config = configuration(); targets = path_execution }
criterion_main!(benches);
