//! A run that goes on: with what may change, without what may not, and from where.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::*;

/// Pictures of 16x16 pixels in `folder/SPLIT/CLASS`, six of each class for training and three for validation.
fn write_pictures(folder: &Path) {
    for (split, count) in [("train", 6_u8), ("val", 3)] {
        for (class, name) in ["cat", "dog", "eel"].iter().enumerate() {
            let inside = folder.join(split).join(name);
            fs::create_dir_all(&inside).unwrap();
            for number in 0..count {
                let pixel = |x: u32, y: u32| image::Rgb([(x * 9) as u8 ^ number, (y * 7) as u8, 80 * class as u8]);
                let picture = image::RgbImage::from_fn(16, 16, pixel);
                picture.save(inside.join(format!("{number}.png"))).unwrap();
            }
        }
    }
}

/// Grey images of 8x8 pixels in MNIST's format: 32 for training, 8 for testing, of two classes. A brighter set has another mean.
fn write_arrays(folder: &Path, bright: u8) {
    fs::create_dir_all(folder).unwrap();
    for (split, count, bright) in [("train", 32_u32, bright), ("t10k", 8, 0)] {
        let sizes: Vec<u8> = [count, 8, 8].iter().flat_map(|size| size.to_be_bytes()).collect();
        let pixels = (0..count * 64).map(|k| (k.wrapping_mul(2_654_435_761) >> 25) as u8 + bright).collect::<Vec<u8>>();
        let images = [&[0, 0, 8, 3], sizes.as_slice(), &pixels].concat();
        let labels = [&[0, 0, 8, 1], &sizes[..4], &(0..count).map(|k| (k % 2) as u8).collect::<Vec<u8>>()].concat();
        fs::write(folder.join(format!("{split}-images-idx3-ubyte")), images).unwrap();
        fs::write(folder.join(format!("{split}-labels-idx1-ubyte")), labels).unwrap();
    }
}

const SETS: [&str; 10] = [
    "--set",
    "train.epochs=2",
    "--set",
    "train.batch_size=4",
    "--set",
    "train.threads=1",
    "--set",
    "data.workers=1",
    "--set",
    "optimiser.lr=0.01",
];

/// A run on `data`, started in `folder`.
#[track_caller]
fn train_on(folder: &Path, data: &str, more: &[&str]) {
    let start = ["train", "--model", "base_cnn_w2", "--data", data, "--out", "run"];
    succeed(mp_train(folder, &[&start, &SETS[..], more].concat()));
}

fn resume(folder: &Path, more: &[&str]) -> Command {
    mp_train(folder, &[&["train", "--resume", "--out", "run"], more].concat())
}

fn epochs(folder: &Path) -> Vec<u64> {
    let rows = mp_train::watch::read_rows(&folder.join("run/metrics.csv")).unwrap();
    rows.iter().map(|row| row.epoch).collect()
}

fn last(folder: &Path) -> PathBuf {
    folder.join("run/checkpoints/last.safetensors")
}

fn loss(mut command: Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    let found: Value = serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    found["loss"].clone()
}

#[test]
fn images_that_are_not_those_of_the_run_are_named_and_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("d");
    write_pictures(&data);
    train_on(folder.path(), "d", &["--set", "data.size=16"]);
    let before = fs::read(last(folder.path())).unwrap();

    let again = || {
        fs::remove_dir_all(&data).unwrap();
        write_pictures(&data);
    };
    let moved = |from: &str, to: &str| fs::rename(data.join(from), data.join(to)).unwrap();
    let refused = |expected: &str| {
        let error = refused(resume(folder.path(), &["--set", "train.epochs=3"]));
        assert!(error.contains(expected) && error.contains("the run was started with "), "{error}");
        assert_eq!(fs::read(last(folder.path())).unwrap(), before);
    };

    ["train/dog", "val/dog"].iter().for_each(|class| moved(class, &class.replace("dog", "zebra")));
    refused("class 2 \"dog\", not \"eel\"; ");

    again();
    fs::remove_file(data.join("train/cat/0.png")).unwrap();
    refused("18 training images, not 17");

    // As many of each class as before, and two that have changed places.
    again();
    moved("train/cat/1.png", "train/dog/x1.png");
    moved("train/dog/1.png", "train/cat/x1.png");
    refused("other training images: names, labels or sizes differ");

    again();
    fs::copy(data.join("val/cat/0.png"), data.join("val/cat/7.png")).unwrap();
    refused("9 validation images, not 10");

    again();
    succeed(resume(folder.path(), &["--set", "train.epochs=3"]));
    assert_eq!(epochs(folder.path()), [1, 2, 3]);
}

