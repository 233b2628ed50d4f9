//! What a run measured: `metrics.csv` with a row per epoch and `events.jsonl` with a line per report.
//!
//! Names are `split/quantity` (`train/loss`, `valid/accuracy`) and `route/LAYER/quantity`. Every line begins with where the
//! run stood: epochs done and steps of the optimiser done.
//!
//! Lines are written *before* the checkpoint of the same position: a run that dies between the two resumes from the
//! older checkpoint, drops the lines after it ([`MetricsLog::resume`]) and writes them again. So no line is lost and
//! none appears twice.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use mp_routing::Figure;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;
use crate::atomic::{self, Existing};
use crate::checkpoint::Position;
use crate::folder::RunFolder;

/// A number as `events.jsonl` holds it; see [`Figure`] for what is not finite.
pub fn figure(number: f64) -> Value {
    serde_json::to_value(Figure(number)).unwrap_or_default()
}

/// The number that [`figure`] wrote.
pub fn number(value: &Value) -> Option<f64> {
    Figure::deserialize(value).ok().map(|figure| figure.0)
}

/// Named values in the order in which they are shown.
pub type Metrics = Vec<(String, f64)>;

/// The metrics of one epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Epochs done at its end: 1 for the first.
    pub epoch: u64,
    /// Steps done at its end.
    pub step: u64,
    /// Its values.
    pub metrics: Metrics,
}

impl Row {
    /// The value of that name, where the epoch has one.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.metrics.iter().find(|(found, _)| found == name).map(|(_, value)| *value)
    }
}

/// Writes both files of one run.
#[derive(Debug)]
pub struct MetricsLog {
    csv: PathBuf,
    rows: Vec<Row>,
    events_path: PathBuf,
    events: File,
}

impl MetricsLog {
    /// Starts both files, or continues them after `position`: what was reported later will be reported again.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Corrupt`] where `metrics.csv` is not what this type writes.
    pub fn resume(folder: &RunFolder, position: Position) -> Result<Self, Error> {
        let csv = folder.metrics();
        let mut rows = if csv.exists() { read_rows(&csv)? } else { Vec::new() };
        rows.retain(|row| row.epoch <= position.epoch);

        let path = folder.events();
        let kept = match fs::read_to_string(&path) {
            Ok(text) => events_until(&text, position),
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        atomic::write(&path, kept.as_bytes(), Existing::Replace)?;
        let events = OpenOptions::new().append(true).open(&path).map_err(Error::io("open", &path))?;
        let log = Self { csv, rows, events_path: path, events };
        log.write_rows()?;
        Ok(log)
    }

    /// Reports an epoch in both files, and brings both to the disk.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn epoch(&mut self, position: Position, metrics: Metrics) -> Result<(), Error> {
        let values = metrics.iter().map(|(name, value)| (name.clone(), figure(*value))).collect();
        self.event("epoch", position, values)?;
        self.events.sync_data().map_err(Error::io("write", &self.events_path))?;
        self.rows.push(Row { epoch: position.epoch, step: position.step, metrics });
        self.write_rows()
    }

    /// Adds `{"event": kind, "epoch": .., "step": .., ..values}` to `events.jsonl`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn event(&mut self, kind: &str, position: Position, values: Map<String, Value>) -> Result<(), Error> {
        let mut object = Map::new();
        object.insert("event".to_owned(), kind.into());
        object.insert("epoch".to_owned(), position.epoch.into());
        object.insert("step".to_owned(), position.step.into());
        object.extend(values);
        let mut line = Value::Object(object).to_string();
        line.push('\n');
        self.events.write_all(line.as_bytes()).map_err(Error::io("write", &self.events_path))
    }

    /// The rows so far.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn write_rows(&self) -> Result<(), Error> {
        let bytes = rows_as_csv(&self.rows).map_err(Error::io("write", &self.csv))?;
        atomic::write(&self.csv, &bytes, Existing::Replace)
    }
}

/// Reads `metrics.csv`. An empty cell is a metric that the epoch did not have.
///
/// # Errors
/// [`Error::Io`] or [`Error::Corrupt`] naming the line.
pub fn read_rows(path: &Path) -> Result<Vec<Row>, Error> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let corrupt = |message: String| Error::Corrupt { path: path.to_owned(), message };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| corrupt(error.to_string()))?.clone();
    let mut rows = Vec::new();
    for (record, line) in reader.records().zip(2..) {
        let record = record.map_err(|error| corrupt(error.to_string()))?;
        let row = parse_row(&header, &record).ok_or_else(|| {
            corrupt(format!("line {line} is not \"epoch,step,number,number,...\" as the first line says"))
        })?;
        rows.push(row);
    }
    Ok(rows)
}

/// Reads the events of one kind from `events.jsonl`; a last line that was cut short is left out.
///
/// # Errors
/// [`Error::Io`].
pub fn read_events(path: &Path, kind: &str) -> Result<Vec<Value>, Error> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(events.filter(|event| event["event"] == kind).collect())
}

fn parse_row(header: &csv::StringRecord, record: &csv::StringRecord) -> Option<Row> {
    let mut row = Row { epoch: record.get(0)?.parse().ok()?, step: record.get(1)?.parse().ok()?, metrics: Vec::new() };
    for (name, cell) in header.iter().zip(record).skip(2).filter(|(_, cell)| !cell.is_empty()) {
        row.metrics.push((name.to_owned(), cell.parse().ok()?));
    }
    Some(row)
}

