//! `mp-train eval`.

use std::io::{BufReader, Seek};
use std::path::Path;

use anyhow::{Context, bail};
use mp_data::Line;
use mp_routing::Figure;
use mp_train::apply::Judge;
use mp_train::evaluate::{Evaluation, Judged, Met, Routes, Spending};
use mp_train::folder::{OutputFile, RunState};
use mp_train::metric::MetricName;
use mp_train::split::Split;
use mp_train::{Error, RunFolder};
use serde_json::json;
use tch::Kind;

use crate::args::Eval;
use crate::output::{self, Align, Table, short, thousands};

/// Of more classes than this, the pairs that are confused most are shown in place of a matrix.
const MOST_IN_MATRIX: usize = 20;
/// So many of them.
const MOST_PAIRS: usize = 30;

pub(crate) fn run(args: Eval) -> anyhow::Result<()> {
    let data = match (&args.data, &args.run) {
        (Some(data), _) => data.clone(),
        (None, Some(run)) => RunFolder::open(run)?.recipe()?.data.name,
        (None, None) => String::new(),
    };
    let cache = args.data_dir.clone().resolve_for(&data)?;
    let inputs: Vec<&Path> = args.weights.iter().map(AsRef::as_ref).chain([Path::new(&data)]).collect();
    let predictions = args.predictions.as_ref().map(|path| OutputFile::new(path, args.force, &inputs)).transpose()?;
    let mut judge = judge(&args, &cache)?;
    let met = args.budget.map(|budget| judge.hold_to(budget)).transpose()?;
    if let (Some(met), Some(run)) = (met, &args.run) {
        let state = RunState::new(args.checkpoint.into(), args.ema, judge.trained.steps.unwrap_or_default());
        RunFolder::open(run)?.keep_budget(state, met)?;
    }
    let split = args.split.into();
    let routes = args.routes.seeded(args.routes_seed);
    let found = match &predictions {
        None => judge.evaluate_with_routes(split, routes, None)?,
        Some(file) => with_predictions(&judge, split, routes, file)?,
    };
    let file = predictions.as_ref();
    if args.json {
        output::json_beside(file, &as_json(&judge, split, routes, &found, met))?;
    } else {
        let budget = met.map_or_else(String::new, |met| held_to(&judge, &met));
        output::text_beside(file, &(describe(&judge, split, routes, &found) + &budget))?;
    }
    if args.classes && !args.json {
        output::text("")?;
        by_class(&judge, &found).print()?;
    }
    if args.confusion && !args.json {
        output::text("")?;
        confusion(&judge, &found).print()?;
    }
    Ok(())
}

fn judge(args: &Eval, cache: &Path) -> anyhow::Result<Judge> {
    match (&args.run, &args.model, &args.weights, &args.data) {
        (Some(run), ..) => {
            let folder = RunFolder::open(run)?;
            let trained = super::trained(&folder, args.checkpoint, args.ema, args.on.device)?;
            Ok(Judge::of_trained(trained, &folder, args.data.as_deref(), cache)?)
        }
        (None, Some(model), Some(weights), Some(data)) => {
            let weights = super::weight_file(weights, args.scheme.as_deref())?;
            Ok(Judge::of_weights(model, &weights, data, cache, args.on.device.device()?)?)
        }
        _ => bail!("no run folder, nor --model, --weights and --data; see `mp-train eval --help`"),
    }
}

/// What the budget came to on the images that its threshold was found on.
fn held_to(judge: &Judge, met: &Met) -> String {
    let Met { budget, threshold, share, images } = met;
    format!(
        "\nbudget of {budget}: blocks run above a probability of {threshold:.4}, which costs {share:.3} on {} {} images",
        thousands(*images),
        judge.images_of(Split::Valid),
    )
}

fn as_json(judge: &Judge, split: Split, routes: Routes, found: &Evaluation, met: Option<Met>) -> serde_json::Value {
    let names = &judge.trained.identity.classes;
    let mut object = json!({
        "model": judge.trained.identity.model,
        "data": judge.data(),
        "split": judge.images_of(split),
        "routes": routes.name(),
        "images": found.images,
        "correct": found.correct,
        "spending": found.spending,
        "budget": met,
        "skipped": found.skipped,
        "classes": found.confusion.by_class(names),
        "confused": found.confusion.confused(names),
    });
    for name in MetricName::ALL {
        object[name.name()] = json!(name.metric().of(found).map(Figure));
    }
    object
}

