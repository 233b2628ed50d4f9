//! Runs that learn from a teacher: its answers, and its features half way.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{recipe, train, trained};
use mp_nn::load_tensors;
use mp_train::checkpoint::{self, Checkpoint, Which};
use mp_train::run::{self, Start};
use mp_train::watch::{Event, Observer, read_rows};
use mp_train::{Error, Recipe, RunFolder};

/// Steps of an epoch: 320 images in batches of 32.
const PER_EPOCH: u64 = 10;

/// What a run of hints takes beside the teacher: an epoch of hints, then one of answers.
const HINTS: [&str; 6] = [
    "model.name=base_cnn_w2",
    "procedure.name=hints",
    "procedure.hint=stage2",
    "procedure.guided=stage2",
    "procedure.epochs=1",
    "optimiser.lr=0.01",
];

fn teacher() -> (tempfile::TempDir, RunFolder) {
    trained(&["model.name=base_cnn_w4", "train.epochs=1"])
}

fn with_teacher(folder: &RunFolder, settings: &[&str]) -> Recipe {
    let teacher = format!("procedure.teacher={}", folder.path().display());
    recipe(&[settings, &[&teacher]].concat())
}

#[test]
fn hints_move_the_guided_part_alone_and_answers_move_all() {
    let (root, teacher) = teacher();
    let out = root.path().join("hints");
    let stop = AtomicBool::new(false);
    let recipe = with_teacher(&teacher, &HINTS);
    let begin = |step, start| {
        run::train(&recipe, &out, start, Path::new("none"), &mut StopAfter { step, stop: &stop }, &stop).unwrap()
    };
    let weights = |name: &str| {
        let tensors = load_tensors(&checkpoint::last(&out.join("checkpoints"))).unwrap().tensors;
        tensors[name].shallow_clone()
    };
    // Checkpoints after 1 step of hints, at the end of the hints, and at the end of the run.
    drop(begin(1, Start::New));
    let early = ["stage1.0.conv1.weight", "stage3.0.conv1.weight", "fc.weight"].map(weights);
    stop.store(false, Ordering::Relaxed);
    drop(begin(PER_EPOCH - 1, Start::Resume));
    let hinted = ["stage1.0.conv1.weight", "stage3.0.conv1.weight", "fc.weight"].map(weights);
    stop.store(false, Ordering::Relaxed);
    let finished = begin(u64::MAX, Start::Resume);
    assert!(finished.complete);
    let last = ["stage1.0.conv1.weight", "stage3.0.conv1.weight", "fc.weight"].map(weights);
    assert!(!early[0].equal(&hinted[0]), "the guided part learns from hints");
    assert!(early[1].equal(&hinted[1]) && early[2].equal(&hinted[2]), "what comes behind it does not");
    assert!(!hinted[1].equal(&last[1]) && !hinted[2].equal(&last[2]), "it learns from answers");
}

#[test]
fn a_stopped_run_of_hints_goes_on_to_the_same_weights() {
    let (root, teacher) = teacher();
    let recipe = with_teacher(&teacher, &HINTS);
    let (whole, stopped) = (root.path().join("whole"), root.path().join("stopped"));
    train(&recipe, &whole).unwrap();
    // In the middle of the hints, with a regressor and its momentum half way; then in the middle of the answers.
    let stop = AtomicBool::new(false);
    for (step, start) in [(5, Start::New), (PER_EPOCH + 4, Start::Resume), (u64::MAX, Start::Resume)] {
        stop.store(false, Ordering::Relaxed);
        run::train(&recipe, &stopped, start, Path::new("none"), &mut StopAfter { step, stop: &stop }, &stop).unwrap();
    }
    let of = |out: &Path| load_tensors(&checkpoint::last(&out.join("checkpoints"))).unwrap().tensors;
    let (whole, stopped) = (of(&whole), of(&stopped));
    assert!(whole.keys().any(|name| name == "procedure/regressor.weight"), "{:?}", whole.keys());
    assert_eq!(whole.len(), stopped.len());
    for (name, tensor) in &whole {
        assert!(tensor.equal(&stopped[name]), "{name}");
    }
}

#[test]
fn a_student_follows_its_teacher() {
    let (root, teacher) = trained(&["model.name=base_cnn_w8", "train.epochs=4", "data.limit=0", "optimiser.lr=0.05"]);
    let settings = ["model.name=base_cnn_w4", "data.limit=0", "optimiser.lr=0.02", "procedure.name=distillation"];
    let finished = train(&with_teacher(&teacher, &settings), &root.path().join("student")).unwrap();
    let rows = read_rows(&finished.folder.metrics()).unwrap();
    let losses: Vec<f64> = rows.iter().filter_map(|row| row.get("train/loss")).collect();
    // The answers of the teacher weigh 4 and then less, so that the loss falls also where nothing is learnt: from 1 + 4 to
    // 1 + 1 times ln 10 at most. It falls to less than half.
    assert!(losses.last().unwrap() * 2.0 < losses[0], "{losses:?}");
    assert!(finished.summary.unwrap().valid_accuracy_best > 0.5);
}

#[test]
fn what_cannot_teach_is_refused_before_anything_is_written() {
    let (root, teacher) = teacher();
    let out = root.path().join("refused");
    let refusal = |recipe: &Recipe| {
        let message = train(recipe, &out).map(|_| ()).map_err(|error: Error| error.to_string()).unwrap_err();
        assert!(!out.exists(), "{message}");
        message
    };
    let hints = |changed: &[&str]| with_teacher(&teacher, &[&HINTS[..], changed].concat());
    let message = refusal(&hints(&["procedure.hint=stage9"]));
    assert!(message.starts_with("procedure.hint is \"stage9\", expected a position of a network"), "{message}");
    let message = refusal(&hints(&["procedure.guided=dense"]));
    assert!(message.starts_with("procedure.guided is a position with features of 8, expected"), "{message}");
    let message = refusal(&hints(&["data.size=16"]));
    assert!(message.starts_with("procedure.teacher is"), "{message}");
    let message = refusal(&recipe(&["procedure.name=distillation", "procedure.teacher=nowhere"]));
    assert!(message.contains("nowhere"), "{message}");
    let unnamed = Recipe::resolve(Some("digits"), &["procedure.name=distillation".parse().unwrap()]);
    let message = unnamed.unwrap_err().to_string();
    assert_eq!(message, "procedure.teacher is empty, expected the run folder of a trained network");
}

#[test]
fn another_metric_chooses_the_best_epoch() {
    let (_root, folder) = trained(&["train.metric=loss", "train.epochs=3"]);
    let rows = read_rows(&folder.metrics()).unwrap();
    let losses: Vec<f64> = rows.iter().filter_map(|row| row.get("valid/loss")).collect();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    let header = Checkpoint::load(&folder.checkpoint(Which::Best).unwrap()).unwrap().header;
    let best = header.best.unwrap();
    assert_eq!(best.epoch as usize, 1 + losses.iter().position(|loss| *loss == least).unwrap());
    assert_eq!(best.score, Some(-best.loss.unwrap()));
}

/// Asks the run to stop after a step.
struct StopAfter<'a> {
    step: u64,
    stop: &'a AtomicBool,
}

impl Observer for StopAfter<'_> {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        if let Event::Step(position) = event
            && position.step >= self.step
        {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
