//! Keeps a run's events in its folder.

use serde_json::{Map, Value};

use super::{Epoch, Event, Interval, Metrics, MetricsLog, Observer, Row, figure};
use crate::Error;
use crate::checkpoint::Position;
use crate::folder::{RoutingRecord, RunFolder};
use crate::metric::figures;

/// Writes what happens to `metrics.csv`, `events.jsonl` and `routes.json`.
#[derive(Debug)]
pub struct Recorder {
    folder: RunFolder,
    classes: Vec<String>,
    log: MetricsLog,
}

impl Recorder {
    /// Records a run that goes on from `position`, or starts there; `classes` are their names in the order of the logits.
    ///
    /// # Errors
    /// As [`MetricsLog::resume`].
    pub fn new(folder: &RunFolder, position: Position, classes: &[String]) -> Result<Self, Error> {
        let log = MetricsLog::resume(folder, position)?;
        Ok(Self { folder: folder.clone(), classes: classes.to_vec(), log })
    }

    /// The epochs so far.
    pub fn rows(&self) -> &[Row] {
        self.log.rows()
    }
}

impl Observer for Recorder {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        match event {
            Event::Start { position, epochs, steps_per_epoch } => {
                let values = [("epochs", *epochs), ("steps_per_epoch", *steps_per_epoch)];
                let values = values.map(|(name, value)| (name.to_owned(), value.into()));
                self.log.event("start", *position, Map::from_iter(values))
            }
            Event::Note { position, text } => {
                self.log.event("note", *position, Map::from_iter([("text".to_owned(), (*text).into())]))
            }
            Event::Data(_) | Event::Step(_) => Ok(()),
            Event::Interval(interval) => self.log.event("step", interval.position, of_interval(interval)),
            Event::Epoch(epoch) => {
                if !epoch.valid.layers.is_empty() {
                    let (classes, layers) = (self.classes.clone(), epoch.valid.layers.clone());
                    self.folder.write_routes(&RoutingRecord { classes, layers })?;
                }
                self.log.epoch(epoch.position, of_epoch(epoch))
            }
            Event::OutOfPatience { position, best } => {
                self.log.event("out_of_patience", *position, Map::from_iter([("best".to_owned(), (*best).into())]))
            }
            Event::Saved(position) => self.log.event("checkpoint", *position, Map::new()),
            Event::Stopped(position) => self.log.event("stopped", *position, Map::new()),
        }
    }
}

fn of_interval(interval: &Interval) -> Map<String, Value> {
    let mut values = vec![
        ("lr", figure(interval.rate)),
        ("train/loss", figure(interval.loss())),
        ("train/losses", interval.losses.iter().copied().map(figure).collect()),
        ("train/accuracy", figure(interval.accuracy)),
        ("images_per_second", figure(interval.images_per_second)),
    ];
    values.extend(interval.routing_loss.map(|loss| ("train/routing_loss", figure(loss))));
    values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn of_epoch(epoch: &Epoch) -> Metrics {
    let values = [
        ("lr", epoch.rate),
        ("train/loss", epoch.train_loss),
        ("train/accuracy", epoch.train_accuracy),
        ("train_seconds", epoch.train_seconds),
        ("images_per_second", epoch.images_per_second),
    ];
    let mut metrics: Metrics = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    metrics.extend(figures(&epoch.valid).map(|(name, figure)| (format!("valid/{name}"), figure)));
    if let Some(spending) = &epoch.valid.spending {
        metrics.push(("valid/routed_multiply_adds".to_owned(), spending.routed));
        metrics.push(("valid/executed_multiply_adds".to_owned(), spending.executed));
    }
    metrics.extend(epoch.average.iter().flat_map(figures).map(|(name, figure)| (format!("ema/{name}"), figure)));
    for layer in &epoch.valid.layers {
        let name = |quantity: &str| format!("route/{}/{quantity}", layer.name);
        metrics.push((name("mutual_information"), layer.mutual_information));
        metrics.push((name("entropy_of_mean"), layer.entropy_of_mean));
        metrics.push((name("mean_entropy"), layer.mean_entropy));
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;
    use crate::evaluate::Evaluation;
    use crate::watch::read_events;

    #[test]
    fn reports_go_to_the_events_and_epochs_to_both_files() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), &Recipe::resolve(Some("digits"), &[]).unwrap()).unwrap();
        let mut recorder = Recorder::new(&folder, Position::default(), &[]).unwrap();
        let interval = Interval {
            position: Position { epoch: 0, step_in_epoch: 5, step: 5 },
            rate: 0.1,
            losses: vec![1.5, 2.5],
            accuracy: 0.25,
            routing_loss: Some(0.5),
            images_per_second: 100.0,
        };
        recorder.observe(&Event::Interval(&interval)).unwrap();
        let epoch = Epoch {
            position: Position { epoch: 1, step_in_epoch: 0, step: 10 },
            rate: 0.1,
            train_loss: 1.5,
            train_accuracy: 0.5,
            valid: Evaluation { images: 4, correct: 3, loss: 1.0, ..Evaluation::default() },
            average: Some(Evaluation { images: 4, correct: 1, loss: 1.5, ..Evaluation::default() }),
            best: true,
            train_seconds: 2.0,
            images_per_second: 100.0,
        };
        recorder.observe(&Event::Epoch(&epoch)).unwrap();

        assert_eq!(recorder.rows()[0].get("valid/accuracy"), Some(0.75));
        assert_eq!(recorder.rows()[0].get("ema/accuracy"), Some(0.25));
        let steps = read_events(&folder.events(), "step").unwrap();
        assert_eq!((steps[0]["step"].as_u64(), steps[0]["train/loss"].as_f64()), (Some(5), Some(2.0)));
        assert_eq!(read_events(&folder.events(), "epoch").unwrap()[0]["train/loss"], 1.5);
        assert_eq!(folder.routes().unwrap(), None);
    }
}
