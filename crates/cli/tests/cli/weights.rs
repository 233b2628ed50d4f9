//! Weights of files: what starts a run, what is refused, and what comes out.

use std::collections::BTreeMap;
use std::fs;
use std::sync::LazyLock;

use mp_nn::{Tensor, load_tensors, save_tensors};

use super::*;

/// A folder with the starting weights of a small network, `one.safetensors`.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    succeed(mp_train(folder.path(), &["weights", "base_cnn_w4", "one.safetensors", "--seed", "7"]));
    folder
});

fn tensors(path: &Path) -> BTreeMap<String, Tensor> {
    load_tensors(path).unwrap().tensors
}

/// The arguments of a short run of `model` in `out`.
fn run<'a>(model: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["train", "--out", out, "--model", model][..], &SMALL[2..], more].concat()
}

#[track_caller]
fn trained(model: &str, out: &str, more: &[&str]) -> Output {
    let mut command = mp_train(FOLDER.path(), &run(model, out, more));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    output
}

/// Refused by one line, without a folder.
#[track_caller]
fn not_started(model: &str, more: &[&str]) -> String {
    let error = refused(mp_train(FOLDER.path(), &run(model, "nowhere", more)));
    assert!(!FOLDER.path().join("nowhere").exists());
    error
}

fn file(name: &str) -> std::path::PathBuf {
    FOLDER.path().join(name)
}

