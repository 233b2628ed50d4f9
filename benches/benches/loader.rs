//! Preparing a batch of 128 images of 32x32x3: each transformation alone on one thread, and whole epochs of the loader.

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mp_benches::configuration;
use mp_data::{AugmentConfig, Dataset, Image, ImageShape, Images, Loader, LoaderConfig, Pipeline};

const BATCH: usize = 128;
const BATCHES: usize = 16;
const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
const MEAN: [f32; 3] = [0.49, 0.48, 0.45];
const STD: [f32; 3] = [0.25, 0.24, 0.26];
const PAD_CROP: AugmentConfig = AugmentConfig { pad: 4, flip: false, cutout: 0 };
const FLIP: AugmentConfig = AugmentConfig { pad: 0, flip: true, cutout: 0 };
const BOTH: AugmentConfig = AugmentConfig { pad: 4, flip: true, cutout: 0 };

fn loader(criterion: &mut Criterion) {
    let images = Arc::new(images());
    let mut group = criterion.benchmark_group("loader");

    group.throughput(Throughput::Elements(BATCH as u64));
    let mut out = vec![0.0; SHAPE.len()];
    // Normalising is part of each: it is what turns bytes into floats.
    for (name, augment) in
        [("normalise", None), ("pad-crop", Some(PAD_CROP)), ("flip", Some(FLIP)), ("pad-crop-flip", Some(BOTH))]
    {
        let pipeline = Pipeline::new(SHAPE, augment, &MEAN, &STD, 0).expect("settings that fit the images");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                (0..BATCH).for_each(|index| {
                    pipeline.apply(
                        images.image(index, &mut Image::empty()).expect("pixels in memory").pixels(),
                        0,
                        index,
                        &mut out,
                    )
                })
            });
        });
    }

    group.throughput(Throughput::Elements((BATCHES * BATCH) as u64));
    for (threads, name) in [(1, "one thread"), (2, "two threads")] {
        let config = LoaderConfig {
            augment: Some(BOTH),
            mean: MEAN.to_vec(),
            std: STD.to_vec(),
            threads,
            ..LoaderConfig::default()
        };
        let loader = Loader::new(images.clone(), config).expect("settings that fit the images");
        group.bench_function(BenchmarkId::new("epoch", name), |bencher| {
            bencher.iter(|| {
                let mut epoch = loader.epoch(0, 0);
                while let Some(batch) = epoch.next() {
                    epoch.recycle(batch.expect("images of one shape"));
                }
            });
        });
    }
    group.finish();
}

/// Pixels that differ from image to image; which ones does not matter to the time.
fn images() -> Images {
    let count = BATCHES * BATCH;
    let pixels = (0..count * SHAPE.len()).map(|at| (at * 31 % 251) as u8).collect();
    let classes = vec!["only".to_owned()];
    Images::new("bench", SHAPE, classes, vec![0; count], pixels).expect("as many pixels as the shape asks for")
}

criterion_group! { name = benches; config = configuration(); targets = loader }
criterion_main!(benches);
