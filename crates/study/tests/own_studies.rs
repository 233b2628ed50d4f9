//! The studies of this repository: all are read, and the results that stand beside them are those of their runs.

use std::fs;
use std::path::{Path, PathBuf};

use mp_study::{Findings, Plan, Study, StudyFolder, report, sizes};

fn studies() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/studies");
    let mut found: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path().join("study.toml"))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found
}

#[test]
fn every_study_is_read() {
    let studies = studies();
    assert!(studies.len() >= 5, "{studies:?}");
    for path in studies {
        Study::read(&path).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn results_are_those_of_the_runs_beside_them() {
    for path in studies() {
        let folder = StudyFolder::new(path.parent().unwrap());
        let results = folder.path().join("results.json");
        if !results.exists() {
            continue;
        }
        let study = Study::read(&path).unwrap();
        let networks =
            sizes::networks(&study, &folder, |_| panic!("{}: sizes.json is missing", path.display())).unwrap();
        let plan = Plan::of(&study, &folder, &networks).unwrap();
        let findings = Findings::of(&study, &folder, &networks, &plan).unwrap();
        let written = tempfile::tempdir().unwrap();
        report::write(&findings, written.path(), "").unwrap();
        let again = fs::read_to_string(written.path().join("results.json")).unwrap();
        assert_eq!(fs::read_to_string(&results).unwrap(), again, "{}: run compare --report-only", path.display());
    }
}
