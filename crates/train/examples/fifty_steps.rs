//! Whether networks learn: 256 images of a data set in 50 steps, one row for each network.
//!
//! ```text
//! cargo run --release -p mp-train --example fifty_steps -- DATA NAME...
//! cargo run --release -p mp-train --example fifty_steps -- cifar-10-batches-bin resnet20_w8 wrn16_1 densenet40_k6_x2_cc
//! ```
//!
//! Every network is trained by Adam, in batches of 64 and without augmentation, on images of 32x32 or the least size that it
//! takes, at the first of three rates that halves the loss. The loss is the mean over the first epoch and over the last. Without
//! arguments it takes two small networks and the embedded digits.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use mp_blocks::Shape;
use mp_train::images::to_device;
use mp_train::recipe::Override;
use mp_train::{Corpus, Learner, Recipe};
use mp_zoo::{Interface, ModelOptions};
use tch::Device;

const STEPS: u64 = 50;
const RATES: [f64; 3] = [1e-3, 4e-3, 2.5e-4];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        arguments = ["digits", "base_cnn_w8", "base_cnn_w8_x2_cc"].map(str::to_owned).to_vec();
    }
    let (data, names) = arguments.split_first().ok_or("expected a data set, then names of models")?;
    println!("| network | image | loss at first | after {STEPS} steps | halved | seconds |");
    println!("|---|---|--:|--:|---|--:|");
    for name in names {
        let start = Instant::now();
        let size = least_size(name)?;
        let mut best: Option<(f64, f64)> = None;
        for rate in RATES {
            let (first, last) = learn(data, name, size, rate)?;
            if last.is_finite() && best.is_none_or(|(_, least)| last < least) {
                best = Some((first, last));
            }
            if best.is_some_and(|(first, last)| last < first / 2.0) {
                break;
            }
        }
        let (first, last) = best.ok_or("no rate gave a finite loss")?;
        let halved = if last < first / 2.0 { "yes" } else { "no" };
        let seconds = start.elapsed().as_secs_f64();
        println!("| `{name}` | {size} | {first:.3} | {last:.3} | {halved} | {seconds:.0} |");
    }
    Ok(())
}

/// Height and width of the smallest images that the network takes, from 32 on.
fn least_size(name: &str) -> Result<i64, Box<dyn Error>> {
    let takes = |size: &i64| {
        let options = ModelOptions::new(Interface::classes(Shape::square(3, *size), 10));
        mp_zoo::cost_of(name, &options).is_ok()
    };
    (32..=299).find(takes).ok_or_else(|| format!("`{name}` takes no images of 32 to 299 pixels").into())
}

/// The mean loss of the first and the last epoch.
fn learn(data: &str, name: &str, size: i64, rate: f64) -> Result<(f64, f64), Box<dyn Error>> {
    let changes = [
        format!("data.name={data}"),
        format!("data.size={size}"),
        format!("model.name={name}"),
        "data.limit=256".to_owned(),
        "train.batch_size=64".to_owned(),
        "optimiser.name=adam".to_owned(),
        format!("optimiser.lr={rate}"),
    ];
    let changes = changes.iter().map(|change| change.parse()).collect::<Result<Vec<Override>, _>>()?;
    let recipe = Recipe::resolve(None, &changes)?;
    let corpus = Corpus::open(&recipe, Path::new(""))?;
    let train = corpus.train_loader(&recipe)?;
    let network = corpus.identity(&recipe);
    let mut learner = Learner::new(&network.model, &network.options(), &recipe, Device::Cpu)?;
    let mut losses = Vec::new();
    for epoch in 0.. {
        for batch in train.epoch(epoch, 0) {
            if losses.len() as u64 == STEPS {
                let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
                return Ok((mean(&losses[..4]), mean(&losses[losses.len() - 4..])));
            }
            let (images, labels) = to_device(&batch?, Device::Cpu)?;
            let found = learner.accumulate(&images, &labels, None, 1.0)?;
            learner.step(rate);
            losses.push(found.loss.double_value(&[]));
        }
    }
    unreachable!("epochs have no end")
}
