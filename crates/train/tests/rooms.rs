//! The rooms of this crate stand on each other: what a file imports lies below its own room.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up.
const ROOMS: [&str; 20] = [
    "split",
    "choice",
    "error",
    "atomic",
    "machine",
    "processes",
    "metric",
    "optim",
    "schedule",
    "weights",
    "recipe",
    "images",
    "learn",
    "evaluate",
    "checkpoint",
    "folder",
    "watch",
    "bench",
    "apply",
    "run",
];

/// Where the names that the crate itself exports are at home.
const EXPORTED: [(&str, &str); 9] = [
    ("Error", "error"),
    ("Recipe", "recipe"),
    ("Spec", "recipe"),
    ("Corpus", "images"),
    ("Learner", "learn"),
    ("Checkpoint", "checkpoint"),
    ("RunFolder", "folder"),
    ("Summary", "folder"),
    ("Trained", "apply"),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false if path.extension().is_some_and(|end| end == "rs") => found.push(path),
            false => {}
        }
    }
}

/// The modules and exported names after each `crate::` of a file; what its tests import does not count.
fn imports(text: &str) -> Vec<&str> {
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap();
    code.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap().split(", ").collect(),
            None => vec![rest],
        })
        .map(|name| name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap())
        .collect()
}

#[test]
fn no_room_imports_one_above_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    assert!(found.len() > 50, "{found:?}");
    let floor = |room: &str| ROOMS.iter().position(|known| *known == room);
    for path in found {
        let inside = path.strip_prefix(&source).unwrap();
        let room = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if room == "lib" {
            continue;
        }
        let own = floor(room).unwrap_or_else(|| panic!("{} is in no room of the list", inside.display()));
        let text = fs::read_to_string(&path).unwrap();
        for name in imports(&text) {
            let home = EXPORTED.iter().find(|(exported, _)| *exported == name).map_or(name, |(_, home)| *home);
            let other = floor(home).unwrap_or_else(|| panic!("{}: `crate::{name}` is in no room", inside.display()));
            assert!(other <= own, "{} imports `crate::{name}`, which stands above `{room}`", inside.display());
        }
    }
}
