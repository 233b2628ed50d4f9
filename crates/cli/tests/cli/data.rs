//! `mp-train data`.

use std::fs;

use super::*;

#[test]
fn inspect_counts_measures_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let table = succeed(mp_train(folder.path(), &["data", "inspect", "digits"]));
    for line in ["images        8x8x1 (height x width x channels)", "damaged       none"] {
        assert!(table.lines().any(|each| each == line), "{table}");
    }

    let arguments = ["data", "inspect", "digits", "--json", "--sheet", "sheet.png"];
    let report: serde_json::Value = serde_json::from_str(&succeed(mp_train(folder.path(), &arguments))).unwrap();
    let total =
        |split: &str| report[split].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum::<u64>();
    assert_eq!((total("train"), total("test"), &report["damaged"]), (1437, 360, &0.into()));
    assert_eq!(report["height"], serde_json::json!({"min": 8, "median": 8, "max": 8}));

    // Ten classes of eight images, each digit 12 times as large, in two columns.
    let sheet = image::open(folder.path().join("sheet.png")).unwrap().into_rgb8();
    assert_eq!(sheet.dimensions(), (16 + 2 * (8 * 100 - 4 + 16), 40 + 5 * (22 + 96 + 12) + 4));
    let dark = sheet.pixels().filter(|pixel| pixel.0 == [0; 3]).count();
    assert!(dark > 80 * 12 * 12, "the background of 80 digits is black: {dark} pixels are");
    assert_eq!(names(folder.path()), ["sheet.png"]);
}

#[test]
fn a_sheet_that_cannot_be_written_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(mp_train(folder.path(), &["data", "inspect", "digits", "--sheet", "none/sheet.png"]));
    assert!(error.contains("cannot write none/sheet.png: No such file"), "{error}");
}

/// The names of the files in a folder, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_packed_set_is_read_like_the_set_itself_and_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let pack = ["data", "pack", "digits", "digits.mpd"];
    let said = succeed(mp_train(folder.path(), &pack));
    let bytes = fs::metadata(folder.path().join("digits.mpd")).unwrap().len();
    let grouped = format!("{},{:03}", bytes / 1000, bytes % 1000);
    assert_eq!(said, format!("1,797 images in digits.mpd, {grouped} bytes\n"));
    let table = |name| succeed(mp_train(folder.path(), &["data", "inspect", name]));
    let counts = |table: String| table.split_once("\n\n").unwrap().1.to_owned();
    assert_eq!(counts(table("./digits.mpd")), counts(table("digits")));

    let error = refused(mp_train(folder.path(), &pack));
    assert!(error.contains("digits.mpd: there already: choose another name, or replace it with --force"), "{error}");
    succeed(mp_train(folder.path(), &[&pack[..], &["--force", "--size", "4"]].concat()));
    assert!(table("./digits.mpd").contains("4x4x1"));
    assert_eq!(names(folder.path()), ["digits.mpd"]);
}

#[test]
fn what_cannot_be_packed_is_one_line_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, message) in [
        (&["digits", "a.mpd", "--encoded"][..], "`digits/train` has no encoded pictures: pack their pixels instead"),
        (&["digits", "none/a.mpd"], "cannot write none/a.mpd: No such file"),
        (&["digits", "a.mpd", "--size", "0"], "0 is not in 1..=4096"),
        (&["./nothing", "a.mpd"], "./nothing is missing"),
    ] {
        let error = refused(mp_train(folder.path(), &[&["data", "pack"], arguments].concat()));
        assert!(error.contains(message), "{error}");
    }
    assert_eq!(names(folder.path()), Vec::<String>::new());
}

/// A disk that is full looks to a process like a file that may not grow: writing fails half-way.
#[cfg(unix)]
#[test]
fn a_full_disk_is_one_line_and_leaves_nothing_packed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("old.mpd"), "old").unwrap();
    for arguments in ["new.mpd", "old.mpd --force"] {
        let mut command = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f 8; exec \"$0\" data pack digits {arguments}");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_mp-train")]).current_dir(folder.path());
        let error = refused(command);
        assert!(error.contains(&arguments[..7]) && error.contains("File too large"), "{error}");
    }
    assert_eq!(names(folder.path()), ["old.mpd"]);
    assert_eq!(fs::read(folder.path().join("old.mpd")).unwrap(), b"old");
}

#[test]
fn what_cannot_be_fetched_or_opened_is_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let error = refused(mp_train(folder.path(), &["data", "fetch", "cifar-10"]));
    assert!(error.contains("unknown data set `cifar-10`: did you mean `cifar10`"), "{error}");
    assert!(refused(mp_train(folder.path(), &["data", "fetch", "digits"])).contains("`digits` is built in"));
    assert!(refused(mp_train(folder.path(), &["data", "inspect", "./none"])).contains("./none is missing"));
    let error = refused(mp_train(folder.path(), &["data", "fetch", "imagenet"]));
    assert!(
        error.contains("`imagenet` cannot be fetched: register at") && error.contains("no-data/imagenet/train/n0144")
    );
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
