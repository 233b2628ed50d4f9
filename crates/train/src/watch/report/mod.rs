//! `report.html`: a run as one page that needs no network.

mod axis;
mod cells;
mod chart;
mod classes;
mod counts;
mod routing;

use std::path::PathBuf;

use minijinja::{Environment, context};
use mp_data::Line;
use serde::Serialize;
use serde_json::Value;

use super::{Row, number, read_events, read_rows};
use crate::Error;
use crate::atomic::{self, Existing};
use crate::folder::{RunFolder, Summary};

use chart::{Chart, Series};

pub use axis::Axis;
pub use counts::{short, thousands};

const TEMPLATE: &str = include_str!("template.html");

/// Writes the report of what the run has done so far, and returns its path.
///
/// # Errors
/// Files of the run that cannot be read; [`Error::Io`] where the report cannot be written.
pub fn write(folder: &RunFolder) -> Result<PathBuf, Error> {
    let path = folder.report();
    atomic::write(&path, render(folder)?.as_bytes(), Existing::Replace)?;
    Ok(path)
}

fn render(folder: &RunFolder) -> Result<String, Error> {
    let recipe = folder.recipe()?;
    let rows = read_rows(&folder.metrics())?;
    let steps = read_events(&folder.events(), "step")?;
    let steps_per_epoch = read_events(&folder.events(), "start")?
        .last()
        .and_then(|start| start["steps_per_epoch"].as_f64())
        .unwrap_or(1.0);
    let summary = folder.summary()?;
    let layers = folder.routes()?.map(|record| routing::layers(&record)).unwrap_or_default();

    let mut environment = Environment::new();
    environment.add_filter("digits", |value: f64, digits: usize| format!("{value:.digits$}"));
    environment.add_template("report.html", TEMPLATE)?;
    let page = environment.get_template("report.html")?.render(context! {
        model => recipe.model.name,
        data => Line(&recipe.data.name).to_string(),
        epochs => recipe.train.epochs,
        done => rows.len(),
        tiles => summary.as_ref().map(tiles).unwrap_or_default(),
        valid_split => summary.as_ref().map(|summary| summary.valid_split.to_string()),
        charts => charts(&rows, &steps, steps_per_epoch),
        classes => summary.as_ref().and_then(classes::classes),
        layers => layers,
        recipe => recipe.to_toml()?,
        version => env!("CARGO_PKG_VERSION"),
    })?;
    Ok(page)
}

/// A figure with its name.
#[derive(Debug, Serialize)]
struct Tile {
    name: &'static str,
    value: String,
    remark: String,
}

fn tiles(summary: &Summary) -> Vec<Tile> {
    let tile = |name, value, remark| Tile { name, value, remark };
    let percent = |share: f64| format!("{:.2}%", 100.0 * share);
    let judged = match summary.skipped_valid.images {
        0 => format!("after epoch {}", summary.epochs_done),
        skipped => format!(
            "after epoch {}, of {} images; {} skipped as damaged",
            summary.epochs_done,
            thousands(summary.valid_images as u64),
            thousands(skipped)
        ),
    };
    let mut tiles = vec![
        tile("accuracy", percent(summary.valid_accuracy_last), judged),
        tile("best accuracy", percent(summary.valid_accuracy_best), format!("after epoch {}", summary.best_epoch)),
        tile("parameters", shorten(summary.parameters), thousands(summary.parameters)),
        tile("multiply-adds", shorten(summary.multiply_adds), "of one image".to_owned()),
        tile(
            "training",
            duration(summary.train_seconds),
            format!("{:.0} images/s, {}", summary.images_per_second, summary.precision.name()),
        ),
        tile("waiting for data", format!("{:.1}%", 100.0 * summary.data_wait_fraction), "of the training".to_owned()),
    ];
    if let Some(routed) = summary.routed_multiply_adds {
        let share = percent(routed / summary.multiply_adds as f64);
        let text = format!("chosen by an image on average, {share} of all");
        tiles.push(tile("routed multiply-adds", shorten(routed.round() as u64), text));
    }
    if let Some(top_5) = summary.valid_top_5_last {
        tiles.insert(2, tile("top-5 accuracy", percent(top_5), format!("after epoch {}", summary.epochs_done)));
    }
    if summary.skipped.images > 0 {
        tiles.push(tile(
            "skipped",
            thousands(summary.skipped.images),
            "damaged training images, over all epochs".to_owned(),
        ));
    }
    tiles
}

