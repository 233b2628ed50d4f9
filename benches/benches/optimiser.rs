//! One step of each optimiser over the parameters of `resnet20_x3`, and the clipping of their gradients: many small tensors,
//! where what each tensor costs weighs more than what each number does.

use criterion::{Criterion, criterion_group, criterion_main};
use mp_benches::configuration;
use mp_nn::{Device, Entry, Kind, Mode, Store, Tensor};
use mp_train::optim::{AdamW, AdamWConfig, Gradients, Optimiser, Sgd, SgdConfig};
use mp_zoo::{InputSize, ModelOptions};

const INPUT: InputSize = InputSize { channels: 3, size: 32, classes: 10 };

/// The parameters, each with a gradient.
fn parameters() -> Vec<Entry> {
    let store = Store::new(Device::Cpu, 0);
    let model = mp_zoo::build("resnet20_x3", &ModelOptions::new(INPUT), &store.root()).expect("a registered name");
    let image = Tensor::randn([2, INPUT.channels, INPUT.size, INPUT.size], (Kind::Float, Device::Cpu));
    model.forward(&image, Mode::Train).logits().square().mean(Kind::Float).backward();
    store.parameters()
}

fn optimiser(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("optimiser");
    let mut sgd = Sgd::new(parameters(), SgdConfig { momentum: 0.9, nesterov: true, weight_decay: 5e-4 });
    group.bench_function("sgd", |bencher| bencher.iter(|| sgd.step(1e-4)));
    let mut adamw = AdamW::new(parameters(), AdamWConfig { betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0.01 });
    group.bench_function("adamw", |bencher| bencher.iter(|| adamw.step(1e-6)));
    let mut gradients = Gradients::of(parameters());
    group.bench_function("clip", |bencher| bencher.iter(|| gradients.clip(1.0)));
    group.finish();
}

criterion_group! { name = benches; config = configuration(); targets = optimiser }
criterion_main!(benches);
