//! The process itself: killed, interrupted, and out of disk space.
#![cfg(unix)]

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mp_nn::load_tensors;
use mp_train::checkpoint::{self, Checkpoint};
use mp_train::metrics::{Row, read_rows};
use serde_json::Value;

const SIGINT: i32 = 2;
const SIGKILL: i32 = 9;

/// Steps of an epoch under [`SETTINGS`]: 600 images in batches of 4.
const PER_EPOCH: u64 = 150;

/// Three epochs, reported and saved often.
const SETTINGS: [&str; 8] = [
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
const SMALL: [&str; 2] = ["--model", "base_cnn_w2_x2_cc"];

/// The same, continued.
const RESUME: [&str; 3] = ["--model", "base_cnn_w2_x2_cc", "--resume"];

fn train(out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mp-train"));
    command.args(["train", "digits", "--out"]).arg(out);
    for setting in SETTINGS {
        command.args(["--set", setting]);
    }
    command.args(more).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Waits until the run has reported step `step`, then sends it a signal and returns how it ended.
fn signal_after(mut child: Child, out: &Path, step: u64, signal: i32) -> Output {
    let start = Instant::now();
    while steps(out).last().is_none_or(|last| last["step"].as_u64() < Some(step)) {
        assert!(child.try_wait().unwrap().is_none(), "the run ended before step {step}");
        assert!(start.elapsed() < Duration::from_secs(120), "step {step} was not reached in two minutes");
        std::thread::sleep(Duration::from_millis(2));
    }
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(child.id().to_string()).status().unwrap();
    assert!(sent.success());
    child.wait_with_output().unwrap()
}

/// The reports of single steps; a line that is being written is left out.
fn steps(out: &Path) -> Vec<Value> {
    let text = fs::read_to_string(out.join("events.jsonl")).unwrap_or_default();
    let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == "step").collect()
}

fn losses(out: &Path) -> Vec<(u64, String)> {
    steps(out).iter().map(|event| (event["step"].as_u64().unwrap(), event["train/losses"].to_string())).collect()
}

fn rows_without_times(out: &Path) -> Vec<Row> {
    let mut rows = read_rows(&out.join("metrics.csv")).unwrap();
    rows.iter_mut().for_each(|row| row.metrics.retain(|(name, _)| !name.contains("second")));
    rows
}

fn last(out: &Path) -> PathBuf {
    checkpoint::last(&out.join("checkpoints"))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn assert_done(output: &Output) {
    assert!(output.status.success(), "{:?}: {}", output.status, stderr(output));
}

/// Every loss to its last digit, every metric but times, every tensor of the last checkpoint.
#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    assert_eq!(losses(one), losses(other));
    assert_eq!(rows_without_times(one), rows_without_times(other));
    let (one, other) = (load_tensors(&last(one)).unwrap().tensors, load_tensors(&last(other)).unwrap().tensors);
    for (name, tensor) in &one {
        assert!(tensor.equal(&other[name]), "{name} differs");
    }
}

#[test]
fn a_run_killed_in_the_middle_of_an_epoch_resumes_as_if_it_had_never_stopped() {
    let root = tempfile::tempdir().unwrap();
    let (whole, killed) = (root.path().join("whole"), root.path().join("killed"));
    assert_done(&train(&whole, &SMALL).output().unwrap());
    assert_eq!(losses(&whole).len() as u64, 3 * PER_EPOCH);

    let output = signal_after(train(&killed, &SMALL).spawn().unwrap(), &killed, PER_EPOCH + 20, SIGKILL);
    assert_eq!(output.status.signal(), Some(SIGKILL));
    let position = Checkpoint::load(&last(&killed)).unwrap().header.position;
    assert!(position.epoch == 1 && position.step_in_epoch > 0, "not in the middle of an epoch: {position:?}");
    let reported = losses(&killed).last().unwrap().0;
    // Mostly some steps are lost; not if the signal comes just after a checkpoint.
    assert!(reported >= position.step, "step {reported} was reported, {position:?} saved");

    assert_done(&train(&killed, &RESUME).output().unwrap());
    assert_same(&whole, &killed);
    assert_eq!(names(&killed.join("checkpoints")), ["best.safetensors", "last.safetensors"]);
}

/// Writes 400 training and 4 test images of noise, 32x32, of two classes, as IDX files.
fn write_noise(folder: &Path) -> String {
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

#[test]
fn dropout_draws_the_same_masks_after_a_stop() {
    let root = tempfile::tempdir().unwrap();
    let data = write_noise(&root.path().join("noise"));
    // 100 steps an epoch of a network with dropout, which digits are too small for.
    let vgg = ["--model", "vgg13_w2", "--data", &data, "--set", "data.limit=0", "--set", "train.epochs=2"];
    let (whole, stopped) = (root.path().join("whole"), root.path().join("stopped"));
    assert_done(&train(&whole, &vgg).output().unwrap());
    let output = signal_after(train(&stopped, &vgg).spawn().unwrap(), &stopped, 20, SIGINT);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_done(&train(&stopped, &[&vgg[..], &["--resume"]].concat()).output().unwrap());
    assert_same(&whole, &stopped);
}

#[test]
fn an_interrupted_run_is_saved_and_a_full_disk_does_not_harm_it() {
    let root = tempfile::tempdir().unwrap();
    let (whole, run) = (root.path().join("whole"), root.path().join("run"));
    assert_done(&train(&whole, &SMALL).output().unwrap());

    let output = signal_after(train(&run, &SMALL).spawn().unwrap(), &run, 30, SIGINT);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    let saved = Checkpoint::load(&last(&run)).unwrap().header.position.step;
    assert_eq!(losses(&run).last().unwrap().0, saved, "the last step taken is the one saved");
    assert!(!stderr(&output).contains("error"), "{}", stderr(&output));

    // A limit on the size of files stands in for a full disk: writing fails in the middle of the checkpoint.
    let before = fs::read(last(&run)).unwrap();
    let limit = before.len() / 512 / 2;
    let resume = train(&run, &RESUME);
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\""));
    limited.arg(resume.get_program()).args(resume.get_args());
    let output = limited.output().unwrap();
    let message = stderr(&output);
    let errors: Vec<&str> = message.lines().filter(|line| line.contains("error")).collect();
    assert_eq!(output.status.code(), Some(2), "{message}");
    assert!(errors.len() == 1 && errors[0].starts_with("mp-train: error: cannot write"), "{message}");
    assert!(errors[0].contains("last.safetensors"), "{message}");
    assert_eq!(fs::read(last(&run)).unwrap(), before, "the old checkpoint is as it was");
    assert_eq!(names(&run.join("checkpoints")), ["last.safetensors"], "no half-written file is left");

    assert_done(&train(&run, &RESUME).output().unwrap());
    assert_same(&whole, &run);
}

#[test]
fn a_run_that_diverges_ends_with_one_line_and_code_1() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let sets = ["optimiser.name=sgd", "schedule.name=step", "schedule.milestones=[0.1]", "schedule.gamma=1e300"];
    let sets = sets.iter().chain(&["schedule.warmup_epochs=0"]).flat_map(|set| ["--set", set]);
    let output = train(&out, &SMALL.into_iter().chain(sets).collect::<Vec<_>>()).output().unwrap();
    let message = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    let errors: Vec<&str> = message.lines().filter(|line| line.starts_with("mp-train: error: ")).collect();
    // A tenth of 150 steps is 15: step 16 ruins the weights, step 17 is the first to show it in its loss.
    assert!(errors.len() == 1 && errors[0].contains("training diverged at step 17: the loss is"), "{message}");
    assert_eq!(Checkpoint::load(&last(&out)).unwrap().header.position.step, 14);
}
