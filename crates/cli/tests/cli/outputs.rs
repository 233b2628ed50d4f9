//! No output replaces what is not its own.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::Stdio;

use super::*;

/// Every command that writes a file which the user names, on digits; `FILE` stands for it.
const WRITERS: [&[&str]; 5] = [
    &["weights", "base_cnn_w2", "FILE"],
    &["data", "inspect", "digits", "--sheet", "FILE"],
    &["data", "pack", "digits", "FILE"],
    &["eval", "--model", "base_cnn_w2", "--weights", "w.safetensors", "--data", "digits", "--predictions", "FILE"],
    &["predict", "--model", "base_cnn_w2", "--weights", "w.safetensors", "a.png", "--logits", "FILE"],
];

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    succeed(mp_train(folder.path(), &["weights", "base_cnn_w2", "w.safetensors"]));
    image::GrayImage::from_pixel(9, 9, image::Luma([9])).save(folder.path().join("a.png")).unwrap();
    folder
}

fn writer(folder: &Path, writer: &[&str], file: &str, more: &[&str]) -> Command {
    let arguments: Vec<&str> =
        writer.iter().map(|argument| if *argument == "FILE" { file } else { argument }).collect();
    mp_train(folder, &[&arguments[..], more].concat())
}

#[test]
fn an_existing_file_stays_without_force_and_is_replaced_with_it() {
    let folder = folder();
    for each in WRITERS {
        let file = folder.path().join("out.mpd");
        fs::write(&file, "mine").unwrap();
        let error = refused(writer(folder.path(), each, "out.mpd", &[]));
        assert!(error.contains("out.mpd: there already: choose another name, or replace it with --force"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        succeed(writer(folder.path(), each, "out.mpd", &["--force"]));
        assert!(fs::metadata(&file).unwrap().len() > 100, "{each:?}");
        fs::remove_file(&file).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn a_link_stays_a_link() {
    let folder = folder();
    for each in WRITERS {
        let (file, link) = (folder.path().join("real.mpd"), folder.path().join("link.mpd"));
        fs::write(&file, "mine").unwrap();
        symlink("real.mpd", &link).unwrap();
        assert!(refused(writer(folder.path(), each, "link.mpd", &[])).contains("there already"));
        succeed(writer(folder.path(), each, "link.mpd", &["--force"]));
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("real.mpd"), "{each:?}");
        assert!(fs::metadata(&file).unwrap().len() > 100, "{each:?}");
        fs::remove_file(&file).unwrap();
        assert!(refused(writer(folder.path(), each, "link.mpd", &["--force"])).contains("a link to nothing"));
        fs::remove_file(&link).unwrap();
    }
}

#[test]
fn devices_and_pipes_are_written_through_and_stay_what_they_are() {
    let folder = folder();
    for each in WRITERS {
        let error = refused(writer(folder.path(), each, "/dev/full", &[]));
        assert!(error.contains("cannot write /dev/full: No space left on device"), "{error}");
        assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());

        let pipe = folder.path().join("pipe.mpd");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        succeed(writer(folder.path(), each, "pipe.mpd", &[]));
        assert!(reader.join().unwrap().len() > 100, "{each:?}");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        fs::remove_file(&pipe).unwrap();
    }
}

#[test]
fn standard_output_gets_the_file_and_nothing_else() {
    let folder = folder();
    // A safetensors file begins with the length of its header, less than 64 KiB here, and the header.
    let weights = |bytes: &[u8]| bytes[2..].starts_with(b"\0\0\0\0\0\0{");
    for (each, magic) in WRITERS.iter().zip([&b""[..], b"\x89PNG", b"\x89MPD", b"image,label", b"\x93NUMPY"]) {
        let output = writer(folder.path(), each, "/dev/stdout", &[]).output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(output.stdout.starts_with(magic) && output.stdout.len() > 100, "{each:?}");
        assert_eq!(weights(&output.stdout), magic.is_empty(), "{each:?}");
        // Into a file too, which the shell has made.
        let file = fs::File::create(folder.path().join("redirected")).unwrap();
        assert!(
            writer(folder.path(), each, "/dev/stdout", &[])
                .stdout(file)
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(fs::read(folder.path().join("redirected")).unwrap().len(), output.stdout.len());
    }
}

#[test]
fn a_run_and_the_inputs_are_never_written_over() {
    let folder = folder();
    train_small(folder.path(), "run");
    let checkpoint = folder.path().join("run/checkpoints/last.safetensors");
    let before = fs::read(&checkpoint).unwrap();
    symlink("run/checkpoints", folder.path().join("away")).unwrap();
    for each in WRITERS {
        for place in ["run/checkpoints/last.safetensors", "run/new.mpd", "away/best.safetensors", "run/report.html"] {
            let error = refused(writer(folder.path(), each, place, &["--force"]));
            assert!(error.contains("in the run folder"), "{error}");
        }
        assert!(refused(writer(folder.path(), each, "run", &["--force"])).contains("a folder, expected"));
    }
    assert_eq!(fs::read(&checkpoint).unwrap(), before);

    let weights = fs::read(folder.path().join("w.safetensors")).unwrap();
    for each in &WRITERS[3..] {
        let error = refused(writer(folder.path(), each, "w.safetensors", &["--force"]));
        assert!(error.contains("w.safetensors: the input itself: choose another name"), "{error}");
    }
    assert_eq!(fs::read(folder.path().join("w.safetensors")).unwrap(), weights);
    succeed(mp_train(folder.path(), &["data", "pack", "digits", "d.mpd"]));
    let error = refused(mp_train(folder.path(), &["data", "pack", "./d.mpd", "d.mpd", "--force"]));
    assert!(error.contains("the input itself"), "{error}");
    let error = refused(mp_train(folder.path(), &["data", "inspect", "./d.mpd", "--sheet", "d.mpd", "--force"]));
    assert!(error.contains("the input itself"), "{error}");
}

#[test]
fn what_is_no_file_is_not_read_as_one() {
    let folder = folder();
    for name in ["pipe.npy", "pipe.safetensors"] {
        assert!(Command::new("mkfifo").arg(folder.path().join(name)).status().unwrap().success());
    }
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("zero.npy")).unwrap();
    let predict = |weights: &str, input: &str| {
        refused(mp_train(folder.path(), &["predict", "--model", "base_cnn_w2", "--weights", weights, input]))
    };
    for (weights, input, expected) in [
        ("w.safetensors", "pipe.npy", "cannot read pipe.npy: it is a pipe: expected a file"),
        ("w.safetensors", "zero.npy", "cannot read zero.npy: it is a device: expected a file"),
        ("pipe.safetensors", "a.png", "cannot read pipe.safetensors: it is a pipe: expected a file"),
        ("/dev/zero", "a.png", "cannot read /dev/zero: it is a device: expected a file"),
    ] {
        let error = predict(weights, input);
        assert!(error.contains(expected), "{error}");
    }
    let list = ["predict", "--model", "base_cnn_w2", "--weights", "w.safetensors", "--list", "/dev/zero"];
    assert!(refused(mp_train(folder.path(), &list)).contains("a line of more than 65536 bytes"));
}
