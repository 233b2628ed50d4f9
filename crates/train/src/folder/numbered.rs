//! Runs that are given no place of their own: `runs/NAME`, `runs/NAME-2`, `runs/NAME-3`, ...
//!
//! Numbers are never filled in: a run that starts later has a greater one, whatever was removed in between.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::RunFolder;

impl RunFolder {
    /// The last of `root/name`, `root/name-2`, ... that holds a run; `root/name` where none does.
    pub fn latest(root: &Path, name: &str) -> PathBuf {
        let holds_run = |number: &u64| Self::ensure_free(&numbered(root, name, *number)).is_err();
        let latest = numbers(root, name).into_iter().filter(holds_run).max();
        numbered(root, name, latest.unwrap_or(1))
    }

    /// The folder after the last of `root/name`, `root/name-2`, ... that is there, whatever it holds.
    pub fn next_free(root: &Path, name: &str) -> PathBuf {
        let last = numbers(root, name).into_iter().max().unwrap_or(0);
        numbered(root, name, last.saturating_add(1))
    }
}

fn numbered(root: &Path, name: &str, number: u64) -> PathBuf {
    match number {
        1 => root.join(name),
        _ => root.join(format!("{name}-{number}")),
    }
}

/// The numbers that are taken.
fn numbers(root: &Path, name: &str) -> Vec<u64> {
    let number = |found: &OsStr| {
        let rest = found.to_str()?.strip_prefix(name)?;
        if rest.is_empty() {
            return Some(1);
        }
        // Neither `name-1` nor `name-02` is one of ours.
        rest.strip_prefix('-')?.parse().ok().filter(|number| *number >= 2 && rest == format!("-{number}"))
    };
    let entries = fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| number(&entry.file_name())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Recipe;

    fn run(path: &Path) {
        RunFolder::create(path, &Recipe::resolve(Some("digits"), &[]).unwrap()).unwrap();
    }

    fn name(path: &Path) -> &str {
        path.file_name().unwrap().to_str().unwrap()
    }

    #[test]
    fn default_names_count_up() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(name(&RunFolder::latest(root.path(), "a")), "a");
        for expected in ["a", "a-2", "a-3"] {
            let path = RunFolder::next_free(root.path(), "a");
            run(&path);
            assert_eq!(name(&path), expected);
            assert_eq!(name(&RunFolder::latest(root.path(), "a")), expected);
        }
    }

    #[test]
    fn a_gap_hides_nothing_and_is_not_filled() {
        let root = tempfile::tempdir().unwrap();
        for taken in ["a", "a-3", "a-12"] {
            run(&root.path().join(taken));
        }
        assert_eq!(name(&RunFolder::latest(root.path(), "a")), "a-12");
        assert_eq!(name(&RunFolder::next_free(root.path(), "a")), "a-13");
        fs::remove_dir_all(root.path().join("a")).unwrap();
        assert_eq!(name(&RunFolder::latest(root.path(), "a")), "a-12");
    }

    #[test]
    fn names_of_others_are_no_numbers() {
        let root = tempfile::tempdir().unwrap();
        for taken in ["a-1", "a-02", "a-x", "ab-7", "a-2-3", "a-+4", "b"] {
            run(&root.path().join(taken));
        }
        assert_eq!(name(&RunFolder::next_free(root.path(), "a")), "a");
        assert_eq!(name(&RunFolder::latest(root.path(), "a")), "a");
    }

    #[test]
    fn a_folder_without_a_run_is_passed_by() {
        let root = tempfile::tempdir().unwrap();
        run(&root.path().join("a"));
        fs::create_dir(root.path().join("a-2")).unwrap();
        assert_eq!(name(&RunFolder::latest(root.path(), "a")), "a");
        assert_eq!(name(&RunFolder::next_free(root.path(), "a")), "a-3");
    }
}
