//! One small run through every command, and what spoils its files.

use std::fs;
use std::sync::LazyLock;

use serde_json::Value;

use super::*;

/// A finished run of [`SMALL`], which tests read but do not change: `RUN.path()/run`.
static RUN: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    train_small(folder.path(), "run");
    folder
});

/// A copy of the run, to spoil.
fn copy_of_run() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (RUN.path().join("run"), folder.path().join("run"));
    fs::create_dir_all(to.join("checkpoints")).unwrap();
    for name in ["recipe.toml", "metrics.csv", "events.jsonl", "summary.json", "checkpoints/last.safetensors"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    folder
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join("run").join(name)).unwrap()
}

#[test]
fn a_run_leaves_a_complete_folder() {
    let summary: Value = serde_json::from_str(&read(RUN.path(), "summary.json")).unwrap();
    let expected = [
        "model",
        "data",
        "parameters",
        "multiply_adds",
        "epochs",
        "seed",
        "precision",
        "train_seconds",
        "images_per_second",
        "valid_accuracy_last",
        "valid_accuracy_best",
        "data_wait_fraction",
        "skipped",
        "skipped_valid",
    ];
    for key in expected {
        assert!(!summary[key].is_null(), "{key} is missing in {summary}");
    }
    assert_eq!((summary["steps"].as_u64(), summary["finished"].as_bool()), (Some(3), Some(true)));
    assert!(read(RUN.path(), "recipe.toml").contains("limit = 96"));
    assert!(read(RUN.path(), "metrics.csv").starts_with("epoch,step,"));
    // Three steps are reported, as log_every is 1.
    assert_eq!(read(RUN.path(), "events.jsonl").matches("\"event\":\"step\"").count(), 3);
    let report = read(RUN.path(), "report.html");
    assert!(report.contains("base_cnn_w4_x2_cc on digits") && report.contains("<caption>By class"), "{report}");
}

#[test]
fn eval_finds_the_accuracy_of_the_summary() {
    let summary: Value = serde_json::from_str(&read(RUN.path(), "summary.json")).unwrap();
    let found: Value = serde_json::from_str(&succeed(mp_train(RUN.path(), &["eval", "run", "--json"]))).unwrap();
    assert_eq!(found["accuracy"], summary["valid_accuracy_last"]);
    assert_eq!((&found["images"], &found["split"]), (&360.into(), &"test".into()));
}

#[test]
fn a_run_with_a_holdout_is_evaluated_on_either_split() {
    let folder = tempfile::tempdir().unwrap();
    let holdout = ["--set", "data.holdout=40", "--set", "optimiser.name=adamw", "--set", "optimiser.lr=0.01"];
    succeed(mp_train(folder.path(), &[&["train", "--out", "run"], &SMALL[..], &holdout].concat()));
    let of = |split: &str| -> Value {
        serde_json::from_str(&succeed(mp_train(folder.path(), &["eval", "run", "--split", split, "--json"]))).unwrap()
    };
    assert_eq!((&of("valid")["images"], &of("valid")["split"]), (&40.into(), &"holdout".into()));
    assert_eq!((&of("test")["images"], &of("test")["split"]), (&360.into(), &"test".into()));
}

#[test]
fn routes_are_shown_as_tables_or_json() {
    let table = succeed(mp_train(RUN.path(), &["routes", "run", "--classes"]));
    assert!(table.contains("mutual information") && table.contains("1->2"), "{table}");
    let record: Value = serde_json::from_str(&succeed(mp_train(RUN.path(), &["routes", "run", "--json"]))).unwrap();
    assert_eq!(record["layers"][0]["samples"], 360);
}

#[test]
fn predict_takes_pictures_and_writes_tables_or_logits() {
    let folder = tempfile::tempdir().unwrap();
    image::GrayImage::from_fn(20, 12, |x, y| image::Luma([(x * y) as u8])).save(folder.path().join("a.png")).unwrap();
    let run = RUN.path().join("run");
    let run = run.to_str().unwrap();

    let found = succeed(mp_train(folder.path(), &["predict", run, "a.png", "--top", "3", "--json"]));
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!((found[0]["image"].as_str(), found[0]["top"].as_array().unwrap().len()), (Some("a.png"), 3));
    let weights = format!("{run}/checkpoints/last.safetensors");
    let same = ["predict", "--model", "base_cnn_w4_x2_cc", "--weights", &weights, "a.png", "--top", "3", "--json"];
    assert_eq!(serde_json::from_str::<Value>(&succeed(mp_train(folder.path(), &same))).unwrap(), found);

    succeed(mp_train(folder.path(), &["predict", run, "a.png", "--logits", "out.npy"]));
    // NumPy's format: a header, padded to 128 bytes, then ten float32.
    assert_eq!(fs::metadata(folder.path().join("out.npy")).unwrap().len(), 128 + 40);
}

