//! Opens the embedded digits, holds some out, and shows an image before and after augmentation.
//!
//! `cargo run -p mp-data --example digits`

use std::path::Path;
use std::sync::Arc;

use mp_data::{Dataset, Holdout, Image, Loader, LoaderConfig, PadCrop, PadMode, Transform, holdout, inspect, open};

fn main() -> Result<(), mp_data::Error> {
    let digits = open("digits", Path::new("datasets"))?;
    println!("{}\n", inspect(&digits, &|_| ()));

    let (train, valid) = holdout(Arc::clone(&digits.train), Holdout::Fraction(0.1), 0)?;
    println!("{} images to train on, {} held out\n", train.len(), valid.len());

    let train: Arc<dyn Dataset> = Arc::new(train);
    let config = LoaderConfig {
        batch_size: 64,
        transforms: vec![Transform::PadCrop(PadCrop { pad: 2, mode: PadMode::Zero })],
        ..LoaderConfig::default()
    };
    let loader = Loader::new(Arc::clone(&train), config)?;
    let mut batches = loader.epoch(0, 0);
    if let Some(batch) = batches.next() {
        let batch = batch?;
        let mut buffer = Image::empty();
        let image = train.image(batch.indices[0], &mut buffer)?;
        let before = image.pixels().iter().map(|&byte| f32::from(byte) / 255.0);
        println!("image {}, a {}, and what the network sees of it:", batch.indices[0], batch.labels[0]);
        let after = batch.images.outer_iter().next().into_iter().flatten().copied();
        for (before, after) in rows(before).iter().zip(rows(after)) {
            println!("{before}    {after}");
        }
    }
    println!("\n{} batches in an epoch, waited {:?} for the first", loader.batches_per_epoch(), batches.waited());
    Ok(())
}

/// One character for each grey level, eight to a row.
fn rows(levels: impl Iterator<Item = f32>) -> Vec<String> {
    let characters: Vec<char> = levels.map(|level| [' ', '.', ':', 'o', '#'][(level * 4.0).round() as usize]).collect();
    characters.chunks(8).map(|row| row.iter().flat_map(|&character| [character, character]).collect()).collect()
}
