//! Runs from a recipe to a folder, in this process.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{recipe, train, trained};
use mp_nn::load_tensors;
use mp_train::apply::{Judge, of_run};
use mp_train::checkpoint::Which;
use mp_train::run::{self, Start};
use mp_train::split::Split;
use mp_train::watch::{Event, Observer, read_rows};
use mp_train::{Error, RunFolder, Trained, checkpoint};
use tch::Device;

const NO_CACHE: &str = "no cache: digits are built in";

#[test]
fn measured_ways_of_computing_paths_are_kept_with_the_run() {
    let root = tempfile::tempdir().unwrap();
    let (out, cache) = (root.path().join("run"), root.path().join("cache"));
    let train = |start, step| {
        let recipe = recipe(&["train.tune_paths=true", "train.epochs=1"]);
        let stop = AtomicBool::new(false);
        run::train(&recipe, &out, start, &cache, &mut StopAfter { step, stop: &stop }, &stop).unwrap()
    };
    let chosen = |folder: &RunFolder| {
        checkpoint::Checkpoint::load(&checkpoint::last(&folder.checkpoints()))
            .unwrap()
            .header
            .identity
            .routing
            .execution
    };
    let begun = train(Start::New, 1);
    assert!(!begun.complete);
    let folder = begun.folder.clone();
    // Until then nobody else may write the folder.
    drop(begun);
    let first = chosen(&folder);
    // Times that would choose otherwise: the run goes on as it began.
    let table = cache.join("path-execution.json");
    let text = std::fs::read_to_string(&table).unwrap();
    assert!(text.contains("separate") && text.contains("stacked"), "{text}");
    std::fs::remove_file(&table).unwrap();
    let resumed = train(Start::Resume, 2);
    assert_eq!(chosen(&resumed.folder), first);
    assert!(!table.exists(), "a run that goes on measures nothing");
    assert!(folder.recipe().unwrap().model.routing.execution.is_empty());
}

