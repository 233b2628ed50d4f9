//! `mp-train predict`.

use std::path::{Path, PathBuf};

use anyhow::bail;
use mp_train::predict::{self, Choice};
use mp_train::trained::Trained;
use mp_train::{Error, RunFolder};
use serde_json::{Value, json};
use tch::Tensor;

use crate::args::Predict;
use crate::output::{self, Align, Table};

pub(crate) fn run(args: Predict) -> anyhow::Result<()> {
    let (trained, inputs) = network(&args)?;
    let mut names = Vec::new();
    let mut tensors = Vec::new();
    for path in inputs {
        let images = predict::read(std::slice::from_ref(path), &trained.identity)?;
        names.extend(image_names(path, images.size()[0]));
        tensors.push(images);
    }
    let logits = predict::logits(&trained, &Tensor::cat(&tensors, 0));

    if let Some(path) = &args.logits {
        predict::write_npy(path, &logits)?;
        return output::text(&format!("{:?} logits in {}", logits.size(), path.display()));
    }
    show(&names, &predict::top(&logits, args.top, &trained.identity), args.json)
}

/// The network, and the paths that are its inputs.
fn network(args: &Predict) -> anyhow::Result<(Trained, &[PathBuf])> {
    if let (Some(model), Some(weights)) = (&args.model, &args.weights) {
        return Ok((Trained::of_weights(model, weights)?, &args.paths));
    }
    let Some((run, inputs)) = args.paths.split_first() else { bail!("no run folder; see `mp-train predict --help`") };
    let folder = RunFolder::open(run)?;
    if inputs.is_empty() {
        return Err(Error::NoImages { what: "mp-train predict".to_owned() }.into());
    }
    Ok((Trained::of_run(&folder, args.checkpoint.into())?, inputs))
}

/// A name for each image of a file.
fn image_names(path: &Path, images: i64) -> Vec<String> {
    match images {
        1 => vec![path.display().to_string()],
        _ => (0..images).map(|index| format!("{}[{index}]", path.display())).collect(),
    }
}

fn show(names: &[String], choices: &[Vec<Choice>], as_json: bool) -> anyhow::Result<()> {
    let images = names.iter().zip(choices);
    if as_json {
        let images: Vec<Value> = images.map(|(image, top)| json!({ "image": image, "top": top })).collect();
        return output::json(&images);
    }
    let columns =
        [("image", Align::Left), ("rank", Align::Right), ("class", Align::Left), ("probability", Align::Right)];
    let mut table = Table::new(&columns);
    for (image, top) in images {
        for (choice, rank) in top.iter().zip(1..) {
            let image = if rank == 1 { image.clone() } else { String::new() };
            let Choice { class, probability } = choice;
            table.row([image, rank.to_string(), class.clone(), format!("{:.1}%", 100.0 * probability)]);
        }
    }
    table.print()
}
