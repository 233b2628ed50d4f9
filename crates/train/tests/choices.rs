//! What decides when a run ends, which epoch was its best, and what each class counts.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{recipe, train, trained};
use mp_train::run::{self, Start};
use mp_train::watch::{Event, Observer};
use mp_train::watch::{Row, read_events, read_rows};
use mp_train::{Error, RunFolder};

const NO_CACHE: &str = "no cache: digits are built in";

/// Weights that do not move: only batch-norm still settles, and then no epoch is better than the one before.
const STILL: [&str; 4] = ["train.epochs=60", "train.patience=2", "optimiser.lr=1e-30", "data.limit=64"];

fn rows(folder: &RunFolder) -> Vec<Row> {
    let mut rows = read_rows(&folder.metrics()).unwrap();
    rows.iter_mut().for_each(|row| row.metrics.retain(|(name, _)| !name.contains("second")));
    rows
}

/// Asks a run to stop at the end of its first epoch.
struct StopsAfterFirst<'s>(&'s AtomicBool);

impl Observer for StopsAfterFirst<'_> {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        if matches!(event, Event::Epoch(_)) {
            self.0.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[test]
fn a_run_out_of_patience_ends_says_so_and_goes_on_to_the_same_end() {
    let root = tempfile::tempdir().unwrap();
    let recipe = recipe(&STILL);
    let finished = train(&recipe, &root.path().join("whole")).unwrap();
    assert!(finished.complete);
    let summary = finished.folder.summary().unwrap().unwrap();
    assert!(summary.finished && summary.stopped_early && summary.epochs_done < 60, "{summary:?}");
    assert_eq!(summary.epochs_done, summary.best_epoch + 2);
    let events = read_events(&finished.folder.events(), "out_of_patience").unwrap();
    assert_eq!((events.len(), &events[0]["best"]), (1, &summary.best_epoch.into()));

    // The best is the most accurate epoch and, of several, the one with the lowest loss.
    let reached: Vec<(f64, f64)> = rows(&finished.folder)
        .iter()
        .map(|row| (row.get("valid/accuracy").unwrap(), row.get("valid/loss").unwrap()))
        .collect();
    let best = reached[summary.best_epoch as usize - 1];
    assert!(
        reached.iter().all(|&(accuracy, loss)| accuracy < best.0 || accuracy == best.0 && loss >= best.1),
        "{reached:?}"
    );

    // Interrupted after an epoch and continued, it stops where it would have stopped; continued again, it stays there.
    let out = root.path().join("parts");
    let stop = AtomicBool::new(false);
    // What it returns holds the folder's lock until it is dropped.
    let begin = || run::train(&recipe, &out, Start::New, Path::new(NO_CACHE), &mut StopsAfterFirst(&stop), &stop);
    assert!(!begin().unwrap().complete);
    for _ in 0..2 {
        let stop = AtomicBool::new(false);
        let resumed = run::train(&recipe, &out, Start::Resume, Path::new(NO_CACHE), &mut (), &stop).unwrap();
        assert!(resumed.complete && resumed.summary.unwrap().stopped_early);
        assert_eq!(rows(&resumed.folder), rows(&finished.folder));
    }
}

#[test]
fn a_run_that_is_unwanted_before_its_first_step_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (out, stop) = (root.path().join("run"), AtomicBool::new(true));
    let ended = run::train(&recipe(&STILL), &out, Start::New, Path::new(NO_CACHE), &mut (), &stop);
    assert!(matches!(ended, Err(mp_train::Error::Interrupted)), "{ended:?}");
    assert!(!out.exists());
}

#[test]
fn without_patience_every_epoch_is_done() {
    let root = tempfile::tempdir().unwrap();
    for (name, sets) in
        [("off", ["train.patience=0", "train.epochs=4"]), ("long", ["train.patience=4", "train.epochs=4"])]
    {
        let recipe = recipe(&[&STILL[2..], &sets[..]].concat());
        let summary = train(&recipe, &root.path().join(name)).unwrap().summary.unwrap();
        assert_eq!((summary.epochs_done, summary.stopped_early), (4, false), "{name}");
    }
}

#[test]
fn equal_weights_given_as_a_list_change_nothing_and_others_do() {
    let loss = |weights: &str| {
        let sets = ["train.epochs=1", "train.accumulate=2", &format!("train.class_weights={weights}")];
        let (_root, folder) = trained(&sets);
        folder.summary().unwrap().unwrap().train_loss_last
    };
    let equal = loss("equal");
    assert!((loss("[3, 3, 3, 3, 3, 3, 3, 3, 3, 3]") - equal).abs() < 1e-3 * equal);
    assert!((loss("[100, 1, 1, 1, 1, 1, 1, 1, 1, 1]") - equal).abs() > 1e-2 * equal);
    assert!(loss("balanced").is_finite());
}

#[test]
fn weights_that_do_not_fit_the_classes_are_refused_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    for (sets, expected) in [
        (&["train.class_weights=[1, 2]"][..], "train.class_weights is 2 numbers, expected 10, one for each class"),
        (&["train.class_weights=[]"], "train.class_weights is 0 numbers, expected 10"),
        (&["train.class_weights=balanced", "data.limit=5"], "there is no training image that could balance it"),
    ] {
        let message = train(&recipe(sets), &out).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(!out.exists());
    }
}