fn describe(judge: &Judge, split: Split, routes: Routes, found: &Evaluation) -> String {
    let top_5 = found.top_5_accuracy().map_or_else(String::new, |share| format!(", top-5 {:.2}%", 100.0 * share));
    let with = match routes {
        Routes::Own => String::new(),
        Routes::Shuffled { seed } => format!(", with shuffled routes (seed {seed})"),
        Routes::Frozen | Routes::Uniform => format!(", with {} routes", routes.name()),
    };
    let mut text = format!(
        "{} on {} {} images of {}{with}: accuracy {:.2}% ({} right){top_5}, loss {:.4}",
        judge.trained.identity.model,
        thousands(found.images),
        judge.images_of(split),
        Line(judge.data()),
        100.0 * found.accuracy(),
        thousands(found.correct),
        found.loss,
    );
    if let Some(Spending { always, routed, executed, all }) = found.spending {
        let round = |number: f64| short(number.round() as u64);
        text.push_str(&format!(
            "\nmultiply-adds of an image: {} chosen ({:.1}% of {}), {} computed, {} of them always",
            round(routed),
            100.0 * routed / all as f64,
            short(all),
            round(executed),
            short(always),
        ));
    }
    if found.skipped.images > 0 {
        text.push_str(&format!("\n{}: {}", judge.images_of(split), found.skipped));
    }
    text
}

fn by_class(judge: &Judge, found: &Evaluation) -> Table {
    let mut table = Table::new(&[
        ("class", Align::Left),
        ("images", Align::Right),
        ("right", Align::Right),
        ("accuracy", Align::Right),
        ("most often taken for", Align::Left),
    ]);
    let names = &judge.trained.identity.classes;
    let confused = found.confusion.confused(names);
    for class in found.confusion.by_class(names) {
        // The most frequent come first.
        let other = confused.iter().find(|pair| pair.class == class.class);
        table.row([
            class.class,
            thousands(class.images),
            thousands(class.correct),
            class.accuracy.map_or_else(String::new, |share| format!("{:.2}%", 100.0 * share)),
            other.map_or_else(String::new, |pair| format!("{} ({})", pair.predicted, thousands(pair.images))),
        ]);
    }
    table
}

fn confusion(judge: &Judge, found: &Evaluation) -> Table {
    let names = &judge.trained.identity.classes;
    if names.len() > MOST_IN_MATRIX {
        let columns = [("class", Align::Left), ("taken for", Align::Left), ("images", Align::Right)];
        let mut table = Table::new(&columns);
        for pair in found.confusion.confused(names).into_iter().take(MOST_PAIRS) {
            table.row([pair.class, pair.predicted, thousands(pair.images)]);
        }
        return table;
    }
    let mut columns = vec![("class \\ taken for", Align::Left)];
    columns.extend(names.iter().map(|name| (name.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for (name, row) in names.iter().zip(found.confusion.matrix()) {
        table.row(std::iter::once(name.clone()).chain(row.into_iter().map(thousands)));
    }
    table
}

/// Evaluates, and writes what became of each image.
fn with_predictions(judge: &Judge, split: Split, routes: Routes, file: &OutputFile) -> anyhow::Result<Evaluation> {
    let names = &judge.trained.identity.classes;
    let images = judge.dataset(split);
    let mut rows = csv::Writer::from_writer(tempfile::tempfile().context("cannot write a temporary file")?);
    let columns = names.iter().map(|name| format!("p({name})"));
    rows.write_record(["image", "label", "predicted", "probability"].map(str::to_owned).into_iter().chain(columns))?;
    let failed = |error: csv::Error| Error::io("write", file.path())(error.into());
    let mut each = |judged: Judged<'_>| -> Result<(), Error> {
        let classes = names.len();
        let unreadable = |error| Error::torch("copy the probabilities", &error);
        let probabilities = judged.logits.softmax(1, Kind::Double).view([-1]);
        let probabilities = Vec::<f64>::try_from(probabilities).map_err(unreadable)?;
        let predicted = Vec::<i64>::try_from(judged.logits.argmax(1, false)).map_err(unreadable)?;
        for (place, row) in probabilities.chunks(classes).enumerate() {
            let (label, best) = (judged.labels[place] as usize, predicted[place] as usize);
            let cells = [
                images.origin(judged.indices[place]),
                names[label].clone(),
                names[best].clone(),
                row[best].to_string(),
            ];
            rows.write_record(cells.into_iter().chain(row.iter().map(f64::to_string))).map_err(failed)?;
        }
        Ok(())
    };
    let found = judge.evaluate_with_routes(split, routes, Some(&mut each))?;
    let mut rows = rows.into_inner().map_err(|error| anyhow::anyhow!("{error}"))?;
    rows.rewind()?;
    file.write_from(&mut BufReader::new(rows))?;
    Ok(found)
}
