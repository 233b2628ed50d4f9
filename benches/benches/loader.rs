//! Preparing batches of 128 images: transformations of 32x32x3 alone on one thread, and whole epochs of the loader, from memory, from a
//! folder of JPEGs and from a packed file of decoded pixels.

use std::path::Path;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mp_benches::configuration;
use mp_data::{
    Dataset, Flip, Image, ImageShape, Images, Loader, LoaderConfig, Packing, PadCrop, PadMode, Pipeline,
    RandomResizedCrop, Scratch, Transform, open, pack,
};

const BATCH: usize = 128;
const BATCHES: usize = 16;
const PICTURES: usize = 512;
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
        let loader = loader_of(images.clone(), vec![PAD_CROP, FLIP], threads);
        group.bench_function(BenchmarkId::new("epoch", name), |bencher| bencher.iter(|| epoch(&loader)));
    }

    let folder = tempfile::tempdir().expect("a place for temporary files");
    write_pictures(folder.path());
    let pictures = open(&folder.path().to_string_lossy(), Path::new("")).expect("pictures");
    let packed = folder.path().join("packed.mpd");
    pack(&pictures, &packed, Packing::Square(128), &mut |_| ()).expect("pictures that can be packed");
    let packed = open(&packed.to_string_lossy(), Path::new("")).expect("a packed file");
    group.throughput(Throughput::Elements(PICTURES as u64));
    for (name, dataset) in [("JPEG folder", pictures.train), ("packed pixels", packed.train)] {
        let crop = Transform::RandomResizedCrop(RandomResizedCrop::new(112));
        let loader = loader_of(dataset, vec![crop, FLIP], 2);
        group.bench_function(BenchmarkId::new("epoch", name), |bencher| bencher.iter(|| epoch(&loader)));
    }
    group.finish();
}

fn loader_of(dataset: Arc<dyn Dataset>, transforms: Vec<Transform>, threads: usize) -> Loader {
    let (mean, std) = (MEAN.to_vec(), STD.to_vec());
    let config = LoaderConfig { transforms, mean, std, threads, ..LoaderConfig::default() };
    Loader::new(dataset, config).expect("settings that fit the images")
}

fn epoch(loader: &Loader) {
    let mut epoch = loader.epoch(0, 0);
    while let Some(batch) = epoch.next() {
        epoch.recycle(batch.expect("images that can be read"));
    }
}

/// A folder of JPEGs of 171x128 with the detail of photos: waves, and noise that costs a decoder what leaves do.
fn write_pictures(folder: &Path) {
    for (split, count) in [("train", PICTURES), ("val", 1)] {
        for number in 0..count as u32 {
            let class = folder.join(split).join(["even", "odd"][number as usize % 2]);
            std::fs::create_dir_all(&class).expect("a writable folder");
            let picture = image::RgbImage::from_fn(171, 128, |x, y| {
                let wave = ((x * (number % 7 + 1) + y * 3) as f32 / 40.0).sin() * 90.0;
                let noise = (x * 7919 + y * 104_729 + number * 31) % 53;
                image::Rgb([0, 20, 40].map(|tint| (128.0 + wave + noise as f32 - tint as f32) as u8))
            });
            picture.save(class.join(format!("{number:04}.jpg"))).expect("a writable folder");
        }
    }
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
