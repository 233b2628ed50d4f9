//! Studies: run, killed, gone on with elsewhere, and refused.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;

/// Three entrants with two seeds on digits; a run takes part of a second.
const STUDY: &str = r#"
recipe = "digits"
set = { "train.epochs" = 2, "train.batch_size" = 32, "data.limit" = 160, "data.holdout" = 32, "train.log_every" = 1 }
seeds = [1, 2]
reference = "widened"
match = { to = "cc", by = "parameters", tolerance = 0.15 }

[[entrant]]
name = "widened"
family = "base_cnn"

[[entrant]]
name = "paths"
model = "base_cnn_w4_x2"

[[entrant]]
name = "cc"
model = "base_cnn_w4_x2_cc"
set = { "model.routing.mixer.input" = "standardised" }
"#;

/// A folder with a study in `trial/study.toml`.
fn with_study(text: &str) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("trial")).unwrap();
    fs::write(root.path().join("trial/study.toml"), text).unwrap();
    root
}

fn compare(folder: &Path, more: &[&str]) -> Command {
    mp_train(folder, &[&["compare", "trial/study.toml"], more].concat())
}

/// The files of the finished runs.
fn runs(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder.join("trial/runs")) else { return Vec::new() };
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn read(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join("trial").join(name)).unwrap()
}

const ALL: [&str; 6] =
    ["cc-s1.json", "cc-s2.json", "paths-s1.json", "paths-s2.json", "widened-s1.json", "widened-s2.json"];

#[test]
fn a_study_leaves_a_file_a_run_and_a_report_that_the_files_alone_give_again() {
    let root = with_study(STUDY);
    let folder = root.path();
    let said = succeed(compare(folder, &[]));
    assert!(said.contains("runs    6 of 6"), "{said}");
    assert_eq!(runs(folder), ALL);

    let results: Value = serde_json::from_str(&read(folder, "results.json")).unwrap();
    let entrants = results["entrants"].as_array().unwrap();
    let by_name = |name: &str| entrants.iter().find(|entrant| entrant["name"] == name).unwrap();
    for entrant in entrants {
        assert_eq!(entrant["test"]["runs"], 2, "{entrant}");
        assert!(entrant["ms"].as_f64().unwrap() > 0.0);
        assert_eq!(entrant["curve"].as_array().unwrap().len(), 2);
    }
    // What is matched has the parameters of what it is matched to, within the tolerance.
    let parameters = |name: &str| by_name(name)["parameters"].as_f64().unwrap();
    assert!((parameters("widened") / parameters("cc") - 1.0).abs() <= 0.15);
    // The routed one says what its routes are worth, the others have none.
    assert!(by_name("cc")["routes"]["frozen"]["mean"].is_number());
    assert!(by_name("paths")["routes"].is_null() && by_name("widened")["difference"].is_null());
    assert!(by_name("cc")["difference"]["p_holm"].is_number());
    for picture in ["accuracy-parameters.svg", "accuracy-multiply-adds.svg", "accuracy-ms.svg", "accuracy-epochs.svg"] {
        assert!(read(folder, picture).starts_with("<svg"));
    }
    let page = read(folder, "report.html");
    assert!(page.contains("<h2>Routes</h2>") && !page.contains("http://") | page.contains("www.w3.org"), "{page}");

    // The same from the files alone, without data or runs.
    let elsewhere = tempfile::tempdir().unwrap();
    let copied = elsewhere.path().join("trial");
    fs::create_dir_all(copied.join("runs")).unwrap();
    for name in ["study.toml", "sizes.json", "times.json"] {
        fs::copy(folder.join("trial").join(name), copied.join(name)).unwrap();
    }
    for name in ALL {
        fs::copy(folder.join("trial/runs").join(name), copied.join("runs").join(name)).unwrap();
    }
    succeed(compare(elsewhere.path(), &["--report-only"]));
    for name in ["results.json", "results.csv", "results.md", "report.html"] {
        assert_eq!(read(elsewhere.path(), name), read(folder, name), "{name}");
    }

    // A page gets what stands between its marks.
    let book = elsewhere.path().join("page.md");
    fs::write(&book, "Before\n<!-- study trial -->\nstale\n<!-- end of study trial -->\nafter\n").unwrap();
    succeed(compare(elsewhere.path(), &["--report-only", "--insert", "page.md"]));
    let text = fs::read_to_string(&book).unwrap();
    assert!(text.starts_with("Before\n") && text.ends_with("after\n") && !text.contains("stale"), "{text}");
    assert!(text.contains("| cc | `base_cnn_w4_x2_cc` |"), "{text}");
    fs::write(&book, "nothing").unwrap();
    let error = refused(compare(elsewhere.path(), &["--report-only", "--insert", "page.md"]));
    assert!(error.contains("the line `<!-- study trial -->` is missing"), "{error}");
}

#[test]
fn learning_rates_are_searched_on_held_out_images() {
    let searched = STUDY
        .replace("seeds = [1, 2]", "seeds = [1]\nrates = { factors = [0.001, 1.0], epochs = 4 }")
        .replace("\"data.limit\" = 160", "\"data.limit\" = 800");
    let root = with_study(&searched);
    succeed(compare(root.path(), &["--only", "paths"]));
    let record: Value = serde_json::from_str(&read(root.path(), "runs/paths-s1.json")).unwrap();
    // A thousandth of the rate learns next to nothing.
    assert_eq!(record["factor"], 1.0);
    assert_eq!(record["valid_split"], "holdout");
    let names: Vec<_> = fs::read_dir(root.path().join("trial/rates")).unwrap().collect();
    assert_eq!(names.len(), 2);
    assert_eq!(runs(root.path()), ["paths-s1.json"]);

    let by_test_images = searched.replace(", \"data.holdout\" = 32", "");
    let error = refused(compare(with_study(&by_test_images).path(), &[]));
    assert!(error.contains("data.holdout is 0: the learning rates would be chosen by the test images"), "{error}");
}