#[test]
fn a_small_network_learns_digits_and_the_summary_says_so() {
    let (_root, folder) = trained(&["train.epochs=6", "data.limit=0", "optimiser.lr=0.01"]);
    let summary = folder.summary().unwrap().unwrap();
    // Ten classes: chance is 0.1.
    assert!(summary.valid_accuracy_best > 0.8, "{summary:?}");
    assert!(summary.valid_accuracy_best >= summary.valid_accuracy_last);
    assert_eq!((summary.epochs, summary.epochs_done, summary.finished), (6, 6, true));
    // 1,437 images make 44 whole batches of 32; the last 29 images of an epoch wait for another.
    assert_eq!((summary.train_images, summary.valid_images, summary.steps), (1437, 360, 6 * 44));
    assert!((0.0..=1.0).contains(&summary.data_wait_fraction));
    assert_eq!(summary.mutual_information.len(), folder.routes().unwrap().unwrap().layers.len());

    let rows = read_rows(&folder.metrics()).unwrap();
    assert_eq!(rows.iter().map(|row| row.epoch).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
    assert_eq!(rows[5].get("valid/accuracy"), Some(summary.valid_accuracy_last));
}

#[test]
fn evaluating_a_checkpoint_gives_what_training_reported() {
    let (_root, folder) = trained(&["data.holdout=200", "optimiser.lr=0.01"]);
    let summary = folder.summary().unwrap().unwrap();
    let evaluate = |which, split| of_run(&folder, which, split, Path::new(NO_CACHE), Device::Cpu).unwrap().1;

    let last = evaluate(Which::Last, Split::Valid);
    assert_eq!((last.images, last.accuracy(), last.loss), (200, summary.valid_accuracy_last, summary.valid_loss_last));
    assert_eq!(evaluate(Which::Best, Split::Valid).accuracy(), summary.valid_accuracy_best);
    assert_eq!(evaluate(Which::Last, Split::Test).images, 360);
}

#[test]
fn averaged_weights_are_judged_kept_and_decide_which_epoch_is_best() {
    let (_root, folder) = trained(&["train.ema.decay=0.9", "optimiser.lr=0.01"]);
    let judged = |network: Trained| {
        let judge = Judge::of_trained(network, &folder, None, Path::new(NO_CACHE)).unwrap();
        judge.evaluate(Split::Valid, None).unwrap()
    };
    let average = judged(Trained::average_of_run(&folder, Which::Last, Device::Cpu).unwrap());
    let weights = judged(Trained::of_run(&folder, Which::Last, Device::Cpu).unwrap());
    let last = read_rows(&folder.metrics()).unwrap().pop().unwrap();
    assert_eq!((last.get("ema/accuracy"), last.get("ema/loss")), (Some(average.accuracy()), Some(average.loss)));
    assert_eq!((last.get("valid/accuracy"), last.get("valid/loss")), (Some(weights.accuracy()), Some(weights.loss)));
    assert_ne!(average.loss, weights.loss);
    let best = judged(Trained::average_of_run(&folder, Which::Best, Device::Cpu).unwrap());
    assert_eq!(folder.summary().unwrap().unwrap().valid_accuracy_best, best.accuracy());

    let (_root, folder) = trained(&[]);
    let message = Trained::average_of_run(&folder, Which::Last, Device::Cpu).err().unwrap().to_string();
    assert!(message.ends_with("no averaged weights: the run was trained without [train.ema]"), "{message}");
}

#[test]
fn the_temperature_of_gates_falls_by_the_same_factor_a_step_and_checkpoints_hold_it() {
    let mixer = ["model.routing.mixer.temperature=4.0", "model.routing.mixer.final_temperature=0.25"];
    let (_root, folder) = trained(&mixer);
    let tensors = load_tensors(&checkpoint::last(&folder.checkpoints())).unwrap().tensors;
    let held = tensors.iter().filter(|(name, _)| !name.contains('/') && name.ends_with("gate.temperature"));
    let held: Vec<f64> = held.map(|(_, tensor)| tensor.double_value(&[0])).collect();
    // 19 of the 20 steps of two epochs were done when the last one began; a sixteenth in the end.
    let expected = 4.0 * (1.0_f64 / 16.0).powf(19.0 / 20.0);
    assert!(held.len() == 3 && held.iter().all(|found| (found - expected).abs() < 1e-6), "{held:?}, {expected}");
    // What is judged later has the temperature that training ended with.
    let found = of_run(&folder, Which::Last, Split::Valid, Path::new(NO_CACHE), Device::Cpu).unwrap().1;
    assert_eq!(found.accuracy(), folder.summary().unwrap().unwrap().valid_accuracy_last);
}

#[test]
fn two_runs_of_one_recipe_agree_to_the_last_bit_and_another_seed_does_not() {
    let weights = |overrides: &[&str]| {
        let (root, folder) = trained(overrides);
        let weights = load_tensors(&checkpoint::last(&folder.checkpoints())).unwrap().tensors;
        drop(root);
        weights
    };
    let (one, two, other) = (weights(&[]), weights(&["data.workers=2", "data.prefetch=1"]), weights(&["train.seed=2"]));
    for (name, tensor) in &one {
        assert!(tensor.equal(&two[name]), "{name}");
    }
    assert!(one.iter().any(|(name, tensor)| !tensor.equal(&other[name])));
}

#[test]
fn every_kind_of_model_and_optimiser_trains() {
    for overrides in [
        &["model.name=base_cnn_w4", "optimiser.name=sgd", "optimiser.lr=0.05", "train.clip_norm=1.0"][..],
        &["model.name=base_cnn_w4_e2", "train.label_smoothing=0.1"],
        &["model.name=base_cnn_w4_x2_cp", "train.precision=bf16"],
        &["model.name=base_cnn_w4_x2_cc", "routing_loss.balance=0.1", "train.accumulate=3"],
    ] {
        let (_root, folder) = trained(overrides);
        let rows = read_rows(&folder.metrics()).unwrap();
        let (first, second) = (rows[0].get("train/loss").unwrap(), rows[1].get("train/loss").unwrap());
        assert!(second < first, "{overrides:?}: the loss went from {first} to {second}");
    }
}

#[test]
fn a_step_over_several_batches_counts_them() {
    // 10 batches of 32 in steps of 4: 4 + 4 + 2, so three steps an epoch.
    let (_root, folder) = trained(&["train.accumulate=4"]);
    assert_eq!(folder.summary().unwrap().unwrap().steps, 2 * 3);
}

#[test]
fn bad_requests_are_refused_before_anything_is_written() {
    let cases: &[(&[&str], &str)] = &[
        (&["model.name=base_cn"], "there is no model `base_cn`"),
        (&["data.name=digit"], "unknown data set `digit`"),
        (&["data.name=mnist"], "`mnist` is not downloaded"),
        (&["data.holdout=1437"], "cannot hold out 1437 of the 1437 images"),
        (&["model.name=base_cnn_w4", "routing_loss.balance=0.1"], "balance loss needs routes, and the trace is empty"),
        (&["model.routing.positions=[\"stage9\"]"], "has no routing position `stage9`"),
        (&["data.augment.pad=8"], "augment.pad is 8"),
    ];
    for (overrides, expected) in cases {
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("run");
        let message = train(&recipe(overrides), &out).unwrap_err().to_string();
        assert!(message.contains(expected) && !message.contains('\n'), "{overrides:?}: {message}");
        assert!(!out.exists(), "{overrides:?} wrote something");
    }
}

/// Asks the run to stop once `step` steps are done, and counts checkpoints.
struct StopAfter<'s> {
    step: u64,
    stop: &'s AtomicBool,
}

