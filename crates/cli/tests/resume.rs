//! The process itself: killed, interrupted, and out of disk space.
#![cfg(unix)]

mod process;

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use mp_train::checkpoint::Checkpoint;
use process::*;

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

#[test]
fn a_run_that_freezes_and_has_rates_of_its_own_resumes_as_if_it_had_never_stopped() {
    let root = tempfile::tempdir().unwrap();
    let settings = [
        "finetune.freeze=[\"stage1\", \"*.bn1.weight\"]",
        "finetune.rates={\"head.*\" = 4.0}",
        "finetune.decay_by_depth=0.5",
        "finetune.no_decay=[\"*.gate\"]",
        "model.routing.mixer.input=standardised",
        "model.routing.mixer.final_temperature=0.25",
        "optimiser.name=adamw",
        "train.epochs=2",
    ];
    let tuned = [&SMALL[..], &settings.map(|setting| ["--set", setting]).concat()].concat();
    let (whole, killed) = (root.path().join("whole"), root.path().join("killed"));
    assert_done(&train(&whole, &tuned).output().unwrap());
    let output = signal_after(train(&killed, &tuned).spawn().unwrap(), &killed, PER_EPOCH + 20, SIGKILL);
    assert_eq!(output.status.signal(), Some(SIGKILL));
    assert_done(&train(&killed, &[&tuned[..], &["--resume"]].concat()).output().unwrap());
    assert_same(&whole, &killed);
}

#[test]
fn dropout_draws_the_same_masks_after_a_stop() {
    let root = tempfile::tempdir().unwrap();
    let data = write_noise(&root.path().join("noise"));
    // 100 steps an epoch of a network with dropout, which digits are too small for.
    let vgg =
        ["--model", "vgg13_unbiased_cifar_w2", "--data", &data, "--set", "data.limit=0", "--set", "train.epochs=2"];
    let (whole, stopped) = (root.path().join("whole"), root.path().join("stopped"));
    assert_done(&train(&whole, &vgg).output().unwrap());
    let output = signal_after(train(&stopped, &vgg).spawn().unwrap(), &stopped, 20, SIGINT);
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert_done(&train(&stopped, &[&vgg[..], &["--resume"]].concat()).output().unwrap());
    assert_same(&whole, &stopped);
}

#[test]
fn whatever_is_dropped_at_random_is_the_same_after_a_kill() {
    let root = tempfile::tempdir().unwrap();
    let sets = ["model.drop_path=0.3", "model.dropout=0.2", "model.drop_block=0.1", "data.size=16", "train.epochs=1"];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    let resnest = [&["--model", "resnest20_cifar_w4"], &sets[..]].concat();
    let (whole, killed) = (root.path().join("whole"), root.path().join("killed"));
    assert_done(&train(&whole, &resnest).output().unwrap());
    let output = signal_after(train(&killed, &resnest).spawn().unwrap(), &killed, 20, SIGKILL);
    assert_eq!(output.status.signal(), Some(SIGKILL));
    assert_done(&train(&killed, &[&resnest[..], &["--resume"]].concat()).output().unwrap());
    assert_same(&whole, &killed);
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

#[test]
fn every_signal_that_asks_saves_the_run_and_is_named_by_the_exit_code() {
    let root = tempfile::tempdir().unwrap();
    for signal in [SIGTERM, SIGHUP, SIGUSR1] {
        let out = root.path().join(signal.to_string());
        let output = signal_after(train(&out, &SMALL).spawn().unwrap(), &out, 10, signal);
        assert_eq!(output.status.code(), Some(128 + signal), "{}", stderr(&output));
        let saved = Checkpoint::load(&last(&out)).unwrap().header.position.step;
        assert_eq!(losses(&out).last().unwrap().0, saved, "signal {signal}: the last step taken is the one saved");
        assert!(stderr(&output).ends_with(&format!("mp-train train --resume --out {}\n", out.display())));
    }
}

#[test]
fn a_closed_terminal_and_a_warning_ask_as_often_as_they_like_and_a_second_wish_to_end_is_obeyed_at_once() {
    let root = tempfile::tempdir().unwrap();
    // All are delivered before the run takes another step.
    let end = |name: &str, signals: &[i32]| {
        let out = root.path().join(name);
        let mut child = train(&out, &[&SMALL[..], &["--set", "train.checkpoint_every=0"]].concat()).spawn().unwrap();
        wait_for(&mut child, &out, 10);
        send(&child, SIGSTOP);
        signals.iter().for_each(|signal| send(&child, *signal));
        send(&child, SIGCONT);
        let code = child.wait_with_output().unwrap().status.code().unwrap();
        assert!(signals.iter().any(|signal| code == 128 + signal), "{name}: {code}");
        last(&out).exists()
    };
    assert!(end("closed", &[SIGHUP, SIGUSR1, SIGTERM]), "three signals, of which one wants an end: saved");
    assert!(!end("twice", &[SIGINT, SIGTERM]), "two that want an end: not saved");
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let run = train(&out, &SMALL);
    // As nohup does with the first, and a script with the second for what it puts into the background.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP INT; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_for(&mut child, &out, 5);
    send(&child, SIGHUP);
    send(&child, SIGINT);
    let output = signal_after(child, &out, 40, SIGTERM);
    assert_eq!(output.status.code(), Some(128 + SIGTERM), "{}", stderr(&output));
}

/// A small version of `kills` in `soak.rs`.
#[test]
fn a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been_and_leaves_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let (whole, killed) = (root.path().join("whole"), root.path().join("killed"));
    assert_done(&train(&whole, &SMALL).output().unwrap());
    let auto = [&SMALL[..], &["--auto-resume"]].concat();
    for step in [1, 13, PER_EPOCH - 1, PER_EPOCH + 1, 2 * PER_EPOCH] {
        let output = signal_after(train(&killed, &auto).spawn().unwrap(), &killed, step, SIGKILL);
        assert_eq!(output.status.signal(), Some(SIGKILL));
        fs::write(killed.join("checkpoints/.tmpAb3xYz"), "left by an earlier version").unwrap();
        fs::write(killed.join(".recipe.toml.writing"), "left by a kill").unwrap();
    }
    assert_done(&train(&killed, &auto).output().unwrap());
    assert_same(&whole, &killed);
    assert_eq!(all_names(&killed), all_names(&whole));
}
