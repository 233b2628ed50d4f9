//! A whole training step: forward, cross-entropy, backward and SGD; three paths with and without routing between them.
//!
//! For a comparison at the usual batch of 128, with the turns of the models interleaved, see `mp-train bench`.

use criterion::{Criterion, criterion_group, criterion_main};
use mp_benches::configuration;
use mp_nn::{Device, Kind, Mode, Store, Tensor};
use mp_train::optim::{Optimiser, Sgd, SgdConfig, zero_gradients};
use mp_zoo::{InputSize, ModelOptions};

const BATCH: i64 = 16;
const INPUT: InputSize = InputSize { channels: 3, size: 32, classes: 10 };

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    for name in ["resnet20_x3", "resnet20_x3_cc"] {
        let store = Store::new(Device::Cpu, 0);
        let model = mp_zoo::build(name, &ModelOptions::new(INPUT), &store.root()).expect("a registered name");
        let parameters = store.parameters();
        let config = SgdConfig { momentum: 0.9, nesterov: true, weight_decay: 5e-4 };
        let mut optimiser = Sgd::new(store.parameters(), config);
        let images = Tensor::randn([BATCH, INPUT.size, INPUT.size, INPUT.channels], (Kind::Float, Device::Cpu));
        let images = images.permute([0, 3, 1, 2]);
        let labels = Tensor::randint(INPUT.classes, [BATCH], (Kind::Int64, Device::Cpu));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                zero_gradients(&parameters);
                model.forward(&images, Mode::Train).logits.cross_entropy_for_logits(&labels).backward();
                optimiser.step(0.01);
            });
        });
    }
    group.finish();
}

criterion_group! { name = benches; config = configuration(); targets = step }
criterion_main!(benches);
