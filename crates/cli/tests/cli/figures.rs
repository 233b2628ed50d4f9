//! Numbers that leave the finite ones: a run can read its own files, whatever they say.

use std::fs;

use mp_nn::{load_tensors, save_tensors};
use serde_json::Value;

use super::*;

const TRAIN: [&str; 6] = ["--model", "base_cnn_w4", "--set", "train.log_every=1", "--set", "data.limit=64"];

/// Changes tensors of a checkpoint.
fn spoil(path: &Path, change: impl Fn(&str, &mut tch::Tensor)) {
    let mut file = load_tensors(path).unwrap();
    file.tensors.iter_mut().for_each(|(name, tensor)| change(name, tensor));
    save_tensors(path, &file.tensors.into_iter().collect::<Vec<_>>(), file.metadata).unwrap();
}

#[test]
fn a_loss_without_bounds_is_shown_and_written() {
    let folder = tempfile::tempdir().unwrap();
    succeed(mp_train(
        folder.path(),
        &[&["train", "digits", "--out", "run", "--set", "train.epochs=1"], &TRAIN[..]].concat(),
    ));
    let last = folder.path().join("run/checkpoints/last.safetensors");
    // Logits of some 10^38, whose differences are no float32.
    spoil(&last, |name, tensor| {
        if name.ends_with("fc.weight") {
            let _ = tensor.g_mul_scalar_(1e38);
        }
    });
    let found: Value = serde_json::from_str(&succeed(mp_train(folder.path(), &["eval", "run", "--json"]))).unwrap();
    assert!(["inf", "nan"].contains(&found["loss"].as_str().unwrap_or("a number")), "{found}");
    let shown = succeed(mp_train(folder.path(), &["eval", "run"]));
    assert!(shown.contains("loss inf") || shown.contains("loss NaN"), "{shown}");
}

#[test]
fn a_validation_loss_that_is_no_number_is_divergence_and_the_checkpoint_before_it_stays() {
    let folder = tempfile::tempdir().unwrap();
    let train = [
        &["train", "digits", "--out", "run", "--set", "train.epochs=2", "--set", "train.checkpoint_every=1"],
        &TRAIN[..],
    ]
    .concat();
    succeed(mp_train(folder.path(), &train));
    // One step before the end, with means that only evaluation uses.
    let last = folder.path().join("run/checkpoints/last.safetensors");
    let mut file = load_tensors(&last).unwrap();
    let mut header: Value = serde_json::from_str(&file.metadata["multipath"]).unwrap();
    let step = header["position"]["step"].as_u64().unwrap();
    header["position"] = serde_json::json!({ "epoch": 1, "step_in_epoch": step / 2 - 1, "step": step - 1 });
    file.metadata.insert("multipath".to_owned(), header.to_string());
    save_tensors(&last, &file.tensors.into_iter().collect::<Vec<_>>(), file.metadata).unwrap();
    spoil(&last, |name, tensor| {
        if name.ends_with("running_mean") {
            let _ = tensor.fill_(-3e38);
        }
        if name.ends_with("running_var") {
            let _ = tensor.fill_(0.0);
        }
    });
    let before = fs::read(&last).unwrap();
    let output = mp_train(folder.path(), &["train", "--resume", "--from", "last", "--out", "run"]).output().unwrap();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.lines().last().unwrap().contains(&format!("diverged at step {step}: the validation loss is ")),
        "{error}"
    );
    assert_eq!(fs::read(&last).unwrap(), before);
}

#[test]
fn a_routing_loss_of_a_milliard_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    for weight in ["1e9", "1e30"] {
        let weight = format!("routing_loss.importance={weight}");
        let run = ["train", "--out", "run", "--set", &weight, "--set", "train.clip_norm=1e-3"];
        let output = mp_train(folder.path(), &[&run, &SMALL[..]].concat()).output().unwrap();
        let error = stderr(&output);
        match output.status.code() {
            Some(0) => assert!(folder.path().join("run/report.html").exists()),
            Some(1) => assert!(error.contains("training diverged"), "{error}"),
            _ => panic!("{error}"),
        }
        assert!(!error.contains("internal error") && !error.contains("invalid type"), "{error}");
        fs::remove_dir_all(folder.path().join("run")).unwrap();
    }
}
