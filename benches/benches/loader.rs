//! Preparing a batch of 128 images of 32x32x3: each transformation alone on one thread, and whole epochs of the loader.

use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mp_benches::configuration;
use mp_data::{
    Dataset, Flip, Image, ImageShape, Images, Loader, LoaderConfig, PadCrop, PadMode, Pipeline, Scratch, Transform,
};

const BATCH: usize = 128;
const BATCHES: usize = 16;
const SHAPE: ImageShape = ImageShape { channels: 3, height: 32, width: 32 };
const MEAN: [f32; 3] = [0.49, 0.48, 0.45];
const STD: [f32; 3] = [0.25, 0.24, 0.26];
const PAD_CROP: Transform = Transform::PadCrop(PadCrop { pad: 4, mode: PadMode::Zero });
const FLIP: Transform = Transform::Flip(Flip { alternating: false });

fn loader(criterion: &mut Criterion) {
    let images = Arc::new(images());
    let mut group = criterion.benchmark_group("loader");

    group.throughput(Throughput::Elements(BATCH as u64));
    let (mut buffer, mut scratch, mut out) = (Image::empty(), Scratch::new(), vec![0.0; SHAPE.len()]);
    // Normalising is part of each: it is what turns bytes into floats.
    for (name, transforms) in
        [("normalise", &[][..]), ("pad-crop", &[PAD_CROP]), ("flip", &[FLIP]), ("pad-crop-flip", &[PAD_CROP, FLIP])]
    {
        let size = Some((SHAPE.height, SHAPE.width));
        let pipeline = Pipeline::new(SHAPE.channels, size, transforms, (&MEAN, &STD), 0).expect("settings that fit");
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for index in 0..BATCH {
                    let image = images.image(index, &mut buffer).expect("pixels in memory");
                    pipeline.apply(image, 0, index, &mut scratch, &mut out);
                }
            });
        });
    }

    group.throughput(Throughput::Elements((BATCHES * BATCH) as u64));
    for (threads, name) in [(1, "one thread"), (2, "two threads")] {
        let config = LoaderConfig {
            transforms: vec![PAD_CROP, FLIP],
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