fn rows_as_csv(rows: &[Row]) -> io::Result<Vec<u8>> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.metrics) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["epoch", "step"].into_iter().chain(names.iter().copied()))?;
    for row in rows {
        let cell = |name: &&str| row.get(name).map_or_else(String::new, |value| value.to_string());
        writer.write_record([row.epoch.to_string(), row.step.to_string()].into_iter().chain(names.iter().map(cell)))?;
    }
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// The events up to `position`, without a last line that was cut short.
fn events_until(text: &str, position: Position) -> String {
    let is_kept = |line: &&str| {
        let event: Option<Value> = line.ends_with('\n').then(|| serde_json::from_str(line).ok()).flatten();
        event
            .and_then(|event| Some((event.get("epoch")?.as_u64()?, event.get("step")?.as_u64()?)))
            .is_some_and(|found| found <= (position.epoch, position.step))
    };
    text.split_inclusive('\n').filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    fn folder() -> (tempfile::TempDir, RunFolder) {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), &Recipe::resolve(Some("digits"), &[]).unwrap()).unwrap();
        (root, folder)
    }

    fn metrics(values: &[(&str, f64)]) -> Metrics {
        values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
    }

    /// After `step` steps in epochs of 10; the end of an epoch counts it as done.
    fn at(step: u64) -> Position {
        Position { epoch: step / 10, step_in_epoch: step % 10, step }
    }

    #[test]
    fn both_files_hold_what_was_reported() {
        let (_root, folder) = folder();
        let mut log = MetricsLog::resume(&folder, at(0)).unwrap();
        log.event("step", at(5), Map::from_iter([("train/loss".to_owned(), (0.1 + 0.2).into())])).unwrap();
        log.epoch(at(10), metrics(&[("train/loss", 2.0), ("valid/accuracy", 0.25)])).unwrap();
        log.epoch(at(20), metrics(&[("train/loss", 1.5), ("route/stage2/entropy", 0.5)])).unwrap();

        assert_eq!(
            fs::read_to_string(folder.metrics()).unwrap(),
            "epoch,step,train/loss,valid/accuracy,route/stage2/entropy\n1,10,2,0.25,\n2,20,1.5,,0.5\n"
        );
        assert_eq!(read_rows(&folder.metrics()).unwrap(), log.rows());
        // 0.1 + 0.2 keeps all of its digits: two runs can be compared to the last bit.
        let events = fs::read_to_string(folder.events()).unwrap();
        assert_eq!(
            events.lines().next(),
            Some(r#"{"epoch":0,"event":"step","step":5,"train/loss":0.30000000000000004}"#)
        );
        assert_eq!(read_events(&folder.events(), "epoch").unwrap().len(), 2);
    }

    #[test]
    fn what_is_not_finite_is_written_and_read_in_both_files() {
        let (_root, folder) = folder();
        let mut log = MetricsLog::resume(&folder, at(0)).unwrap();
        let values = [f64::INFINITY, f64::NEG_INFINITY, 1e300];
        log.epoch(at(10), metrics(&[("a", values[0]), ("b", values[1]), ("c", values[2]), ("d", f64::NAN)])).unwrap();
        let event = read_events(&folder.events(), "epoch").unwrap().remove(0);
        let row = read_rows(&folder.metrics()).unwrap().remove(0);
        for (name, value) in ["a", "b", "c"].into_iter().zip(values) {
            assert_eq!((number(&event[name]), row.get(name)), (Some(value), Some(value)));
        }
        assert!(number(&event["d"]).unwrap().is_nan() && row.get("d").unwrap().is_nan());
        assert_eq!((event["a"].as_str(), event["d"].as_str()), (Some("inf"), Some("nan")));
    }

    #[test]
    fn resuming_cuts_both_files_back_to_the_position() {
        let (_root, folder) = folder();
        let mut log = MetricsLog::resume(&folder, at(0)).unwrap();
        for epoch in 1..=3 {
            log.event("step", at(epoch * 10 - 5), Map::new()).unwrap();
            log.epoch(at(epoch * 10), metrics(&[("train/loss", 1.0)])).unwrap();
        }
        log.events.write_all(b"{\"event\":\"step\",\"epoch\":4,\"st").unwrap();
        drop(log);

        // The checkpoint is of step 15: epoch 1 is done, the report of step 15 stands, epoch 2's row does not.
        let mut log = MetricsLog::resume(&folder, at(15)).unwrap();
        assert_eq!(log.rows().iter().map(|row| row.step).collect::<Vec<_>>(), [10]);
        log.epoch(at(20), metrics(&[("train/loss", 0.5)])).unwrap();
        let steps: Vec<u64> = fs::read_to_string(folder.events())
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap())
            .collect();
        assert_eq!(steps, [5, 10, 15, 20]);
        assert_eq!(read_rows(&folder.metrics()).unwrap().len(), 2);
    }

    #[test]
    fn an_epoch_that_was_trained_but_not_evaluated_is_reported_again() {
        let (_root, folder) = folder();
        let mut log = MetricsLog::resume(&folder, at(0)).unwrap();
        log.epoch(at(10), metrics(&[("train/loss", 1.0)])).unwrap();
        drop(log);
        let before_evaluation = Position { epoch: 0, step_in_epoch: 10, step: 10 };
        let log = MetricsLog::resume(&folder, before_evaluation).unwrap();
        assert_eq!(log.rows(), []);
        assert_eq!(fs::read_to_string(folder.events()).unwrap(), "");
    }

    #[test]
    fn a_row_that_is_not_numbers_is_named() {
        let (_root, folder) = folder();
        fs::write(folder.metrics(), "epoch,step,train/loss\n1,10,1.0\n2,20,low\n").unwrap();
        let message = read_rows(&folder.metrics()).unwrap_err().to_string();
        assert!(message.contains("metrics.csv: line 3 is not"), "{message}");
    }
}
