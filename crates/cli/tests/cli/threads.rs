//! How many threads a run takes where nobody says so: as many as the process may keep busy.

use serde_json::Value;

use super::*;

/// The threads that `summary.json` notes of a small run that was started by `start`.
fn threads(start: &[&str], variables: &[(&str, &str)], more: &[&str]) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let train = mp_train(folder.path(), &[&["train", "--out", "run"], &SMALL[..], more].concat());
    let mut command = match start {
        [] => Command::new(train.get_program()),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(train.get_program());
            command
        }
    };
    command.args(train.get_args()).current_dir(folder.path()).env_remove("OMP_NUM_THREADS");
    command.envs(variables.iter().copied());
    succeed(command);
    let summary = std::fs::read_to_string(folder.path().join("run/summary.json")).unwrap();
    serde_json::from_str::<Value>(&summary).unwrap()["threads"].as_u64().unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn affinity_and_openmps_variable_bound_them_and_the_recipe_decides() {
    let processors = std::thread::available_parallelism().unwrap().get() as u64;
    // Without a quota: as many as there are.
    assert_eq!(threads(&[], &[], &[]), processors);
    let allowed = std::fs::read_to_string("/proc/self/status").unwrap();
    let allowed = allowed.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap().trim().to_owned();
    let first = allowed.split([',', '-']).next().unwrap();
    assert_eq!(threads(&["taskset", "-c", first], &[], &[]), 1);
    assert_eq!(threads(&[], &[("OMP_NUM_THREADS", "1")], &[]), 1);
    assert_eq!(threads(&["taskset", "-c", first], &[], &["--set", "train.threads=2"]), 2);
}
