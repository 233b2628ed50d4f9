//! Whether networks learn: the loss on 256 images after 50 steps, one row for each network.
//!
//! ```text
//! cargo run --release -p mp-train --example fifty_steps -- DATA OUT.csv [NAME...]
//! cargo run --release -p mp-train --example fifty_steps -- cifar-10-batches-bin fifty-steps.csv resnet20_w8 wrn16_1
//! ```
//!
//! Without names every family takes its turn, at the size that comes nearest to 200,000 parameters and, where that does not
//! learn, nearest to a million: many layers of a few channels each learn little in 50 steps. Each row is written as it is found,
//! and networks that OUT.csv holds already are left out: a run that was ended goes on where it stopped. Without arguments the
//! example takes two small networks and the embedded digits.
//!
//! Every network is trained by Adam with seed 1, in batches of 64, without augmentation and dropout, on images of 32x32 or the
//! least size that it takes, at the first rate of its list that halves the loss: [`NORMED`] for networks with batch-norm,
//! [`PLAIN`] for those without. The loss is what training minimises, losses of auxiliary heads among it; `first` is its mean
//! over the first epoch of four steps, `last` over the last four of the 50 steps. Halved is what is below half of `first`, and
//! below half of what guessing among ten classes costs: very deep networks start far above that.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use mp_blocks::Shape;
use mp_train::images::to_device;
use mp_train::recipe::Override;
use mp_train::{Corpus, Learner, Recipe};
use mp_zoo::{Family, Interface, ModelOptions, cost_of, families, nearest_size};
use tch::Device;

const STEPS: u64 = 50;
const PARAMETERS: [f64; 2] = [200_000.0, 1_000_000.0];
/// Learning rates of networks with batch-norm, which bear large ones.
const NORMED: [f64; 3] = [2e-3, 8e-3, 5e-4];
/// Learning rates of the others.
const PLAIN: [f64; 3] = [1e-3, 4e-3, 2.5e-4];
const HEADER: &str = "network,parameters,image,rate,first,last,halved";

/// What a network was found to do.
struct Row {
    parameters: u64,
    image: i64,
    rate: f64,
    first: f64,
    last: f64,
}

impl Row {
    fn halved(&self) -> bool {
        self.last < self.first.min(10_f64.ln()) / 2.0
    }

    fn line(&self, name: &str) -> String {
        let halved = if self.halved() { "yes" } else { "no" };
        let Row { parameters, image, rate, first, last } = self;
        format!("{name},{parameters},{image},{rate},{first:.3},{last:.3},{halved}")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            let folder = tempfile::tempdir()?;
            let names = ["base_cnn_w8", "base_cnn_w8_x2_cc"].map(str::to_owned);
            rows("digits", &folder.path().join("fifty-steps.csv"), &names)
        }
        [_] => Err("expected a data set, a file to write, then names of models".into()),
        [data, out] => of_every_family(data, Path::new(out)),
        [data, out, names @ ..] => rows(data, Path::new(out), names),
    }
}

/// A row for every network, in the file or appended to it.
fn rows(data: &str, out: &Path, names: &[String]) -> Result<(), Box<dyn Error>> {
    println!("{HEADER}");
    names.iter().try_for_each(|name| row_of(data, out, name).map(drop))
}

/// A row for every family, and a second one where the first size does not learn.
fn of_every_family(data: &str, out: &Path) -> Result<(), Box<dyn Error>> {
    println!("{HEADER}");
    let sized = |family: &'static Family| Ok((least_size(family.name)?, family));
    let mut sized = families().into_iter().map(sized).collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    // Those of small images first: the others take most of the time.
    sized.sort_by_key(|(size, _)| *size);
    for (size, family) in sized {
        let options = options(size);
        let parameters = |name: &str| cost_of(name, &options).map(|cost| cost.parameters as f64);
        for goal in PARAMETERS {
            if row_of(data, out, &nearest_size(family, goal, parameters)?.0)? {
                break;
            }
        }
    }
    Ok(())
}

/// Appends the network's row, unless the file holds it; whether the loss was halved.
fn row_of(data: &str, out: &Path, name: &str) -> Result<bool, Box<dyn Error>> {
    let known = fs::read_to_string(out).unwrap_or_default();
    if let Some(line) = known.lines().find(|line| line.split(',').next() == Some(name)) {
        return Ok(line.ends_with("yes"));
    }
    let found = row(data, name)?;
    let mut file = OpenOptions::new().create(true).append(true).open(out)?;
    if known.is_empty() {
        writeln!(file, "{HEADER}")?;
    }
    println!("{}", found.line(name));
    writeln!(file, "{}", found.line(name))?;
    Ok(found.halved())
}

fn options(size: i64) -> ModelOptions {
    ModelOptions::new(Interface::classes(Shape::square(3, size), 10))
}

/// Height and width of the smallest images that the network takes, from 32 on.
fn least_size(name: &str) -> Result<i64, Box<dyn Error>> {
    let takes = |size: &i64| cost_of(name, &options(*size)).is_ok();
    (32..=299).find(takes).ok_or_else(|| format!("`{name}` takes no images of 32 to 299 pixels").into())
}

/// The row of the first rate that halves the loss, or of the one that lowers it most.
fn row(data: &str, name: &str) -> Result<Row, Box<dyn Error>> {
    let image = least_size(name)?;
    let parameters = cost_of(name, &options(image))?.parameters;
    let mut best: Option<Row> = None;
    for rate in rates(name, image)? {
        let (first, last) = learn(data, name, image, rate)?;
        if last.is_finite() && best.as_ref().is_none_or(|best| last / first < best.last / best.first) {
            best = Some(Row { parameters, image, rate, first, last });
        }
        if best.as_ref().is_some_and(Row::halved) {
            break;
        }
    }
    best.ok_or_else(|| format!("no rate gave `{name}` a finite loss").into())
}

fn rates(name: &str, image: i64) -> Result<[f64; 3], Box<dyn Error>> {
    let store = mp_nn::Store::for_counting();
    mp_zoo::build(name, &options(image), &store.root())?;
    let normed = store.entries().iter().any(|entry| entry.name.ends_with("running_mean"));
    Ok(if normed { NORMED } else { PLAIN })
}

/// The mean loss of the first and the last epoch.
fn learn(data: &str, name: &str, size: i64, rate: f64) -> Result<(f64, f64), Box<dyn Error>> {
    let changes = [
        format!("data.name={data}"),
        format!("data.size={size}"),
        format!("model.name={name}"),
        "data.limit=256".to_owned(),
        "train.batch_size=64".to_owned(),
        "model.dropout=0".to_owned(),
        "optimiser.name=adam".to_owned(),
        format!("optimiser.lr={rate}"),
    ];
    let changes = changes.iter().map(|change| change.parse()).collect::<Result<Vec<Override>, _>>()?;
    let recipe = Recipe::resolve(None, &changes)?;
    let corpus = Corpus::open(&recipe, Path::new(""))?;
    let train = corpus.train_loader(&recipe)?;
    let network = corpus.identity(&recipe);
    tch::manual_seed(1);
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