fn golden(name: &str) -> String {
    format!("{}/../nn/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_run_says_what_it_starts_from() {
    // The digits have as many classes as the network was made for.
    let output = trained("base_cnn_w4", "from_one", &["--init", "one.safetensors"]);
    let expected = "starts from 22 tensors of one.safetensors by the names of `base_cnn_w4`";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    let output = trained("base_cnn_w4_x2_cc", "from_one_twice", &["--init", "one.safetensors"]);
    assert!(stderr(&output).contains(", each at 2 places of `base_cnn_w4_x2_cc`"), "{}", stderr(&output));
    let recipe = fs::read_to_string(file("from_one_twice/recipe.toml")).unwrap();
    assert!(recipe.contains("one.safetensors"), "{recipe}");
}

#[test]
fn a_run_is_continued_without_the_file_and_not_with_another() {
    fs::copy(file("one.safetensors"), file("gone.safetensors")).unwrap();
    trained("base_cnn_w4", "continued", &["--init", "gone.safetensors"]);
    fs::remove_file(file("gone.safetensors")).unwrap();
    let resume = ["train", "--resume", "--out", "continued", "--set", "train.epochs=2"];
    succeed(mp_train(FOLDER.path(), &resume));
    let error = refused(mp_train(FOLDER.path(), &[&resume[..], &["--set", "model.init=one.safetensors"]].concat()));
    assert!(error.contains("the run was started with model.init = "), "{error}");
    let error = refused(mp_train(FOLDER.path(), &[&resume[..], &["--init", "one.safetensors"]].concat()));
    assert!(error.contains("cannot be used with"), "{error}");
}

#[test]
fn frozen_tensors_stay_as_they_are_to_the_last_bit() {
    let settings = ["--set", "finetune.freeze=[\"stage1\", \"dense\"]", "--set", "finetune.rates.fc=10"];
    trained("base_cnn_w4", "frozen", &[&["--init", "one.safetensors"], &settings[..]].concat());
    let (before, after) = (tensors(&file("one.safetensors")), tensors(&file("frozen/checkpoints/last.safetensors")));
    for (name, tensor) in &before {
        let frozen = name.starts_with("stage1") || name.starts_with("dense");
        assert_eq!(tensor.equal(&after[name]), frozen, "{name}");
    }
    let error = not_started("base_cnn_w4", &["--set", "finetune.freeze=[\"stag1\"]"]);
    assert!(error.contains("finetune.freeze is \"stag1\", expected a pattern that matches"), "{error}");
    assert!(error.contains("such as stage1, stage2, stage3"), "{error}");
    let error = not_started("base_cnn_w4", &["--set", "finetune.rates.fc=0"]);
    assert!(error.contains("finetune.rates is 0 for `fc`, expected a factor, 1e-6 to 1000000"), "{error}");
}

#[test]
fn what_cannot_be_read_is_refused_before_anything_is_written() {
    let legacy = fs::read(golden("tensors_legacy.pth")).unwrap();
    fs::write(file("short.pth"), &legacy[..legacy.len() - 40]).unwrap();
    for (init, expected) in [
        ("none.pth".to_owned(), "cannot read "),
        (golden("bad_reduce.pth"), "bad_reduce.pth "),
        (golden("bad_reduce_legacy.pth"), "bad_reduce_legacy.pth "),
        ("short.pth".to_owned(), "short.pth is cut short"),
        (golden("make_pth.py"), "make_pth.py is not a whole safetensors file"),
    ] {
        let error = not_started("base_cnn_w4", &["--init", &init]);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn weights_of_another_network_are_named_by_what_differs() {
    let half: Vec<_> = tensors(&file("one.safetensors")).into_iter().take(9).collect();
    save_tensors(&file("half.safetensors"), &half, std::collections::HashMap::new()).unwrap();
    let error = not_started("base_cnn_w4", &["--init", "half.safetensors"]);
    assert!(error.contains("weights of another model than `base_cnn_w4`: by the names of `base_cnn_w4`"), "{error}");
    assert!(error.contains(" missing ("), "{error}");
    let error = not_started("base_cnn_w8", &["--init", "one.safetensors"]);
    assert!(
        error.contains("of another shape (stage1.0.conv1.weight: model [8, 1, 3, 3], file [4, 1, 3, 3]"),
        "{error}"
    );
    let error = not_started("resnet20", &["--init", "one.safetensors"]);
    assert!(error.contains("missing (") && error.contains("unexpected ("), "{error}");
}

#[test]
fn a_scheme_can_be_forced_and_is_asked_for_by_its_name() {
    let renamed = |name: String| match name.strip_prefix("fc.") {
        Some(rest) => format!("linear.{rest}"),
        None => name,
    };
    let other: Vec<_> = tensors(&file("one.safetensors")).into_iter().map(|(name, t)| (renamed(name), t)).collect();
    save_tensors(&file("linear.safetensors"), &other, std::collections::HashMap::new()).unwrap();
    let output = trained("base_cnn_w4", "found", &["--init", "linear.safetensors"]);
    assert!(
        stderr(&output).contains("22 tensors of linear.safetensors by the names of akamaster"),
        "{}",
        stderr(&output)
    );
    trained("base_cnn_w4", "forced", &["--init", "linear.safetensors", "--scheme", "akamaster"]);
    let error = not_started("base_cnn_w4", &["--init", "linear.safetensors", "--scheme", "torchvision"]);
    assert!(error.contains("by the names of torchvision, which come nearest, "), "{error}");
    let error = not_started("base_cnn_w4", &["--init", "linear.safetensors", "--scheme", "torchvison"]);
    assert!(error.contains("there is no scheme of names `torchvison`: the nearest are torchvision"), "{error}");
    let evaluated = ["eval", "--model", "base_cnn_w4", "--weights", "linear.safetensors", "--data", "digits"];
    let by_trying = succeed(mp_train(FOLDER.path(), &evaluated));
    let by_name = succeed(mp_train(FOLDER.path(), &[&evaluated[..], &["--scheme", "akamaster"]].concat()));
    assert_eq!(by_trying, by_name);
}

#[test]
fn a_head_for_other_classes_starts_anew() {
    let mut other = tensors(&file("one.safetensors"));
    let rows = |tensor: &Tensor| Tensor::cat(&[tensor, tensor], 0);
    for name in ["fc.weight", "fc.bias"] {
        let twice = rows(&other[name]);
        other.insert(name.to_owned(), twice);
    }
    let other: Vec<_> = other.into_iter().collect();
    save_tensors(&file("twenty.safetensors"), &other, std::collections::HashMap::new()).unwrap();
    let output = trained("base_cnn_w4", "ten", &["--init", "twenty.safetensors"]);
    let expected =
        "20 tensors of twenty.safetensors by the names of `base_cnn_w4`; the head fc (20 classes, here 10) starts anew";
    assert!(stderr(&output).contains(expected), "{}", stderr(&output));
    // Evaluation has no other head to start from.
    let evaluated = ["eval", "--model", "base_cnn_w4", "--weights", "twenty.safetensors", "--data", "digits"];
    let error = refused(mp_train(FOLDER.path(), &evaluated));
    assert!(error.contains("expected 20 classes") || error.contains("expected the 20 classes"), "{error}");
}

#[test]
fn a_runs_weights_come_out_under_public_names_where_it_has_any() {
    trained("base_cnn_w4", "single", &[]);
    trained("base_cnn_w4_x2_cc", "paths", &[]);
    let out = ["--as", "torchvision", "--out", "public.safetensors"];
    let said = succeed(mp_train(FOLDER.path(), &[&["weights", "single"], &out[..]].concat()));
    assert!(said.starts_with("base_cnn_w4: ") && said.contains("parameters in public.safetensors"), "{said}");
    let (public, all) = (tensors(&file("public.safetensors")), tensors(&file("single/checkpoints/last.safetensors")));
    assert!(public.keys().all(|name| !name.contains('/')));
    assert!(public.iter().all(|(name, tensor)| tensor.equal(&all[name])));
    let error = refused(mp_train(FOLDER.path(), &["weights", "paths", "--as", "timm", "--out", "no.safetensors"]));
    assert!(
        error.contains("`base_cnn_w4_x2_cc` has no public names for its weights: they are those of single"),
        "{error}"
    );
    assert!(!file("no.safetensors").exists());
    succeed(mp_train(FOLDER.path(), &["weights", "paths", "--out", "own.safetensors"]));
    let error = refused(mp_train(FOLDER.path(), &["weights", "runs/none", "--out", "no.safetensors"]));
    assert!(error.contains("runs/none"), "{error}");
}

#[test]
fn models_are_timed_with_weights() {
    let bench =
        ["bench", "base_cnn_w4", "base_cnn_w4_x2", "--weights", "one.safetensors", "--rounds", "1", "--batch", "2"];
    succeed(mp_train(FOLDER.path(), &bench));
    let error = refused(mp_train(FOLDER.path(), &["bench", "base_cnn_w8", "--weights", "one.safetensors"]));
    assert!(error.contains("weights of another model than `base_cnn_w8`"), "{error}");
}
