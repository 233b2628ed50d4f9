//! `mp-train predict`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use mp_train::Trained;
use mp_train::apply::predict::{self, Choice, Chunk, Inputs, LogitsFile, Stream};
use mp_train::folder::{OutputFile, RunState};
use mp_train::{Error, RunFolder};
use serde_json::json;

use crate::args::Predict;
use crate::failure;
use crate::output::{self, Align, Table, thousands};

pub(crate) fn run(args: Predict) -> anyhow::Result<ExitCode> {
    let read: Vec<&Path> = args.paths.iter().chain(&args.weights).chain(&args.list).map(AsRef::as_ref).collect();
    let logits = args.logits.as_ref().map(|path| OutputFile::new(path, args.force, &read)).transpose()?;
    let (trained, paths) = network(&args)?;
    let mut inputs = Inputs::of_paths(paths.to_vec());
    if let Some(list) = &args.list {
        inputs = inputs.and_list(list)?;
    }
    let mut stream = Stream::new(inputs, &trained.identity)?;
    match logits {
        Some(file) => write_logits(&trained, &mut stream, &file)?,
        None => {
            let writer = Writer::new(&args)?;
            return show(&trained, &mut stream, args.top, writer);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The network, and the paths that are its inputs.
fn network(args: &Predict) -> anyhow::Result<(Trained, &[PathBuf])> {
    if let (Some(model), Some(weights)) = (&args.model, &args.weights) {
        let weights = super::weight_file(weights, args.scheme.as_deref())?;
        return Ok((Trained::of_weights(model, &weights, args.on.device.device()?)?, &args.paths));
    }
    let Some((run, inputs)) = args.paths.split_first() else { bail!("no run folder; see `mp-train predict --help`") };
    let folder = RunFolder::open(run)?;
    if inputs.is_empty() && args.list.is_none() {
        return Err(Error::NoImages { what: "mp-train predict".to_owned() }.into());
    }
    let mut trained = super::trained(&folder, args.checkpoint, args.ema, args.on.device)?;
    if let Some(budget) = args.budget {
        let state = RunState::new(args.checkpoint.into(), args.ema, trained.steps.unwrap_or_default());
        trained.model.set_threshold(folder.budget(&state, budget)?.threshold);
    }
    Ok((trained, inputs))
}

/// A row for each input: one that cannot be read ends it, or rows would stand for other inputs than they seem to.
fn write_logits(trained: &Trained, stream: &mut Stream<'_>, file: &OutputFile) -> anyhow::Result<()> {
    let mut rows = LogitsFile::new(trained.identity.classes.len())?;
    let mut images = 0;
    for Chunk { names, images: tensor, bad } in &mut *stream {
        if let Some(error) = bad.into_iter().next() {
            return Err(error.into());
        }
        images += names.len();
        if let Some(tensor) = tensor {
            rows.add(&predict::logits(trained, &tensor))?;
        }
    }
    say_ignored(stream.inputs());
    if images == 0 {
        return Err(Error::NoImages { what: "mp-train predict".to_owned() }.into());
    }
    let shape = rows.finish(file)?;
    output::text_beside(file, &format!("{shape:?} logits in {}", file.path().display()))
}

fn show(trained: &Trained, stream: &mut Stream<'_>, top: usize, mut writer: Writer) -> anyhow::Result<ExitCode> {
    let (mut images, mut bad) = (0, 0);
    // A lone file that is bad is the command's own failure.
    let mut held: Option<Error> = None;
    for chunk in &mut *stream {
        for error in chunk.bad {
            bad += 1;
            match held.take() {
                None if images == 0 && bad == 1 => held = Some(error),
                before => before.into_iter().chain([error]).for_each(say),
            }
        }
        if let Some(tensor) = chunk.images {
            held.take().into_iter().for_each(say);
            images += chunk.names.len() as u64;
            writer.add(&chunk.names, &predict::top(&predict::logits(trained, &tensor), top, &trained.identity))?;
        }
    }
    if let Some(error) = held {
        return Err(error.into());
    }
    say_ignored(stream.inputs());
    if images == 0 && bad == 0 {
        return Err(Error::NoImages { what: "mp-train predict".to_owned() }.into());
    }
    writer.finish()?;
    if bad > 0 {
        let (bad, classified) = (thousands(bad), thousands(images));
        failure::print(&format!("{bad} files could not be classified, {classified} images were"));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn say(error: Error) {
    failure::print(&format!("{:#}", anyhow::Error::from(error)));
}

/// Names what folders hold besides pictures.
fn say_ignored(inputs: &Inputs) {
    if !inputs.ignored().is_empty() {
        // Nobody is left to be told where this fails.
        let _ = writeln!(io::stderr(), "not used: {}", inputs.ignored());
    }
}

/// Shows results as they come.
enum Writer {
    Table(Table),
    /// With the number of images so far.
    Json(u64),
    Csv(Box<csv::Writer<io::Stdout>>),
}

impl Writer {
    fn new(args: &Predict) -> anyhow::Result<Self> {
        if args.json {
            return Ok(Self::Json(0));
        }
        if args.csv {
            let mut writer = csv::Writer::from_writer(io::stdout());
            writer.write_record(["image", "rank", "class", "probability"])?;
            return Ok(Self::Csv(Box::new(writer)));
        }
        Ok(Self::Table(Table::new(&[
            ("image", Align::Left),
            ("rank", Align::Right),
            ("class", Align::Left),
            ("probability", Align::Right),
        ])))
    }

    fn add(&mut self, names: &[String], choices: &[Vec<Choice>]) -> anyhow::Result<()> {
        for (image, top) in names.iter().zip(choices) {
            match self {
                Self::Table(table) => {
                    for (Choice { class, probability }, rank) in top.iter().zip(1..) {
                        let image = if rank == 1 { image.clone() } else { String::new() };
                        table.row([image, rank.to_string(), class.clone(), format!("{:.1}%", 100.0 * probability)]);
                    }
                }
                Self::Csv(writer) => {
                    for (Choice { class, probability }, rank) in top.iter().zip(1..) {
                        writer.write_record([image, &rank.to_string(), class, &probability.to_string()])?;
                    }
                }
                Self::Json(count) => {
                    let item = serde_json::to_string_pretty(&json!({ "image": image, "top": top }))?;
                    let before = if *count == 0 { "[\n  " } else { ",\n  " };
                    write!(io::stdout(), "{before}{}", item.replace('\n', "\n  "))?;
                    *count += 1;
                }
            }
        }
        match self {
            Self::Table(table) => table.print_so_far()?,
            Self::Csv(writer) => writer.flush()?,
            Self::Json(_) => io::stdout().flush()?,
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        match self {
            Self::Table(_) => Ok(()),
            Self::Csv(mut writer) => Ok(writer.flush()?),
            Self::Json(0) => output::text("[]"),
            Self::Json(_) => output::text("\n]"),
        }
    }
}