fn start(folder: &Path) -> Child {
    let mut command = compare(folder, &["--jobs", "2"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[track_caller]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(120), "{what}: not within two minutes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_killed_study_goes_on_and_its_runs_are_those_of_an_unbroken_one() {
    let (broken, whole) = (with_study(STUDY), with_study(STUDY));
    let mut child = start(broken.path());
    wait_until("the first run", || !runs(broken.path()).is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let there = runs(broken.path());
    assert!(there.len() < 6, "killed too late: {there:?}");
    // What was running has saved itself, and is gone on with.
    succeed(compare(broken.path(), &["--jobs", "2"]));
    succeed(compare(whole.path(), &["--jobs", "1"]));
    for name in ALL {
        let figures = |folder: &Path| {
            let mut record: Value = serde_json::from_str(&read(folder, &format!("runs/{name}"))).unwrap();
            record.as_object_mut().unwrap().remove("train_seconds");
            record
        };
        assert_eq!(figures(broken.path()), figures(whole.path()), "{name}");
    }
}

#[test]
fn two_compares_never_work_on_one_folder() {
    let root = with_study(STUDY);
    let mut child = start(root.path());
    wait_until("the lock", || root.path().join("trial/.lock").exists());
    let error = refused(compare(root.path(), &[]));
    assert!(error.contains("is in use by another compare (process "), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_launcher_is_told_that_compare_shares_out_its_runs_itself() {
    let root = with_study(STUDY);
    let variables =
        [("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1"), ("MASTER_ADDR", "h"), ("MASTER_PORT", "1")];
    let mut command = compare(root.path(), &[]);
    command.envs(variables);
    let error = refused(command);
    assert!(error.contains("start it once, with --jobs and --devices"), "{error}");
    assert!(!root.path().join("trial/runs").exists());
}

#[test]
fn files_of_other_studies_are_refused_and_kept() {
    let root = with_study(STUDY);
    let folder = root.path();
    succeed(compare(folder, &["--only", "paths"]));
    let kept = read(folder, "runs/paths-s1.json");

    fs::write(folder.join("trial/study.toml"), STUDY.replace("\"train.epochs\" = 2", "\"train.epochs\" = 3")).unwrap();
    let error = refused(compare(folder, &[]));
    assert!(error.contains("paths-s1.json: was made with train.epochs = 2, and the study says 3"), "{error}");

    fs::write(folder.join("trial/study.toml"), STUDY.replace("name = \"paths\"", "name = \"others\"")).unwrap();
    let error = refused(compare(folder, &[]));
    assert!(error.contains("paths-s1.json: belongs to no entrant and seed of this study"), "{error}");

    fs::write(folder.join("trial/study.toml"), STUDY).unwrap();
    fs::write(folder.join("trial/runs/cc-s1.json"), kept.replace("\"format\": 1", "\"format\": 9")).unwrap();
    let error = refused(compare(folder, &[]));
    assert!(error.contains("cc-s1.json: of format 9, expected 1"), "{error}");
    fs::write(folder.join("trial/runs/cc-s1.json"), &kept).unwrap();
    let error = refused(compare(folder, &[]));
    assert!(
        error.contains("cc-s1.json: a run of entrant `paths` of the study `trial`, expected one of `cc`"),
        "{error}"
    );
    fs::write(folder.join("trial/runs/cc-s1.json"), "{").unwrap();
    assert!(refused(compare(folder, &[])).contains("cc-s1.json: no record of a run"));
    assert_eq!(read(folder, "runs/paths-s1.json"), kept);
}

#[test]
fn a_match_that_no_size_reaches_and_unknown_entrants_are_refused() {
    let root = with_study(&STUDY.replace("tolerance = 0.15", "tolerance = 0.001"));
    let error = refused(compare(root.path(), &[]));
    assert!(
        error.contains("entrant `widened`: no size of `base_cnn` comes within 0.1% of base_cnn_w4_x2_cc by parameters"),
        "{error}"
    );
    let error = refused(compare(with_study(STUDY).path(), &["--only", "cc,wide"]));
    assert!(error.contains("--only names `wide`, which is no entrant; there are widened, paths, cc"), "{error}");
    let error = refused(mp_train(root.path(), &["compare", "nowhere.toml"]));
    assert!(error.contains("cannot read the study nowhere.toml"), "{error}");
}

#[test]
fn a_plan_trains_nothing_and_writes_no_run() {
    let root = with_study(STUDY);
    let said = succeed(compare(root.path(), &["--plan"]));
    assert!(said.contains("6 runs are missing; with 160 training images an epoch"), "{said}");
    assert!(runs(root.path()).is_empty() && !root.path().join("trial/results.md").exists());
}

#[test]
fn a_run_ends_with_its_standard_input_and_can_be_gone_on_with() {
    let root = tempfile::tempdir().unwrap();
    let long = [&["train", "--out", "run", "--stop-with-input"], &SMALL[..], &["--set", "train.epochs=10000"]].concat();
    let mut command = mp_train(root.path(), &long);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the first epoch", || root.path().join("run/metrics.csv").exists());
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("saved; continue with"));
}
