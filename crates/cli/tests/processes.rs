//! Several processes that train one network, over loopback.
#![cfg(unix)]

mod process;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mp_train::RunFolder;
use mp_train::checkpoint::Checkpoint;
use process::*;

/// A small network whose norms take the statistics of all processes.
const TRAIN: [&str; 12] = [
    "train",
    "digits",
    "--model",
    "base_cnn_w4_x2_cc",
    "--set",
    "data.limit=256",
    "--set",
    "train.epochs=2",
    "--set",
    "train.batch_size=32",
    "--set",
    "train.sync_batch_norm=true",
];

fn mp_train() -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("mp-train"));
    // Threads and places are this test's to choose.
    for name in ["RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"] {
        command.env_remove(name);
    }
    command.env("OMP_NUM_THREADS", "1").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn launch(count: usize, options: &[&str], out: &Path, more: &[&str]) -> Command {
    let mut command = mp_train();
    command.args(["launch", "--processes", &count.to_string()]).args(options).arg("--");
    command.args(TRAIN).arg("--out").arg(out).args(more);
    command
}

fn by_itself(out: &Path, more: &[&str]) -> Command {
    let mut command = mp_train();
    command.args(TRAIN).arg("--out").arg(out).args(more);
    command
}

/// The last line of standard error, which is all there should be of a failure.
fn line(output: &Output) -> String {
    let text = stderr(output);
    let errors: Vec<&str> = text.lines().filter(|line| line.contains("error:")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    errors[0].to_owned()
}

/// The processes that `launch` started, by their ranks.
fn rank(launch: &Child, rank: usize) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", launch.id())).ok()?;
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &u32| {
        let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        variables.split(|byte| *byte == 0).any(|variable| variable == format!("RANK={rank}").as_bytes())
    })
}

fn kill(pid: u32, signal: i32) {
    let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().unwrap();
    assert!(sent.success());
}

/// Every metric that is no time, close to the other run's.
#[track_caller]
fn assert_close(one: &Path, other: &Path, tolerance: f64) {
    let [rows, others] = [one, other].map(rows_without_times);
    assert_eq!(rows.len(), others.len());
    for (row, other) in rows.iter().zip(&others) {
        assert_eq!((row.epoch, row.step), (other.epoch, other.step));
        for ((name, value), (_, expected)) in row.metrics.iter().zip(&other.metrics) {
            assert!((value - expected).abs() <= tolerance * expected.abs().max(1.0), "{name}: {value}, {expected}");
        }
    }
}

/// Trains with two processes and by itself; what they report must agree.
#[track_caller]
fn assert_two_do_what_one_does(more: &[&str]) {
    let root = tempfile::tempdir().unwrap();
    let (one, two) = (root.path().join("one"), root.path().join("two"));
    assert_done(&by_itself(&one, more).output().unwrap());
    assert_done(&launch(2, &[], &two, more).output().unwrap());
    assert_close(&one, &two, 2e-6);
    let summary = |out: &Path| RunFolder::open(out).unwrap().summary().unwrap().unwrap();
    let (one, two) = (summary(&one), summary(&two));
    assert_eq!((one.processes, two.processes, two.batch_size), (1, 2, 32));
    assert_eq!((one.steps, one.confused.len(), one.valid_images), (two.steps, two.confused.len(), two.valid_images));
}

#[test]
fn two_processes_learn_what_one_does() {
    assert_two_do_what_one_does(&[]);
}

#[test]
fn two_processes_learn_what_one_does_with_all_that_looks_beyond_a_batch() {
    let settings = [
        "train.accumulate=2",
        "train.clip_norm=0.5",
        "train.class_weights=\"balanced\"",
        "data.sampler=\"class_balanced\"",
        "train.ema={decay=0.9}",
        "optimiser.name=adamw",
    ];
    assert_two_do_what_one_does(&settings.map(|setting| ["--set", setting]).concat());
}

/// A rate that does not depend on how many epochs there are to be.
const CONSTANT: &str = "schedule.name=\"constant\"";

#[test]
fn any_number_of_processes_goes_on_from_a_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let (whole, parts) = (root.path().join("whole"), root.path().join("parts"));
    assert_done(&by_itself(&whole, &["--set", CONSTANT, "--set", "train.epochs=3"]).output().unwrap());
    for (count, epochs) in [(1, "train.epochs=1"), (4, "train.epochs=2"), (2, "train.epochs=3")] {
        let more = ["--set", CONSTANT, "--set", epochs, "--auto-resume"];
        assert_done(&launch(count, &[], &parts, &more).output().unwrap());
    }
    assert_close(&whole, &parts, 5e-6);
}