#[test]
fn starting_weights_serve_the_model_under_the_same_routing() {
    let folder = tempfile::tempdir().unwrap();
    image::GrayImage::from_pixel(8, 8, image::Luma([9])).save(folder.path().join("a.png")).unwrap();
    let shown = succeed(mp_train(folder.path(), &["weights", "base_cnn_w4_x2_cc@positions=blocks", "w.safetensors"]));
    assert!(shown.starts_with("base_cnn_w4_x2_cc@positions=blocks: ") && shown.contains("w.safetensors"), "{shown}");
    let predict =
        |model| mp_train(folder.path(), &["predict", "--model", model, "--weights", "w.safetensors", "a.png"]);
    succeed(predict("base_cnn_w4_x2_cc@positions=blocks"));
    // Routed at other places, it has other gates.
    let error = refused(predict("base_cnn_w4_x2_cc@positions=[\"stage2\"]"));
    assert!(error.contains("w.safetensors") && error.contains("unexpected"), "{error}");
}

#[test]
fn bench_profiles_and_takes_turns() {
    let bench = |flags: &[&str]| mp_train(Path::new("."), &[&["bench", "base_cnn_w4", "--batch", "2"], flags].concat());
    let found: Value = serde_json::from_str(&succeed(bench(&["--profile", "--rounds", "1", "--json"]))).unwrap();
    let ops = found[0]["ops"].as_array().unwrap();
    assert!(ops.iter().any(|op| op["name"] == "ConvolutionBackward0"), "{found}");
    assert!(succeed(bench(&["--profile", "--rounds", "1"])).contains("no op"));

    let mut turns = bench(&["--turns"]);
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, b"0 2\n").unwrap();
    drop(writer);
    turns.stdin(reader);
    let lines = succeed(turns);
    let answer: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    assert_eq!(answer["ms"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_no_picture_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.png"), "text").unwrap();
    let run = RUN.path().join("run");
    let error = refused(mp_train(folder.path(), &["predict", run.to_str().unwrap(), "a.png"]));
    assert!(error.contains("a.png: ") && error.contains("expected a JPEG, PNG"), "{error}");
    let error = refused(mp_train(folder.path(), &["predict", run.to_str().unwrap()]));
    assert!(error.contains("no images"), "{error}");
}

#[test]
fn a_second_run_in_the_same_folder_is_refused_and_the_first_kept() {
    let before = read(RUN.path(), "recipe.toml");
    let error = refused(mp_train(RUN.path(), &[&["train", "--out", "run"], &SMALL[..]].concat()));
    assert!(error.contains("already holds a run") && error.contains("--out"), "{error}");
    assert_eq!(read(RUN.path(), "recipe.toml"), before);
}

#[test]
fn a_run_goes_on_only_under_its_own_recipe() {
    let other = [&["train", "--resume", "--out", "run"], &SMALL[..], &["--set", "train.seed=9"]].concat();
    let error = refused(mp_train(RUN.path(), &other));
    assert!(error.contains("the run was started with train.seed = 1, not 9"), "{error}");
}

#[test]
fn a_checkpoint_that_is_cut_short_is_refused() {
    let folder = copy_of_run();
    let path = folder.path().join("run/checkpoints/last.safetensors");
    let bytes = fs::read(&path).unwrap();
    for length in [bytes.len() - 5, 100, 4, 0] {
        fs::write(&path, &bytes[..length]).unwrap();
        for arguments in [&["eval", "run"][..], &["train", "--resume", "--out", "run"]] {
            let error = refused(mp_train(folder.path(), arguments));
            assert!(error.contains("last.safetensors"), "{error}");
        }
    }
}

#[test]
fn a_checkpoint_of_another_model_is_refused() {
    let folder = copy_of_run();
    let path = folder.path().join("run/recipe.toml");
    let recipe = fs::read_to_string(&path).unwrap().replace("base_cnn_w4_x2_cc", "base_cnn_w4_x2");
    fs::write(&path, recipe).unwrap();
    for arguments in [&["eval", "run"][..], &["train", "--resume", "--out", "run"]] {
        let error = refused(mp_train(folder.path(), arguments));
        let error = error.replace('"', "`");
        assert!(error.contains("`base_cnn_w4_x2_cc`") && error.contains("`base_cnn_w4_x2`"), "{error}");
    }
}

#[test]
fn runs_without_a_place_are_numbered() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["runs/base_cnn_w4_x2_cc-digits", "runs/base_cnn_w4_x2_cc-digits-2"] {
        let shown = succeed(mp_train(folder.path(), &[&["train"], &SMALL[..]].concat()));
        assert!(shown.contains(&format!("run     {name}\n")), "{shown}");
        assert!(folder.path().join(name).join("report.html").exists());
    }
}

/// A disk that is full looks to a process like a file that may not grow: writing fails half-way.
#[cfg(unix)]
#[test]
fn a_full_disk_is_one_line_and_leaves_no_half_written_file() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [&["train", "--out", "run"], &SMALL[..]].concat();
    let mut command = Command::new("sh");
    // 8 blocks of 512 bytes: enough for the recipe, too little for a checkpoint.
    command.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_mp-train")]);
    command.args(arguments).current_dir(folder.path()).env_remove("RUST_BACKTRACE");
    let output = command.output().unwrap();
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{error}");
    let last = error.lines().last().unwrap();
    assert!(last.starts_with("mp-train: error: ") && last.contains("File too large"), "{error}");
    assert_eq!(fs::read_dir(folder.path().join("run/checkpoints")).unwrap().count(), 0);
}
