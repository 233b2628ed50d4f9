//! A whole step of P paths, unrouted and routed, beside networks without paths that are as wide or have as many
//! parameters: forward in evaluation, and training with loss, backward and SGD.
//!
//! Criterion takes one network after the other. For ratios, take `cargo xtask bench`, whose networks take turns.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mp_benches::{batch, configuration};
use mp_nn::{Device, Kind, Mode, Tensor};
use mp_train::Spec;
use mp_train::learn::{Learner, forward};
use mp_train::recipe::{Precision, Recipe};
use mp_zoo::{InputSize, ModelOptions};

const INPUT: InputSize = InputSize { channels: 3, size: 32, classes: 10 };

/// P, and the width of the first stage with which one path has as many parameters as P paths of 16.
const PATHS: [(i64, i64); 4] = [(2, 23), (3, 28), (4, 32), (5, 36)];

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for (paths, same_parameters) in PATHS {
        let networks = [
            ("unrouted", format!("resnet20_x{paths}")),
            ("routed-stages", format!("resnet20_x{paths}_cc")),
            ("routed-blocks", format!("resnet20_x{paths}_cc@positions=blocks")),
            ("equal-width", format!("resnet20_w{}", 16 * paths)),
            ("equal-parameters", format!("resnet20_w{same_parameters}")),
        ];
        for ((name, model), precision) in
            networks.iter().flat_map(|network| [Precision::Fp32, Precision::Bf16].map(|precision| (network, precision)))
        {
            let mut learner = learner(model, precision);
            let images =
                Tensor::randn([batch(128), INPUT.size, INPUT.size, INPUT.channels], (Kind::Float, Device::Cpu));
            let images = images.permute([0, 3, 1, 2]);
            let labels = Tensor::randint(INPUT.classes, [batch(128)], (Kind::Int64, Device::Cpu));
            let id = |pass: &str| BenchmarkId::new(format!("{name}/{pass}/{}", precision.name()), paths);
            group.bench_function(id("forward"), |bencher| {
                let _no_grad = tch::no_grad_guard();
                bencher.iter(|| forward(learner.model(), &images, Mode::Eval, precision));
            });
            group.bench_function(id("training"), |bencher| {
                bencher.iter(|| {
                    learner.accumulate(&images, &labels, None, 1.0).expect("a loss without a routing part");
                    learner.step(1e-4);
                });
            });
        }
    }
    group.finish();
}

fn learner(model: &str, precision: Precision) -> Learner {
    let spec: Spec = model.parse().expect("a model and its routing");
    let mut recipe = Recipe::default();
    recipe.train.precision = precision;
    let options = ModelOptions::routed(INPUT, spec.routing);
    Learner::new(&spec.name, &options, &recipe, Device::Cpu).expect("a registered name")
}

/// As `mp-train` does: see `mp_native::keep_freed_memory`.
fn steps(criterion: &mut Criterion) {
    let _ = mp_native::keep_freed_memory();
    step(criterion);
}

criterion_group! { name = benches; config = configuration(); targets = steps }
criterion_main!(benches);