#[test]
fn networks_whose_images_choose_what_is_run_learn_together() {
    let root = tempfile::tempdir().unwrap();
    for recipe in ["digits-aig", "digits-skipnet"] {
        let out = root.path().join(recipe);
        let mut command = mp_train();
        command.args(["launch", "--processes", "2", "--", "train", recipe, "--set", "data.limit=128", "--out"]);
        command.arg(&out).args(["--set", "train.batch_size=32", "--set", "train.epochs=1"]);
        if recipe == "digits-skipnet" {
            // Decisions are drawn from the first step on: what one process runs, the other may not.
            command.args(["--set", "procedure.epochs=0"]);
        }
        let output = command.output().unwrap();
        assert_done(&output);
        assert!(!stderr(&output).contains("Warning"), "{}", stderr(&output));
        assert!(rows_without_times(&out)[0].get("valid/routed_multiply_adds").is_some());
    }
    let mut command = mp_train();
    command.args(["launch", "--processes", "2", "--", "train", "digits-aig", "--set", "train.sync_batch_norm=true"]);
    let output = command.arg("--out").arg(root.path().join("sync")).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(line(&output).contains("train.sync_batch_norm is true for `aig20`, expected false"), "{}", line(&output));
}

#[test]
fn only_the_first_speaks() {
    let root = tempfile::tempdir().unwrap();
    let output = launch(2, &[], &root.path().join("run"), &[]).output().unwrap();
    assert_done(&output);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.matches("report  ").count(), 1, "{text}");
}

#[test]
fn a_process_that_is_killed_ends_the_others_with_a_line() {
    let root = tempfile::tempdir().unwrap();
    for of in [0, 1] {
        let out = root.path().join(of.to_string());
        let mut child = launch(2, &[], &out, &["--set", "train.epochs=5000"]).spawn().unwrap();
        wait_for(&mut child, &out, 20);
        kill(rank(&child, of).unwrap(), SIGKILL);
        let start = Instant::now();
        let output = child.wait_with_output().unwrap();
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        assert_eq!(output.status.code(), Some(1));
        let line = line(&output);
        assert!(line.starts_with(&format!("mp-train: error: rank {of} on ")), "{line}");
        assert!(line.ends_with("was killed by signal 9"), "{line}");
    }
}

#[test]
fn a_process_that_hangs_ends_the_others_with_a_line() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let more = ["--set", "train.epochs=5000", "--timeout", "2"];
    let mut child = launch(2, &[], &out, &more).spawn().unwrap();
    wait_for(&mut child, &out, 20);
    kill(rank(&child, 1).unwrap(), SIGSTOP);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line = line(&output);
    assert!(line.starts_with("mp-train: error: rank 1 on "), "{line}");
    assert!(line.contains("is not heard of any more"), "{line}");
}

#[test]
fn a_signal_saves_the_run_of_all() {
    let root = tempfile::tempdir().unwrap();
    let (whole, stopped) = (root.path().join("whole"), root.path().join("stopped"));
    let epochs = ["--set", "train.epochs=10", "--set", "train.log_every=1"];
    assert_done(&launch(2, &[], &whole, &epochs).output().unwrap());
    let mut child = launch(2, &[], &stopped, &epochs).spawn().unwrap();
    wait_for(&mut child, &stopped, 10);
    send(&child, SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(128 + SIGTERM), "{}", stderr(&output));
    assert!(Checkpoint::load(&last(&stopped)).unwrap().header.position.step < 80);
    assert_done(&launch(2, &[], &stopped, &[&epochs[..], &["--resume"]].concat()).output().unwrap());
    assert_same(&whole, &stopped);
}

