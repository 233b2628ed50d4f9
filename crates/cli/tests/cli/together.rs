//! Several processes at once, and what killed ones leave: one writer for a run folder, a name for each run.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// A run that goes on until it is ended.
struct Endless(Child);

impl Endless {
    /// Starts it in `folder/run` and waits until it trains.
    fn start(folder: &Path) -> Self {
        let endless = ["--set", "train.epochs=1000000", "--set", "train.threads=1", "--set", "data.workers=1"];
        let mut command = mp_train(folder, &[&["train", "--out", "run"], &SMALL[..], &endless].concat());
        let child = Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let start = Instant::now();
        while !folder.join("run/checkpoints/last.safetensors").exists() {
            assert!(start.elapsed() < Duration::from_secs(60), "no checkpoint in a minute");
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A small version of `tries` in `soak.rs`.
#[test]
fn a_second_writer_is_refused_and_told_who_the_first_is() {
    let folder = tempfile::tempdir().unwrap();
    let first = Endless::start(folder.path());
    let expected = format!("run: process {} on ", first.0.id());
    for _ in 0..2 {
        let error = refused(mp_train(folder.path(), &["train", "--resume", "--out", "run"]));
        assert!(error.contains(&expected) && error.contains("is training there"), "{error}");
    }
    let error = refused(mp_train(folder.path(), &[&["train", "--auto-resume", "--out", "run"], &SMALL[..]].concat()));
    assert!(error.contains(&expected), "{error}");
    let error = refused(mp_train(folder.path(), &[&["train", "--out", "run"], &SMALL[..]].concat()));
    assert!(error.contains("already holds a run"), "{error}");
    // Readers are welcome.
    succeed(mp_train(folder.path(), &["eval", "run"]));

    // The system lets go of the lock of a process that is killed.
    drop(first);
    let stop = mp_train(folder.path(), &["train", "--resume", "--out", "run"]).stderr(Stdio::null()).spawn().unwrap();
    let resumed = Endless(stop);
    let lock = || fs::read_to_string(folder.path().join("run/.lock")).unwrap_or_default();
    let start = Instant::now();
    while !lock().contains(&format!("process {} on", resumed.0.id())) {
        assert!(start.elapsed() < Duration::from_secs(60), "the lock is not taken in a minute: {}", lock());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn of_two_starts_in_one_folder_one_trains() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut command = mp_train(folder.path(), &[&["train", "--out", "run"], &SMALL[..]].concat());
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [start(), start()].map(|child| child.wait_with_output().unwrap());
    let mut codes = both.each_ref().map(|output| output.status.code());
    codes.sort();
    assert_eq!(codes, [Some(0), Some(2)]);
    let error = both.iter().find(|output| !output.status.success()).map(stderr).unwrap();
    assert!(error.contains("already holds a run") || error.contains("is training there"), "{error}");
    assert!(!folder.path().join("run/.lock").exists());
}

#[test]
fn runs_that_start_at_once_without_a_place_each_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let start = |seed: u8| {
        let seed = format!("train.seed={seed}");
        let mut command = mp_train(folder.path(), &[&["train"], &SMALL[..], &["--set", &seed]].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    for output in [1, 2, 3, 4].map(start).map(|child| child.wait_with_output().unwrap()) {
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let mut names: Vec<String> = fs::read_dir(folder.path().join("runs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let name = "base_cnn_w4_x2_cc-digits";
    assert_eq!(names, [name.to_owned(), format!("{name}-2"), format!("{name}-3"), format!("{name}-4")]);

    // Without the second, the fourth is still the latest, and the next is the fifth.
    fs::remove_dir_all(folder.path().join("runs").join(format!("{name}-2"))).unwrap();
    let shown = succeed(mp_train(folder.path(), &[&["train"], &SMALL[..]].concat()));
    assert!(shown.contains(&format!("{name}-5\n")), "{shown}");
    let shown = succeed(mp_train(folder.path(), &[&["train", "--resume"], &SMALL[..]].concat()));
    assert!(shown.contains(&format!("{name}-5\n")), "{shown}");
}

#[test]
fn what_a_start_leaves_that_was_killed_is_a_place_for_the_next() {
    let left: [&[&str]; 3] = [&["checkpoints/"], &[".lock", "checkpoints/"], &["checkpoints/", ".recipe.toml.writing"]];
    for names in left {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        for name in names {
            match name.strip_suffix('/') {
                Some(name) => fs::create_dir(run.join(name)).unwrap(),
                None => fs::write(run.join(name), "process 1 on a host that is gone").unwrap(),
            }
        }
        let error = refused(mp_train(folder.path(), &["train", "--resume", "--out", "run"]));
        assert!(error.contains("holds no run: recipe.toml is missing"), "{error}");
        train_small(folder.path(), "run");
        assert!(!run.join(".lock").exists() && !run.join(".recipe.toml.writing").exists());
    }
}