impl Observer for StopAfter<'_> {
    fn observe(&mut self, event: &Event<'_>) -> Result<(), Error> {
        if let Event::Step(position) = event
            && position.step == self.step
        {
            self.stop.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[test]
fn a_run_that_was_asked_to_stop_goes_on_as_if_it_never_had() {
    // Ten steps an epoch: in the middle of the first, after its last step (before the evaluation), and of the second.
    // AdamW and SGD, augmentation, mixed batches, an interval that a checkpoint cuts, several batches a step.
    let recipes = [
        recipe(&[
            "train.log_every=7",
            "data.augment.pad=1",
            "train.mixup=0.2",
            "train.cutmix=1",
            "train.checkpoint_every=4",
        ]),
        recipe(&["optimiser.name=sgd", "optimiser.lr=0.05", "train.log_every=3", "train.accumulate=2"]),
        // What an epoch leaves decides the next rates, and the averages take note of every step.
        recipe(&[
            "optimiser.name=rmsprop",
            "optimiser.lr=0.001",
            "optimiser.momentum=0.9",
            "optimiser.max_norm=1",
            "schedule.name=plateau",
            "schedule.patience=0",
            "schedule.threshold=1",
            "train.ema.decay=0.9",
        ]),
    ];
    for recipe in &recipes {
        let root = tempfile::tempdir().unwrap();
        let whole = train(recipe, &root.path().join("whole")).unwrap().folder;
        let per_epoch = 10 / recipe.train.accumulate as u64;
        for step in [3, per_epoch, per_epoch + 2] {
            let out = root.path().join(format!("stopped-{step}"));
            let run = |start, stop: &AtomicBool| {
                let mut observer = StopAfter { step, stop };
                run::train(recipe, &out, start, Path::new(NO_CACHE), &mut observer, stop).unwrap()
            };
            assert!(!run(Start::New, &AtomicBool::new(false)).complete);
            let resumed = run(Start::Resume, &AtomicBool::new(false));
            assert!(resumed.complete, "stopped after step {step}");
            assert_same_run(&whole, &resumed.folder);
        }
    }
}

/// All losses, all tensors of the checkpoint and all metrics but times.
#[track_caller]
fn assert_same_run(one: &RunFolder, other: &RunFolder) {
    let losses = |folder: &RunFolder| -> Vec<String> {
        let events = std::fs::read_to_string(folder.events()).unwrap();
        let events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let steps = events.filter(|event| event["event"] == "step");
        steps.map(|event| format!("{} {} {}", event["step"], event["train/losses"], event["train/accuracy"])).collect()
    };
    assert_eq!(losses(one), losses(other));

    let metrics = |folder: &RunFolder| {
        let mut rows = read_rows(&folder.metrics()).unwrap();
        rows.iter_mut().for_each(|row| row.metrics.retain(|(name, _)| !name.contains("second")));
        rows
    };
    assert_eq!(metrics(one), metrics(other));

    let tensors = |folder: &RunFolder| load_tensors(&checkpoint::last(&folder.checkpoints())).unwrap().tensors;
    let (one, other) = (tensors(one), tensors(other));
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, tensor) in &one {
        assert!(tensor.equal(&other[name]), "{name} differs");
    }
}

#[test]
fn a_complete_run_is_resumed_without_a_change() {
    let (_root, folder) = trained(&[]);
    let before = std::fs::read(folder.metrics()).unwrap();
    let recipe = folder.recipe().unwrap();
    let stop = AtomicBool::new(false);
    let again = run::train(&recipe, folder.path(), Start::Resume, Path::new(NO_CACHE), &mut (), &stop).unwrap();
    assert!(again.complete);
    assert_eq!(std::fs::read(folder.metrics()).unwrap(), before);
}

#[test]
fn a_run_that_diverges_names_the_step_and_keeps_the_checkpoint_before_it() {
    // Epochs of ten steps; from step 6 on (counted from 1) the rate is far beyond float32, so the sixth step ruins the
    // weights, and the seventh loss is the first to show it.
    let ruin = ["optimiser.name=sgd", "schedule.name=step", "schedule.milestones=[0.5]", "schedule.gamma=1e300"];
    for (every, expected, kept) in [("1", "step 6: a weight is no finite number", 5), ("4", "step 7: the loss is", 4)] {
        let every = format!("train.checkpoint_every={every}");
        let overrides: Vec<&str> = ruin.iter().copied().chain(["schedule.warmup_epochs=0", every.as_str()]).collect();
        let root = tempfile::tempdir().unwrap();
        let out = root.path().join("run");
        let message = train(&recipe(&overrides), &out).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");

        let folder = RunFolder::open(&out).unwrap();
        let kept_at = checkpoint::Checkpoint::load(&checkpoint::last(&folder.checkpoints())).unwrap();
        assert_eq!(kept_at.header.position.step, kept);
    }
}
