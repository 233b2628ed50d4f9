//! Many inputs, good and bad.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use super::*;

/// Weights of a small network, a folder with 70 pictures at several depths, and what is no picture.
fn pictures() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..70_u8 {
        let inside = folder.path().join("in").join(format!("{}", number / 25));
        fs::create_dir_all(&inside).unwrap();
        image::GrayImage::from_pixel(9, 9, image::Luma([number]))
            .save(inside.join(format!("{number:02}.png")))
            .unwrap();
    }
    fs::write(folder.path().join("in/notes.txt"), "text").unwrap();
    fs::write(folder.path().join("in/1/anim.gif"), "GIF89a").unwrap();
    succeed(mp_train(folder.path(), &["weights", "base_cnn_w2", "w.safetensors"]));
    folder
}

fn predict(folder: &Path, arguments: &[&str]) -> Command {
    let network = ["predict", "--model", "base_cnn_w2", "--weights", "w.safetensors", "--top", "1"];
    mp_train(folder, &[&network, arguments].concat())
}

/// The images of CSV output.
fn images(text: &str) -> Vec<String> {
    csv::Reader::from_reader(text.as_bytes()).records().map(|record| record.unwrap()[0].to_owned()).collect()
}

#[test]
fn a_folder_is_read_at_any_depth_and_what_is_left_out_is_named() {
    let folder = pictures();
    let output = predict(folder.path(), &["in", "--csv"]).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let found = images(&stdout(&output));
    assert_eq!((found.len(), found[0].as_str(), found[69].as_str()), (70, "in/0/00.png", "in/2/69.png"));
    assert_eq!(stderr(&output), "not used: 1 .gif, 1 .txt\n");
}

#[test]
fn a_list_is_read_from_a_file_or_standard_input() {
    let folder = pictures();
    fs::write(folder.path().join("list.txt"), "in/0/03.png\r\n\nin/2\n").unwrap();
    let found = images(&succeed(predict(folder.path(), &["--list", "list.txt", "--csv"])));
    assert_eq!((found.len(), found[0].as_str(), found[1].as_str()), (21, "in/0/03.png", "in/2/50.png"));

    let mut child = predict(folder.path(), &["in/0/00.png", "--list", "-", "--csv"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"in/1/25.png\nin/1/26.png").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(images(&stdout(&output)), ["in/0/00.png", "in/1/25.png", "in/1/26.png"]);
    assert!(refused(predict(folder.path(), &["--list", "none.txt"])).contains("cannot read none.txt"));
}

#[test]
fn bad_files_stand_beside_the_results_of_the_others() {
    let folder = pictures();
    fs::write(folder.path().join("in/1/30a.png"), "no picture").unwrap();
    fs::write(folder.path().join("in/0/empty.jpg"), "").unwrap();
    let output = predict(folder.path(), &["none.png", "in", "in/0/00.png", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let found: Vec<Value> = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((found.len(), &found[70]["image"]), (71, &"in/0/00.png".into()));
    let error = stderr(&output);
    for expected in [
        "mp-train: error: cannot read none.png: No such file",
        "mp-train: error: cannot decode in/0/empty.jpg: ",
        "mp-train: error: cannot decode in/1/30a.png: expected a JPEG, PNG, WebP or BMP picture",
        "mp-train: error: 3 files could not be classified, 71 images were",
    ] {
        assert!(error.lines().any(|line| line.starts_with(expected)), "{expected} is not in {error}");
    }
    // Bad ones alone: each is named, and nothing else.
    let output = predict(folder.path(), &["none.png", "in/0/empty.jpg", "--csv"]).output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).lines().count()), (Some(1), 3));
    assert_eq!(stdout(&output), "image,rank,class,probability\n");
}

#[test]
fn rows_of_logits_stand_for_inputs_and_so_one_that_is_bad_ends_them() {
    let folder = pictures();
    succeed(predict(folder.path(), &["in", "--logits", "all.npy"]));
    // NumPy's format: a header, padded to 128 bytes, then ten float32 each.
    assert_eq!(fs::metadata(folder.path().join("all.npy")).unwrap().len(), 128 + 70 * 40);
    let error = refused(predict(folder.path(), &["in/0/00.png", "none.png", "--logits", "two.npy"]));
    assert!(error.contains("cannot read none.png"), "{error}");
    assert!(!folder.path().join("two.npy").exists());
}

#[test]
fn names_that_would_break_a_line_are_quoted_or_escaped() {
    let folder = pictures();
    let name = "in/0/a,\"b\"\n\u{1b}[31m.png";
    fs::copy(folder.path().join("in/0/00.png"), folder.path().join(name)).unwrap();
    assert_eq!(images(&succeed(predict(folder.path(), &[name, "--csv"]))), [name]);
    let table = succeed(predict(folder.path(), &[name]));
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("a,\"b\"\\n\\u{1b}[31m.png"), "{table}");
    let json: Value = serde_json::from_str(&succeed(predict(folder.path(), &[name, "--json"]))).unwrap();
    assert_eq!(json[0]["image"], name);
}

#[test]
fn an_empty_folder_or_list_is_refused() {
    let folder = pictures();
    fs::create_dir(folder.path().join("empty")).unwrap();
    fs::write(folder.path().join("empty.txt"), "\n\n").unwrap();
    for arguments in [&["empty"][..], &["--list", "empty.txt"], &["empty", "--logits", "out.npy"]] {
        let error = refused(predict(folder.path(), arguments));
        assert!(error.contains("no images, expected at least one"), "{error}");
    }
    assert!(!folder.path().join("out.npy").exists());
}