#[test]
fn an_edited_recipe_is_held_against_the_checkpoint_and_every_difference_named() {
    let folder = tempfile::tempdir().unwrap();
    train_small(folder.path(), "run");
    let path = folder.path().join("run/recipe.toml");
    let stored = fs::read_to_string(&path).unwrap();
    let before = loss(mp_train(folder.path(), &["eval", "run"]));
    let edits = [
        ("seed = 1", "seed = 2", "train.seed = 1, not 2"),
        ("batch_size = 32", "batch_size = 16", "train.batch_size = 32, not 16"),
        ("holdout = 0", "holdout = 20", "data.holdout = 0, not 20"),
        ("precision = \"fp32\"", "precision = \"bf16\"", "train.precision = \"fp32\", not \"bf16\""),
    ];
    let mut all = stored.clone();
    for (from, to, expected) in edits {
        assert!(stored.contains(from), "{from}");
        fs::write(&path, stored.replace(from, to)).unwrap();
        let error = refused(resume(folder.path(), &[]));
        assert!(error.contains(expected), "{error}");
        all = all.replace(from, to);
    }
    fs::write(&path, all).unwrap();
    let error = refused(resume(folder.path(), &[]));
    assert!(edits.iter().all(|(_, _, expected)| error.contains(expected)), "{error}");
    // The images are those that the checkpoint was validated on, whatever the file says today.
    assert_eq!(loss(mp_train(folder.path(), &["eval", "run"])), before);

    fs::write(&path, stored).unwrap();
    succeed(resume(folder.path(), &[]));
}

#[test]
fn what_is_set_with_resume_changes_the_runs_own_recipe() {
    let folder = tempfile::tempdir().unwrap();
    train_small(folder.path(), "run");
    let free = ["data.workers=2", "data.prefetch=2", "train.log_every=2", "train.checkpoint_every=1"];
    for set in free {
        succeed(resume(folder.path(), &["--set", set]));
    }
    let recipe = fs::read_to_string(folder.path().join("run/recipe.toml")).unwrap();
    assert!(recipe.contains("log_every = 2") && recipe.contains("checkpoint_every = 1"), "{recipe}");

    let output = resume(folder.path(), &["--set", "train.epochs=3"]).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("train.epochs is 3, was 1: after step 3 the learning rate follows the cosine of 3 epochs"),
        "{said}"
    );
    assert_eq!(epochs(folder.path()), [1, 2, 3]);
    // Nothing is left to do, and nothing to say.
    let output = resume(folder.path(), &[]).output().unwrap();
    assert!(!stderr(&output).contains("was 1"), "{}", stderr(&output));
    let error = refused(resume(folder.path(), &["--set", "train.epochs=2"]));
    assert!(error.contains("train.epochs = 3, of which 3 are done or begun, not 2"), "{error}");
}

#[test]
fn other_training_images_do_not_change_what_an_old_run_is_worth() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("mine");
    write_arrays(&data, 0);
    train_on(folder.path(), "./mine", &[]);
    let before = loss(mp_train(folder.path(), &["eval", "run"]));
    write_arrays(&data, 100);
    assert_eq!(loss(mp_train(folder.path(), &["eval", "run"])), before);
    let error = refused(resume(folder.path(), &["--set", "train.epochs=3"]));
    assert!(error.contains("other training images"), "{error}");
}

#[test]
fn a_run_finds_its_data_from_anywhere_and_follows_it_when_it_moves() {
    let root = tempfile::tempdir().unwrap();
    let (here, there) = (root.path().join("here"), root.path().join("there"));
    write_arrays(&here.join("mine"), 0);
    // Of the same name and classes, in the folder from which the run is looked at.
    write_arrays(&there.join("mine"), 100);
    train_on(&here, "./mine", &[]);
    let before = loss(mp_train(&here, &["eval", "run"]));
    assert_eq!(loss(mp_train(&there, &["eval", "../here/run"])), before);

    fs::rename(here.join("mine"), here.join("moved")).unwrap();
    for command in [&["eval", "run"][..], &["train", "--resume", "--out", "run"]] {
        let error = refused(mp_train(&here, command));
        assert!(error.contains("no longer at") && error.contains("--data"), "{error}");
    }
    let error = refused(resume(&here, &["--data", "../there/mine"]));
    assert!(error.contains("other training images"), "{error}");
    succeed(resume(&here, &["--data", "./moved", "--set", "train.epochs=3"]));
    assert_eq!(epochs(&here), [1, 2, 3]);
    // From then on it is found there.
    succeed(mp_train(&there, &["eval", "../here/run"]));
}

#[test]
fn one_command_starts_a_run_and_goes_on_with_it() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["--out", "run"][..], &[]] {
        let job = [&["train", "--auto-resume"], arguments, &SMALL[..]].concat();
        let first = succeed(mp_train(folder.path(), &job));
        let place = first.lines().find(|line| line.starts_with("run ")).unwrap().to_owned();
        let again = mp_train(folder.path(), &job).output().unwrap();
        assert!(again.status.success() && stdout(&again).contains(&place), "{}", stderr(&again));
        assert!(stderr(&again).contains("continued after step 3"), "{}", stderr(&again));
    }
    assert_eq!(fs::read_dir(folder.path().join("runs")).unwrap().count(), 1);
    // A start that was killed before it had begun.
    fs::create_dir_all(folder.path().join("new/checkpoints")).unwrap();
    fs::write(folder.path().join("new/.lock"), "process 1 on a host that is gone\n").unwrap();
    succeed(mp_train(folder.path(), &[&["train", "--auto-resume", "--out", "new"], &SMALL[..]].concat()));
}

