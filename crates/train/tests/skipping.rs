//! Runs of networks in which images choose what is run.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{recipe, train, trained};
use mp_nn::load_tensors;
use mp_train::apply::Judge;
use mp_train::checkpoint::{self, Which};
use mp_train::folder::RunState;
use mp_train::run::{self, Start};
use mp_train::split::Split;
use mp_train::watch::{Event, Observer, read_rows};
use mp_train::{Error, Recipe};
use tch::Device;

/// A small network of each kind, and how it learns.
const AIG: [&str; 4] =
    ["model.name=aig20_w4", "optimiser.lr=0.01", "routing_loss.target_rate.weight=2.0", "data.limit=96"];
const SKIPNET: [&str; 5] = [
    "model.name=skipnet20_w4",
    "procedure.name=score_function",
    "procedure.epochs=1",
    "optimiser.lr=0.01",
    "data.limit=96",
];
const TOP1: [&str; 4] =
    ["model.name=base_cnn_w4_x3_cc", "model.routing.mixer.kind=top1", "optimiser.lr=0.01", "data.limit=96"];

#[test]
fn what_images_chose_is_reported() {
    let (_root, folder) = trained(&AIG);
    let summary = folder.summary().unwrap().unwrap();
    let routed = summary.routed_multiply_adds.unwrap();
    assert!(0.0 < routed && routed <= summary.multiply_adds as f64, "{routed}");
    let rows = read_rows(&folder.metrics()).unwrap();
    assert_eq!(rows.last().unwrap().get("valid/routed_multiply_adds"), Some(routed));
    // Evaluation computes what was chosen, and nothing else.
    let executed = rows.last().unwrap().get("valid/executed_multiply_adds").unwrap();
    assert!((executed - routed).abs() < 1e-6 * routed, "{executed}, {routed}");
    assert!(trained(&[]).1.summary().unwrap().unwrap().routed_multiply_adds.is_none());
}

#[test]
fn a_budget_is_met_and_kept() {
    let (_root, folder) = trained(&AIG);
    let judge = || Judge::of_run(&folder, Which::Last, None, Path::new("none"), Device::Cpu).unwrap();
    let mut held = judge();
    let met = held.hold_to(0.5).unwrap();
    assert!(met.share <= 0.5 && met.images > 0, "{met:?}");
    let spending = held.evaluate(Split::Valid, None).unwrap().spending.unwrap();
    assert!((spending.routed / spending.all as f64 - met.share).abs() < 1e-6, "the same images: {spending:?}, {met:?}");

    let state = RunState::new(Which::Last, false, held.trained.steps.unwrap());
    folder.keep_budget(state.clone(), met).unwrap();
    let mut again = judge();
    again.trained.model.set_threshold(folder.budget(&state, 0.5).unwrap().threshold);
    assert_eq!(again.evaluate(Split::Valid, None).unwrap().spending, Some(spending));
    let message = judge().hold_to(0.01).unwrap_err().to_string();
    assert!(message.starts_with("--budget is 0.01, expected at least 0."), "{message}");
}

#[test]
fn stopped_runs_go_on_to_the_same_weights() {
    for settings in [&AIG[..], &SKIPNET, &TOP1] {
        let root = tempfile::tempdir().unwrap();
        let (whole, stopped) = (root.path().join("whole"), root.path().join("stopped"));
        let recipe = recipe(settings);
        train(&recipe, &whole).unwrap();
        // In the first epoch, and in the second, which SkipNet learns by drawn decisions.
        for (step, start) in [(2, Start::New), (5, Start::Resume), (u64::MAX, Start::Resume)] {
            stop_after(&recipe, &stopped, step, start);
        }
        let of = |out: &Path| load_tensors(&checkpoint::last(&out.join("checkpoints"))).unwrap().tensors;
        let (whole, stopped) = (of(&whole), of(&stopped));
        assert_eq!(whole.len(), stopped.len());
        for (name, tensor) in &whole {
            assert!(tensor.equal(&stopped[name]), "{settings:?}: {name}");
        }
    }
}

#[test]
fn a_procedure_that_the_model_cannot_take_is_refused_before_anything_is_written() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("refused");
    let refusal = |settings: &[&str]| {
        let message = train(&recipe(settings), &out).map(|_| ()).map_err(|error: Error| error.to_string()).unwrap_err();
        assert!(!out.exists(), "{message}");
        message
    };
    assert_eq!(
        refusal(&["procedure.name=score_function"]),
        "procedure.name is \"score_function\" for `base_cnn_w4_x2_cc`, expected a model whose decisions can be drawn, such as \
         skipnet38"
    );
    let message = refusal(&["model.name=base_cnn_w4_x2_cp", "model.routing.mixer.kind=top1"]);
    assert!(message.contains("a cross-prediction mixes what every path predicts"), "{message}");
}

fn stop_after(recipe: &Recipe, out: &Path, step: u64, start: Start) {
    let stop = AtomicBool::new(false);
    run::train(recipe, out, start, Path::new("none"), &mut StopAfter { step, stop: &stop }, &stop).unwrap();
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
