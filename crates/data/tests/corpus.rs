//! Inputs of the fuzz targets, replayed: one folder for each target in `corpus/`. What begins with `valid` must be read, what
//! begins with `bad` must be refused, and everything must come to an end without a panic. What once brought a parser down
//! lies here under a name that says how.

#[path = "corpus/parsers.rs"]
mod parsers;

use std::fs;
use std::path::Path;

use parsers::Outcome;

#[track_caller]
fn replay(target: &str, parse: fn(&[u8]) -> Outcome) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let outcome = parse(&fs::read(&path).unwrap());
        let name = path.file_name().unwrap().to_str().unwrap();
        match name {
            _ if name.starts_with("valid") => assert!(matches!(outcome, Ok(1..)), "{name}: {outcome:?}"),
            _ if name.starts_with("bad") => assert!(outcome.is_err(), "{name}: {outcome:?}"),
            _ => {}
        }
    }
}

#[test]
fn manifests() {
    replay("manifest", parsers::manifest);
}

#[test]
fn idx() {
    replay("idx", parsers::idx);
}

#[test]
fn cifar_binary() {
    replay("cifar_binary", parsers::cifar_binary);
}

#[test]
fn pictures() {
    replay("decode", parsers::decode);
}

#[test]
fn svhn() {
    replay("svhn", parsers::svhn);
}

#[test]
fn stl10() {
    replay("stl10", parsers::stl10);
}

#[test]
fn pickles() {
    replay("pickle", parsers::pickle);
}

#[test]
fn cifar_archives() {
    replay("cifar_archive", parsers::cifar_archive);
}

#[test]
fn npy() {
    replay("npy", parsers::npy);
}

#[test]
fn npz() {
    replay("npz", parsers::npz);
}

#[test]
fn shards() {
    replay("shard", parsers::shard);
}

#[test]
fn lists() {
    replay("list", parsers::list);
}

#[test]
fn packed_files() {
    replay("packed", parsers::packed);
}