/// Trains until after the first of two epochs, whose checkpoint is kept as `first`, and then to the end.
fn two_epochs(folder: &Path) -> Vec<u8> {
    train_small(folder, "run");
    let first = fs::read(last(folder)).unwrap();
    succeed(resume(folder, &["--set", "train.epochs=3"]));
    first
}

#[test]
fn a_lost_last_checkpoint_is_no_fresh_start() {
    let folder = tempfile::tempdir().unwrap();
    let first = two_epochs(folder.path());
    let metrics = fs::read(folder.path().join("run/metrics.csv")).unwrap();
    let best = folder.path().join("run/checkpoints/best.safetensors");

    fs::remove_file(last(folder.path())).unwrap();
    fs::write(&best, &first).unwrap();
    let error = refused(resume(folder.path(), &[]));
    assert!(error.contains("last.safetensors is missing, but events.jsonl reports one after step 9"), "{error}");
    assert!(error.contains("the best checkpoint, of epoch 1, with `--from best`"), "{error}");
    // Each of the other files shows it too.
    for (gone, shows) in [("events.jsonl", "metrics.csv has epoch 3"), ("metrics.csv", "summary.json has 9 steps")] {
        fs::rename(folder.path().join("run").join(gone), folder.path().join(gone)).unwrap();
        let error = refused(resume(folder.path(), &[]));
        assert!(error.contains(shows), "{error}");
    }
    for gone in ["events.jsonl", "metrics.csv"] {
        fs::rename(folder.path().join(gone), folder.path().join("run").join(gone)).unwrap();
    }
    assert_eq!(fs::read(folder.path().join("run/metrics.csv")).unwrap(), metrics);

    let output = resume(folder.path(), &["--from", "best"]).output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("the reports of 2 epochs after step 3 are dropped"), "{said}");
    assert_eq!(epochs(folder.path()), [1, 2, 3]);

    fs::remove_dir_all(folder.path().join("run/checkpoints")).unwrap();
    let error = refused(resume(folder.path(), &[]));
    assert!(error.contains("put it back, or start a new run with --out"), "{error}");
}

#[test]
fn an_earlier_checkpoint_in_the_place_of_the_last_is_not_gone_on_from_in_silence() {
    let folder = tempfile::tempdir().unwrap();
    let first = two_epochs(folder.path());
    fs::write(last(folder.path()), &first).unwrap();
    let error = refused(resume(folder.path(), &[]));
    assert!(error.contains("last.safetensors is of step 3, but events.jsonl reports one after step 9"), "{error}");
    succeed(resume(folder.path(), &["--from", "last"]));
    assert_eq!(epochs(folder.path()), [1, 2, 3]);
}

#[test]
fn a_run_killed_after_it_was_set_back_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let first = two_epochs(folder.path());
    let run = folder.path().join("run");
    let (best, later) = (run.join("checkpoints/best.safetensors"), fs::read(last(folder.path())).unwrap());
    fs::write(&best, &later).unwrap();
    fs::write(last(folder.path()), &first).unwrap();

    let mut process = resume(folder.path(), &["--from", "last", "--set", "train.epochs=9000"]).spawn().unwrap();
    // Written once all that is dropped is gone.
    while !fs::read_to_string(run.join("recipe.toml")).unwrap().contains("epochs = 9000") {
        assert!(process.try_wait().unwrap().is_none(), "ended before it was killed");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(!run.join("summary.json").exists());
    assert!(fs::read(&best).ok() != Some(later), "the best is of an epoch that was dropped");
    let output = resume(folder.path(), &["--set", "train.epochs=1"]).output().unwrap();
    let said = stderr(&output);
    // Where it had ended a further epoch, that is what is said.
    assert!(output.status.success() || said.contains("are done or begun, not 1"), "{said}");
}

#[test]
fn a_damaged_checkpoint_is_refused_by_everything_that_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    train_small(folder.path(), "run");
    image::GrayImage::from_pixel(8, 8, image::Luma([9])).save(folder.path().join("a.png")).unwrap();
    let mut bytes = fs::read(last(folder.path())).unwrap();
    let place = bytes.len() - 100;
    bytes[place] ^= 1;
    fs::write(last(folder.path()), bytes).unwrap();
    let weights = "run/checkpoints/last.safetensors";
    for command in [
        &["eval", "run"][..],
        &["train", "--resume", "--out", "run"],
        &["predict", "run", "a.png"],
        &["predict", "--model", "base_cnn_w4_x2_cc", "--weights", weights, "a.png"],
    ] {
        let error = refused(mp_train(folder.path(), command));
        assert!(error.contains("last.safetensors is damaged: its checksum says"), "{error}");
        assert_eq!(
            error.contains("`--from best` goes on from the best one, of epoch 1"),
            command[0] == "train",
            "{error}"
        );
    }
    succeed(resume(folder.path(), &["--from", "best"]));
    succeed(mp_train(folder.path(), &["eval", "run"]));
}