/// Kills one of two processes `times` times; what they learn must be what they learn undisturbed, to the last bit.
fn assert_restarts_are_exact(times: usize) {
    let root = tempfile::tempdir().unwrap();
    let (whole, killed) = (root.path().join("whole"), root.path().join("killed"));
    let epochs = format!("train.epochs={}", 4 * (times + 1));
    let more = ["--set", &epochs, "--set", "train.checkpoint_every=3", "--set", "train.log_every=1"];
    assert_done(&launch(2, &[], &whole, &more).output().unwrap());
    let restarts = times.to_string();
    let more = [&more[..], &["--auto-resume"]].concat();
    let mut child = launch(2, &["--restarts", &restarts], &killed, &more).spawn().unwrap();
    for time in 0..times {
        // Some steps on from where the last start began.
        wait_for(&mut child, &killed, 32 * time as u64 + 10);
        kill(rank(&child, time % 2).unwrap(), SIGKILL);
        let start = Instant::now();
        while rank(&child, time % 2).is_some_and(is_dead) {
            assert!(start.elapsed() < Duration::from_secs(60), "no start after the {time}th");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    let output = child.wait_with_output().unwrap();
    assert_done(&output);
    assert_eq!(stderr(&output).matches("starting again").count(), times);
    assert_same(&whole, &killed);
}

/// Killed, and not waited for yet.
fn is_dead(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

#[test]
fn restarts_after_kills_are_exact() {
    assert_restarts_are_exact(2);
}

#[test]
#[ignore = "a minute or two"]
fn twenty_restarts_after_kills_are_exact() {
    assert_restarts_are_exact(20);
}

/// One of two processes that nobody launched, as torchrun would start it.
fn started(rank: usize, port: u16, out: &Path, more: &[&str]) -> Command {
    let mut command = by_itself(out, more);
    let (rank, port) = (rank.to_string(), port.to_string());
    command.envs([("RANK", rank.as_str()), ("LOCAL_RANK", &rank), ("WORLD_SIZE", "2")]);
    command.envs([("MASTER_ADDR", "127.0.0.1"), ("MASTER_PORT", &port)]);
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn processes_that_disagree_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let (out, port) = (root.path().join("run"), free_port());
    let other = started(1, port, &out, &["--set", "train.seed=7"]).spawn().unwrap();
    let first = started(0, port, &out, &[]).output().unwrap();
    let other = other.wait_with_output().unwrap();
    for output in [&first, &other] {
        assert_eq!(output.status.code(), Some(2), "{}", stderr(output));
        let line = line(output);
        assert!(line.ends_with("has another recipe than rank 0: `seed = 7` in place of `seed = 1`"), "{line}");
    }
    assert!(!out.exists());
}

#[test]
fn a_process_without_its_peer_says_who_is_missing() {
    let root = tempfile::tempdir().unwrap();
    let (out, port) = (root.path().join("run"), free_port());
    let output = started(0, port, &out, &["--wait", "1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(line(&output).contains("rank 1 of 2 did not come within 1 s"), "{}", line(&output));
    let output = started(1, port, &out, &["--wait", "1"]).output().unwrap();
    let expected = format!("rank 1 found no rank 0 at 127.0.0.1:{port} within 1 s");
    assert!(line(&output).contains(&expected), "{}", line(&output));
}

#[test]
fn half_a_place_is_refused() {
    let output = mp_train().args(["train", "digits"]).env("RANK", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(line(&output).contains("RANK is set, but not WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT"));
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let root = tempfile::tempdir().unwrap();
    let output = launch(2, &["--port", &port], &root.path().join("run"), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(line(&output).contains(&format!("cannot listen on port {port}")), "{}", line(&output));
}

#[test]
fn what_cannot_be_shared_out_is_refused() {
    let root = tempfile::tempdir().unwrap();
    for (setting, expected) in [
        (
            "train.batch_size=33",
            "train.batch_size is 33, expected a multiple of 2, the processes that share a batch out",
        ),
        ("train.batch_size=512", "train.batch_size is 512, expected at most 256, the training images"),
    ] {
        let output = launch(2, &[], &root.path().join("run"), &["--set", setting]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(line(&output).contains(expected), "{}", line(&output));
    }
    for (arguments, expected) in [
        (&["launch", "--processes", "2", "--", "eval", "x"][..], "launch runs `train`, not `eval`"),
        (&["launch", "--processes", "3", "--devices", "0,1", "--", "train"], "--devices names 2 GPUs for 3 processes"),
        (&["launch", "--processes", "2", "--restarts", "1", "--", "train", "digits"], "add --auto-resume"),
    ] {
        let output = mp_train().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(line(&output).contains(expected), "{}", line(&output));
    }
}