/// Every chart that the run has values for.
fn charts(rows: &[Row], steps: &[Value], steps_per_epoch: f64) -> Vec<Chart> {
    let by_step = |name: &str, metric: &str| {
        let point = |event: &Value| Some((event["step"].as_f64()? / steps_per_epoch, number(event.get(metric)?)?));
        Series { name: name.to_owned(), points: steps.iter().filter_map(point).collect() }
    };
    let by_epoch = |name: &str, metric: &str| {
        let point = |row: &Row| Some((row.epoch as f64, row.get(metric)?));
        Series { name: name.to_owned(), points: rows.iter().filter_map(point).collect() }
    };
    let layer_of = |metric: &str| {
        metric.strip_prefix("route/").and_then(|name| name.strip_suffix("/mutual_information")).map(str::to_owned)
    };
    let last = rows.last().map(|row| row.metrics.as_slice()).unwrap_or_default();
    let layers = last.iter().filter_map(|(metric, _)| Some(by_epoch(&layer_of(metric)?, metric)));
    let loss = vec![by_step("train", "train/loss"), by_epoch("validation", "valid/loss")];
    let accuracy = vec![by_epoch("train", "train/accuracy"), by_epoch("validation", "valid/accuracy")];
    [
        Chart::new("Loss", loss, false),
        Chart::new("Accuracy", accuracy, true),
        Chart::new("Mutual information of input and route, nats", layers.collect(), false),
        Chart::new("Learning rate", vec![by_step("rate", "lr")], false),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn shorten(number: u64) -> String {
    let number = number as f64;
    match number {
        _ if number >= 1e9 => format!("{:.2} G", number / 1e9),
        _ if number >= 1e6 => format!("{:.2} M", number / 1e6),
        _ if number >= 1e3 => format!("{:.1} k", number / 1e3),
        _ => number.to_string(),
    }
}

fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, _) => format!("{seconds:.1} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::checkpoint::Position;
    use crate::recipe::{Override, Recipe};
    use crate::watch::MetricsLog;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!([7, 1234, 1_234_567].map(thousands), ["7", "1,234", "1,234,567"]);
        assert_eq!([999, 27_400, 2_436_346].map(shorten), ["999", "27.4 k", "2.44 M"]);
        assert_eq!([9.26, 75.0, 3_725.0].map(duration), ["9.3 s", "1 min 15 s", "1 h 2 min"]);
    }

    #[test]
    fn a_run_in_progress_has_a_page_that_needs_no_network_and_trusts_no_name() {
        let root = tempfile::tempdir().unwrap();
        let name = Override::string("data.name", "<script>alert(1)</script>");
        let folder = RunFolder::create(root.path(), &Recipe::resolve(Some("digits"), &[name]).unwrap()).unwrap();
        let mut log = MetricsLog::resume(&folder, Position::default()).unwrap();
        let at = Position { epoch: 0, step_in_epoch: 5, step: 5 };
        log.event("step", at, Map::from_iter([("train/loss".to_owned(), 2.0.into())])).unwrap();
        log.epoch(Position { epoch: 1, step_in_epoch: 0, step: 10 }, vec![("valid/accuracy".to_owned(), 0.5)]).unwrap();

        let page = std::fs::read_to_string(write(&folder).unwrap()).unwrap();
        assert!(page.contains("base_cnn_x2_cc") && page.contains("&lt;script&gt;alert(1)"), "{page}");
        assert!(!page.contains("<script>") && !page.contains("http://") && !page.contains("https://"), "{page}");
        assert!(page.contains("Accuracy") && !page.contains("Learning rate"), "{page}");
    }
}
