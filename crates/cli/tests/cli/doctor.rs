//! What `mp-train doctor` says of this machine, and of one that was made worse on purpose.

use std::fs;

use serde_json::Value;

use super::*;

/// The report of a doctor's visit, and whether it ended as its findings say.
#[track_caller]
fn report(mut command: Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap_or_else(|_| panic!("{}", stderr(&output)));
    let broken = severities(&report).contains(&"broken");
    assert_eq!(output.status.code(), Some(if broken { 2 } else { 0 }), "{report}");
    report
}

fn severities(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["severity"].as_str().unwrap()).collect()
}

/// What is wrong, and what to do about it, of a severity.
fn findings(report: &Value, severity: &str) -> Vec<String> {
    let found = report["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] == severity);
    found.map(|finding| format!("{}: {}", text(&finding["what"]), text(&finding["remedy"]))).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn it_says_what_is_loaded_what_computes_and_where_things_lie() {
    let folder = tempfile::tempdir().unwrap();
    let found = report(mp_train(folder.path(), &["doctor"]));
    assert_eq!(found["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(found["libtorch"]["version"], found["libtorch"]["built_for"]);
    assert!(text(&found["libtorch"]["file"]).contains("torch_cpu"), "{found}");
    assert_eq!((&found["devices"][0]["device"], &found["devices"][0]["defect"]), (&"cpu".into(), &Value::Null));
    assert!(found["threads"].as_u64() >= Some(1));
    let folders = found["folders"].as_array().unwrap();
    let holds: Vec<&str> = folders.iter().map(|folder| text(&folder["holds"])).collect();
    assert_eq!(holds, ["runs", "temporary files", "data"]);
    let here = folder.path().canonicalize().unwrap();
    assert_eq!(folders[0]["path"], *here.join("runs").to_str().unwrap());
    assert_eq!(folders[2]["path"], *folder.path().join("no-data").to_str().unwrap());
    // It only looks.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn people_read_a_table_and_then_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let output = mp_train(folder.path(), &["doctor"]).output().unwrap();
    let text = stdout(&output);
    for line in
        ["program ", "libtorch ", "processor ", "processors ", "memory ", "cpu ", "runs ", "data ", "MULTIPATH_DATA "]
    {
        assert!(text.lines().any(|found| found.starts_with(line)), "{line}\n{text}");
    }
    let (_, verdict) = text.split_once("\n\n").unwrap();
    let known = |line: &str| ["all is well", "broken: ", "slow: "].iter().any(|start| line.starts_with(start));
    assert!(!verdict.is_empty() && verdict.lines().all(known), "{verdict}");
}

#[test]
fn a_file_in_the_place_of_the_data_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let found = report(mp_train(folder.path(), &["doctor", "--data-dir", "file"]));
    let path = folder.path().canonicalize().unwrap().join("file").display().to_string();
    let line = format!(
        "data cannot be written to {path}: {path} is not a folder: choose another folder by --data-dir or MULTIPATH_DATA"
    );
    assert!(findings(&found, "broken").contains(&line), "{found}");
}

#[test]
fn a_device_that_is_asked_for_and_not_there_is_broken() {
    let folder = tempfile::tempdir().unwrap();
    let found = report(mp_train(folder.path(), &["doctor", "--device", "cuda:999"]));
    assert!(findings(&found, "broken")[0].starts_with("device cuda:999, expected cpu"), "{found}");
    assert!(refused(mp_train(folder.path(), &["doctor", "--device", "gpu"])).contains("expected auto, cpu, cuda"));
}

#[test]
fn no_place_for_data_is_broken_and_said_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = mp_train(folder.path(), &["doctor"]);
    for name in ["MULTIPATH_DATA", "XDG_CACHE_HOME", "HOME"] {
        command.env_remove(name);
    }
    let found = report(command);
    let line = "there is no folder for downloaded data sets: give --data-dir, or set MULTIPATH_DATA or HOME";
    assert_eq!(findings(&found, "broken")[0], line);
}

#[test]
#[cfg(target_os = "linux")]
fn variables_that_make_it_slow_are_found_and_are_no_failure_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = mp_train(folder.path(), &["doctor"]);
    command.env("OMP_NUM_THREADS", "1").env("OMP_WAIT_POLICY", "active");
    let found = report(command);
    let slow = findings(&found, "slow");
    assert!(slow.iter().any(|line| line.starts_with("OMP_WAIT_POLICY=active lets threads that wait")), "{slow:?}");
    let processors = std::thread::available_parallelism().unwrap().get();
    let idle = format!("OMP_NUM_THREADS=1 leaves {} of {processors} processors idle: ", processors - 1);
    assert_eq!(slow.iter().any(|line| line.starts_with(&idle)), processors > 1, "{slow:?}");
    assert_eq!(found["threads"], 1);
    let set: Vec<&str> = found["environment"].as_array().unwrap().iter().map(|set| text(&set["name"])).collect();
    assert!(set.contains(&"OMP_NUM_THREADS") && set.contains(&"MULTIPATH_DATA"), "{set:?}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_processors_are_those_that_the_process_is_bound_to() {
    let folder = tempfile::tempdir().unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim();
    let first = allowed.split([',', '-']).next().unwrap();
    let doctor = mp_train(folder.path(), &["doctor"]);
    let mut command = Command::new("taskset");
    command.args(["-c", first]).arg(doctor.get_program()).args(doctor.get_args()).current_dir(folder.path());
    command.env("MULTIPATH_DATA", folder.path()).env_remove("OMP_NUM_THREADS");
    let found = report(command);
    assert_eq!((&found["limits"]["bound"], &found["threads"]), (&1.into(), &1.into()));
}
