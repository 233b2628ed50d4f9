//! How fast a data set loads: prints one JSON object.
//!
//! `cargo run --release -p mp-data --example load_speed -- [PATH] [size=112] [threads=2] [batch=128] [passes=3] [images=0]`
//!
//! PATH is a folder, a file or a known name, by default `digits`, which is built in. With a size, each training image is decoded, randomly cropped and resized to it, flipped and normalised. With `size=0`
//! it is padded by 4, cropped and flipped, as is usual for CIFAR. `images` keeps the first so many; 0 keeps all.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use mp_data::{
    Dataset, Error, Flip, Loader, LoaderConfig, PadCrop, PadMode, RandomResizedCrop, Subset, Transform, open,
};

fn main() -> Result<(), Error> {
    let (settings, paths): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|word| word.contains('='));
    let path = paths.first().map_or("digits", String::as_str);
    let setting = |name: &str, default: usize| -> Result<usize, Error> {
        let given = settings.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let unusable = |_| Error::Config(format!("{name} is no whole number"));
        given.map_or(Ok(default), |value| value.parse().map_err(unusable))
    };
    let (size, passes, images) = (setting("size", 112)?, setting("passes", 3)?, setting("images", 0)?);

    let start = Instant::now();
    let splits = open(path, Path::new("."))?;
    let opened = start.elapsed();
    let train = match images {
        images if images == 0 || images >= splits.train.len() => splits.train,
        images => Arc::new(Subset::new("first", splits.train, (0..images).collect())?) as Arc<dyn Dataset>,
    };
    let first = match size {
        0 => Transform::PadCrop(PadCrop { pad: 4, mode: PadMode::Zero }),
        size => Transform::RandomResizedCrop(RandomResizedCrop::new(size)),
    };
    let config = LoaderConfig {
        batch_size: setting("batch", 128)?,
        transforms: vec![first, Transform::Flip(Flip { alternating: false })],
        mean: splits.mean,
        std: splits.std,
        threads: setting("threads", 2)?,
        ..LoaderConfig::default()
    };
    let (threads, batch) = (config.threads, config.batch_size);
    let loader = Loader::new(train, config)?;

    let mut first_batch = None;
    let mut rates = Vec::new();
    for epoch in 0..passes.max(1) as u64 {
        let pass = Instant::now();
        let (mut served, mut batches) = (0, loader.epoch(epoch, 0));
        while let Some(batch) = batches.next().transpose()? {
            first_batch.get_or_insert_with(|| start.elapsed());
            served += batch.indices.len();
            batches.recycle(batch);
            if passes == 0 {
                break;
            }
        }
        rates.push(served as f64 / pass.elapsed().as_secs_f64());
    }
    let result = [
        ("images", loader.dataset().len().to_string()),
        ("threads", threads.to_string()),
        ("batch", batch.to_string()),
        ("open_seconds", opened.as_secs_f64().to_string()),
        ("first_batch_seconds", first_batch.unwrap_or_default().as_secs_f64().to_string()),
        ("images_per_second", format!("{rates:?}")),
        ("peak_memory_mib", peak_memory_mib().map_or("null".to_owned(), |mib| mib.to_string())),
    ];
    println!("{{{}}}", result.map(|(name, value)| format!("\"{name}\": {value}")).join(", "));
    Ok(())
}

/// The most memory that the process has had, where Linux says so.
fn peak_memory_mib() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? / 1024)
}
