//! The binary as its users meet it: each test runs `mp-train` as a process of its own.

mod compare;
mod data;
mod doctor;
mod figures;
mod goes_on;
mod help;
mod judge;
mod messages;
mod numbers;
mod outputs;
mod pictures;
mod predict;
mod refusals;
mod run;
mod splits;
mod threads;
mod together;
mod weights;

use std::path::Path;
use std::process::{Command, Output};

/// `mp-train` with these arguments, in `folder`, with no data set but the embedded one.
fn mp_train(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mp-train"));
    command.args(arguments).current_dir(folder);
    command.env("MULTIPATH_DATA", folder.join("no-data")).env_remove("RUST_BACKTRACE");
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command that must succeed; returns its standard output.
#[track_caller]
fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?} ended with {}: {}", output.status, stderr(&output));
    stdout(&output)
}

/// Runs a command that must be refused: exit code 2 and exactly one line, which it returns.
#[track_caller]
fn refused(mut command: Command) -> String {
    let output = command.output().unwrap();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{command:?}: {error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("mp-train: error: ") && !error.contains("panicked"), "{error}");
    assert_eq!(stdout(&output), "");
    error
}

/// The small routed network and the few steps that these tests train.
const SMALL: [&str; 12] = [
    "--model",
    "base_cnn_w4_x2_cc",
    "--data",
    "digits",
    "--set",
    "train.epochs=1",
    "--set",
    "data.limit=96",
    "--set",
    "train.batch_size=32",
    "--set",
    "train.log_every=1",
];

/// Trains [`SMALL`] into `folder/name`.
#[track_caller]
fn train_small(folder: &Path, name: &str) -> String {
    succeed(mp_train(folder, &[&["train", "--out", name], &SMALL[..]].concat()))
}
