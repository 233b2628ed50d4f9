//! Runs as processes of their own: started, sent signals, and compared.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mp_nn::load_tensors;
use mp_train::checkpoint;
use mp_train::watch::{Row, read_rows};
use serde_json::Value;

pub(crate) const SIGHUP: i32 = 1;
pub(crate) const SIGINT: i32 = 2;
pub(crate) const SIGKILL: i32 = 9;
pub(crate) const SIGUSR1: i32 = 10;
pub(crate) const SIGTERM: i32 = 15;
pub(crate) const SIGCONT: i32 = 18;
pub(crate) const SIGSTOP: i32 = 19;

/// Steps of an epoch under [`SETTINGS`]: 600 images in batches of 4.
pub(crate) const PER_EPOCH: u64 = 150;

/// Three epochs, reported and saved often.
pub(crate) const SETTINGS: [&str; 8] = [
    "data.limit=600",
    "data.workers=1",
    "data.augment.pad=1",
    "train.epochs=3",
    "train.batch_size=4",
    "train.threads=1",
    "train.log_every=1",
    "train.checkpoint_every=7",
];

/// A network so small that a step takes about a millisecond.
pub(crate) const SMALL: [&str; 2] = ["--model", "base_cnn_w2_x2_cc"];

/// The same, continued.
pub(crate) const RESUME: [&str; 3] = ["--model", "base_cnn_w2_x2_cc", "--resume"];

pub(crate) fn train(out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mp-train"));
    command.args(["train", "digits", "--out"]).arg(out);
    for setting in SETTINGS {
        command.args(["--set", setting]);
    }
    command.args(more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Waits until the run has reported step `step`, then sends it a signal and returns how it ended.
pub(crate) fn signal_after(mut child: Child, out: &Path, step: u64, signal: i32) -> Output {
    wait_for(&mut child, out, step);
    send(&child, signal);
    child.wait_with_output().unwrap()
}

/// Waits until the run has reported step `step`.
pub(crate) fn wait_for(child: &mut Child, out: &Path, step: u64) {
    let start = Instant::now();
    while steps(out).last().is_none_or(|last| last["step"].as_u64() < Some(step)) {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before step {step}");
        assert!(start.elapsed() < Duration::from_secs(120), "step {step} was not reached in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn send(child: &Child, signal: i32) {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
}

/// The reports of single steps; a line that is being written is left out.
pub(crate) fn steps(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("events.jsonl")).unwrap_or_default();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == "step").collect()
}

pub(crate) fn losses(out: &Path) -> Vec<(u64, String)> {
    steps(out).iter().map(|event| (event["step"].as_u64().unwrap(), event["train/losses"].to_string())).collect()
}

pub(crate) fn rows_without_times(out: &Path) -> Vec<Row> {
    let mut rows = read_rows(&out.join("metrics.csv")).unwrap();
    rows.iter_mut().for_each(|row| row.metrics.retain(|(name, _)| !name.contains("second")));
    rows
}

pub(crate) fn last(out: &Path) -> PathBuf {
    checkpoint::last(&out.join("checkpoints"))
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The names of all files of a run.
pub(crate) fn all_names(out: &Path) -> Vec<String> {
    [names(out), names(&out.join("checkpoints"))].concat()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
pub(crate) fn assert_done(output: &Output) {
    assert!(output.status.success(), "{:?}: {}", output.status, stderr(output));
}

/// Every loss to its last digit, every metric but times, every tensor of the last checkpoint.
#[track_caller]
pub(crate) fn assert_same(one: &Path, other: &Path) {
    assert_eq!(losses(one), losses(other));
    assert_eq!(rows_without_times(one), rows_without_times(other));
    let (one, other) = (load_tensors(&last(one)).unwrap().tensors, load_tensors(&last(other)).unwrap().tensors);
    for (name, tensor) in &one {
        assert!(tensor.equal(&other[name]), "{name} differs");
    }
}

/// Writes 400 training and 4 test images of noise, 32x32, of two classes, as IDX files.
pub(crate) fn write_noise(folder: &Path) -> String {
    fs::create_dir(folder).unwrap();
    for (split, count) in [("train", 400_u32), ("t10k", 4)] {
        let sizes: Vec<u8> = [count, 32, 32].iter().flat_map(|size| size.to_be_bytes()).collect();
        let pixels = (0..count * 32 * 32).map(|k| (k.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<u8>>();
        let images = [&[0, 0, 8, 3], sizes.as_slice(), &pixels].concat();
        let labels = [&[0, 0, 8, 1], &sizes[..4], &(0..count).map(|k| (k % 2) as u8).collect::<Vec<u8>>()].concat();
        fs::write(folder.join(format!("{split}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{split}-labels-idx1-ubyte")), labels).unwrap();
    }
    folder.display().to_string()
}
