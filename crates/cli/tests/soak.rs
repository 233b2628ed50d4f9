//! What takes minutes: kills, second writers and flipped bits by the hundred. Small versions of each are among the other tests.
//!
//! ```sh
//! cargo nextest run -p mp-cli --test soak --run-ignored only --no-capture
//! ```
#![cfg(unix)]

mod process;

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mp_train::checkpoint::{self, Checkpoint};
use process::*;

/// Five kinds of recipe: optimisers, mixing, accumulation, dropout, bfloat16, ensembles, samplers, holdouts, intervals.
const RECIPES: [&[&str]; 5] = [
    &["model.name=base_cnn_w2_x2_cc", "train.mixup=0.2", "train.log_every=7"],
    &["model.name=base_cnn_w4", "optimiser.name=sgd", "optimiser.lr=0.05", "train.accumulate=3", "train.clip_norm=1.0"],
    &["model.name=vgg13_unbiased_cifar_w2", "data.limit=160", "train.checkpoint_every=11", "train.epochs=2"],
    &["model.name=base_cnn_w2_x2_cp", "train.precision=bf16", "train.cutmix=1.0", "train.batch_size=16"],
    &[
        "model.name=base_cnn_w2_e2",
        "data.holdout=100",
        "data.stratify=true",
        "data.sampler=class_balanced",
        "train.label_smoothing=0.1",
        "train.checkpoint_every=0",
    ],
];

fn run(recipe: &[&str], data: &str, out: &Path) -> Command {
    let mut more = vec!["--auto-resume"];
    if recipe[0].contains("vgg") {
        more.extend(["--data", data]);
    }
    more.extend(recipe.iter().flat_map(|set| ["--set", set]));
    let mut command = train(out, &more);
    command.stderr(Stdio::null());
    command
}

/// A random share of one.
fn random() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64
}

#[test]
#[ignore = "takes minutes"]
fn kills() {
    let root = tempfile::tempdir().unwrap();
    let data = write_noise(&root.path().join("noise"));
    let (mut killed, mut in_a_start) = (0, 0);
    for (number, recipe) in RECIPES.iter().enumerate() {
        let whole = root.path().join(format!("whole-{number}"));
        let start = Instant::now();
        assert!(run(recipe, &data, &whole).status().unwrap().success(), "{recipe:?}");
        let time = start.elapsed();
        let mut done = 0;
        while done < 20 {
            let out = root.path().join(format!("killed-{number}-{done}"));
            let mut child = run(recipe, &data, &out).spawn().unwrap();
            std::thread::sleep(time.mul_f64(random()));
            child.kill().unwrap();
            let status = child.wait().unwrap();
            if status.signal() == Some(SIGKILL) {
                done += 1;
                killed += 1;
                in_a_start += u32::from(!checkpoint::last(&out.join("checkpoints")).exists());
                assert!(run(recipe, &data, &out).status().unwrap().success(), "{recipe:?}");
                assert_same(&whole, &out);
                assert_eq!(all_names(&out), all_names(&whole), "{recipe:?}");
            }
            let _ = fs::remove_dir_all(&out);
        }
        println!("{done} kills, {done} equal final states, no file left over: {} ({time:.1?} a run)", recipe[0]);
    }
    println!("{killed} kills in all, {in_a_start} of them before the first checkpoint");
    assert_eq!(killed, 100);
}

#[test]
#[ignore = "takes minutes"]
fn tries() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let endless = [&SMALL[..], &["--set", "train.epochs=1000000"]].concat();
    let mut first = train(&out, &endless).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&mut first, &out, 20);
    let mut refused = 0;
    for number in 0..20 {
        std::thread::sleep(Duration::from_secs_f64(0.1 * random()));
        let flag = if number % 2 == 0 { "--resume" } else { "--auto-resume" };
        let output = train(&out, &[&endless[..], &[flag]].concat()).output().unwrap();
        let error = stderr(&output);
        let named = error.contains(&format!("process {} on ", first.id())) && error.lines().count() == 1;
        refused += u32::from(output.status.code() == Some(2) && named);
    }
    assert!(first.try_wait().unwrap().is_none(), "the first goes on");
    first.kill().unwrap();
    first.wait().unwrap();

    let mut of_starts = 0;
    for number in 0..20 {
        let out = root.path().join(format!("both-{number}"));
        let start = || train(&out, &[&SMALL[..], &["--set", "train.epochs=1"]].concat()).spawn().unwrap();
        let codes = [start(), start()].map(|child| child.wait_with_output().unwrap().status.code());
        of_starts += u32::from(codes == [Some(0), Some(2)] || codes == [Some(2), Some(0)]);
    }
    println!(
        "a second process on a live run: refused {refused} of 20 times; two starts in one folder: {of_starts} of 20"
    );
    assert_eq!((refused, of_starts), (20, 20));
}

#[test]
#[ignore = "takes minutes"]
fn flips() {
    let root = tempfile::tempdir().unwrap();
    let data = write_noise(&root.path().join("noise"));
    let (mut refused, mut tried) = (0, 0);
    for (number, recipe) in RECIPES.iter().enumerate() {
        let out = root.path().join(format!("run-{number}"));
        assert!(run(recipe, &data, &out).status().unwrap().success(), "{recipe:?}");
        for path in [last(&out), checkpoint::best(&out.join("checkpoints"))] {
            let whole = fs::read(&path).unwrap();
            Checkpoint::load(&path).unwrap();
            for _ in 0..100 {
                let bit = (random() * (whole.len() * 8) as f64) as usize % (whole.len() * 8);
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, flipped).unwrap();
                tried += 1;
                refused += u32::from(Checkpoint::load(&path).is_err());
            }
        }
    }
    println!("{refused} of {tried} single flipped bits were refused");
    assert_eq!((refused, tried), (1000, 1000));
}
