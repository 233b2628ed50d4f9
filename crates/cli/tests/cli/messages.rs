//! What a message says, and how the binary ends where the system gives it less than it needs.

use std::fs;

use super::*;

#[test]
fn one_key_of_a_table_with_a_kind_can_be_set_alone() {
    let folder = tempfile::tempdir().unwrap();
    let kept = |run: &str| fs::read_to_string(folder.path().join(run).join("recipe.toml")).unwrap();
    for (run, sets, expected) in [
        ("a", &["model.routing.mixer.temperature=0.5"][..], "kind = \"gate\"\nhidden = 16\ntemperature = 0.5"),
        (
            "b",
            &["model.routing.mixer.hidden=8", "model.routing.mixer.normalisation=sources"],
            "kind = \"gate\"\nhidden = 8",
        ),
        (
            "c",
            &["model.routing.mixer={kind=\"learned\"}", "model.routing.mixer.diagonal=2.5"],
            "kind = \"learned\"\ndiagonal = 2.5",
        ),
    ] {
        let mut arguments = [&["train", "--out", run], &SMALL[..]].concat();
        sets.iter().for_each(|set| arguments.extend(["--set", set]));
        succeed(mp_train(folder.path(), &arguments));
        assert!(kept(run).contains(expected), "{}", kept(run));
    }
    fs::write(folder.path().join("mine.toml"), "[model.routing.mixer]\ntemperature = 2.0\n").unwrap();
    succeed(mp_train(folder.path(), &[&["train", "mine.toml", "--out", "d"], &SMALL[..]].concat()));
    assert!(kept("d").contains("kind = \"gate\"\nhidden = 16\ntemperature = 2.0"), "{}", kept("d"));
    let error = refused(mp_train(folder.path(), &["bench", "base_cnn_x2_cc@mixer.temperatur=2"]));
    assert!(error.contains("unknown key `temperatur`, did you mean `temperature`?"), "{error}");
}

#[test]
fn any_name_that_builds_is_listed_with_its_cost() {
    let listed = |pattern: &str| -> serde_json::Value {
        serde_json::from_str(&succeed(mp_train(Path::new("."), &["models", pattern, "--json"]))).unwrap()
    };
    for name in ["resnet20_w28_x3_cc", "base_cnn_w5", "vgg13_unbiased_cifar_e7", "resnet18_x2_cp@form=gated"] {
        assert_eq!(listed(name)[0]["name"], name);
        assert!(listed(name)[0]["parameters"].as_u64().unwrap() > 1000);
    }
    // The same network under both of its names.
    assert_eq!(listed("resnet20_w16")[0]["parameters"], listed("resnet20")[0]["parameters"]);
    for (name, hint) in [
        ("resnet20_x99", "`resnet20_x99`: paths: expected 2 to 8, found 99"),
        ("resnet20_y3", "`_y3` is no variant"),
        ("resnte20", "the nearest are"),
    ] {
        let error = refused(mp_train(Path::new("."), &["models", name]));
        assert!(error.contains(&format!("no listed model contains `{name}`, and ")) && error.contains(hint), "{error}");
    }
}

#[test]
fn files_that_are_no_weights_are_called_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let zip = |name: &str| [b"PK\x03\x04\x14\0\0\0\0\0".as_slice(), name.as_bytes(), &[0; 64]].concat();
    for (name, bytes, expected) in [
        ("a.pth", zip("archive/data.pkl"), "a.pth is damaged or cut short: as a zip archive"),
        (
            "b.pt",
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.".to_vec(),
            "b.pt is damaged or cut short: its pickle, byte 0: expected",
        ),
        ("c.npz", zip("fc.weight.npy"), "c.npz is an archive of NumPy arrays"),
        ("d.safetensors", b"<!DOCTYPE html><title>Not found</title>".to_vec(), "d.safetensors is a web page"),
        (
            "e.safetensors",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(),
            "e.safetensors is a Git LFS pointer that stands for the file, expected a safetensors file: run `git lfs pull`",
        ),
        ("f.safetensors", Vec::new(), "f.safetensors is not a whole safetensors file"),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
        let error = refused(mp_train(folder.path(), &["predict", "--model", "base_cnn", "--weights", name, "a.png"]));
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_batch_that_batch_norm_cannot_learn_from_names_the_layer() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        ["--model", "resnet18_w4", "--set", "data.size=32", "--set", "train.batch_size=1", "--set", "data.limit=8"],
        ["--model", "resnet18_w4", "--set", "data.size=32", "--set", "data.limit=1", "--set", "train.epochs=1"],
        [
            "--model",
            "resnet34_w4_x2_cc",
            "--set",
            "data.size=16",
            "--set",
            "train.batch_size=1",
            "--set",
            "data.limit=8",
        ],
    ] {
        let error = refused(mp_train(folder.path(), &[&["train", "digits", "--out", "run"], &arguments[..]].concat()));
        assert!(
            error.contains("train.batch_size is 1 (or there is one training image), expected at least 2"),
            "{error}"
        );
        assert!(error.contains("the batch-norm `") && error.contains("bn1` of `"), "{error}");
        assert!(!folder.path().join("run").exists());
    }
}

/// Without a home, as under systemd, cron and in some containers.
#[test]
fn what_is_embedded_or_named_by_its_path_needs_no_home() {
    let folder = tempfile::tempdir().unwrap();
    let homeless = |arguments: &[&str]| {
        let mut command = mp_train(folder.path(), arguments);
        command.env_remove("MULTIPATH_DATA").env_remove("HOME").env_remove("XDG_CACHE_HOME");
        command
    };
    succeed(homeless(&[&["train", "--out", "run"], &SMALL[..]].concat()));
    succeed(homeless(&["eval", "run"]));
    succeed(homeless(&["data", "pack", "digits", "digits.mpd"]));
    succeed(homeless(&["data", "inspect", "./digits.mpd"]));
    for arguments in [&["data", "inspect", "cifar10"][..], &["train", "--model", "base_cnn", "--data", "mnist"]] {
        let error = refused(homeless(arguments));
        let name = arguments.last().unwrap();
        let expected = format!("no folder for the data set `{name}`: give --data-dir, or set MULTIPATH_DATA or HOME");
        assert!(error.contains(&expected), "{error}");
    }
    let error = refused(homeless(&["data", "fetch", "mnist"]));
    assert!(error.contains("no folder for data sets: give --data-dir"), "{error}");
    assert!(!folder.path().join("mnist").exists());
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = "a.".repeat(50_000);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("deep.toml"), format!("{deep}b = 1\n")).unwrap();
    fs::write(folder.path().join("table.toml"), format!("[{deep}b]\n")).unwrap();
    fs::write(folder.path().join("list.toml"), format!("a = {}\n", "[".repeat(50_000))).unwrap();
    for arguments in [
        vec!["train".to_owned(), format!("--set={deep}b=1")],
        vec!["train".to_owned(), "digits".to_owned(), format!("--set=train.epochs={{{deep}b=1}}")],
        vec!["train".to_owned(), "digits".to_owned(), format!("--set=train.epochs={}", "[".repeat(50_000))],
        vec!["train".to_owned(), "deep.toml".to_owned()],
        vec!["train".to_owned(), "table.toml".to_owned()],
        vec!["train".to_owned(), "list.toml".to_owned()],
        vec!["bench".to_owned(), format!("base_cnn_x2_cc@{deep}b=1")],
        vec!["models".to_owned(), "m".repeat(100_000)],
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let error = refused(mp_train(folder.path(), &arguments));
        assert!(error.chars().count() < 2500, "{} characters", error.chars().count());
    }
}

#[test]
fn no_character_of_a_message_moves_the_cursor_or_turns_the_writing() {
    for (name, shown) in [
        ("\u{1b}[31mred", "\\u{1b}[31mred"),
        ("gnp.\u{202e}exe", "gnp.\\u{202e}exe"),
        ("a\u{2066}b\u{2069}", "a\\u{2066}b\\u{2069}"),
        ("two\nlines", "two\\nlines"),
        ("bell\u{7}", "bell\\u{7}"),
    ] {
        for arguments in [&["train", name][..], &["eval", name], &["models", name], &["data", "inspect", name]] {
            let error = refused(mp_train(Path::new("."), arguments));
            assert!(error.contains(shown), "{arguments:?}: {error:?}");
            assert!(!error.trim_end().contains(|c: char| c.is_control() || ('\u{202a}'..='\u{2069}').contains(&c)));
        }
    }
}

#[test]
fn thread_counts_from_the_environment_are_checked() {
    for (name, value) in [
        ("RAYON_NUM_THREADS", "4000"),
        ("OMP_NUM_THREADS", "100000"),
        ("RAYON_NUM_THREADS", "many"),
        ("MKL_NUM_THREADS", "-2"),
        ("RAYON_NUM_THREADS", "9999999999999999999999"),
    ] {
        let mut command = mp_train(Path::new("."), &["data", "inspect", "digits"]);
        let error = refused({
            command.env(name, value);
            command
        });
        let expected = format!("the environment sets {name} to `{value}`, expected a number of threads, 1 to ");
        assert!(error.contains(&expected), "{error}");
    }
    let mut command = mp_train(Path::new("."), &["models", "base_cnn"]);
    command.env("OMP_NUM_THREADS", "2,1").env("RAYON_NUM_THREADS", "1");
    succeed(command);
}

#[cfg(target_os = "linux")]
#[test]
fn too_little_address_space_is_one_line() {
    // Below some 400 MB the dynamic linker gives up before the program begins.
    for kilobytes in ["500000", "600000", "900000", "1000000"] {
        for arguments in ["train digits --out run", "data inspect digits", "models"] {
            let folder = tempfile::tempdir().unwrap();
            let mut command = Command::new("sh");
            let script = format!("ulimit -v {kilobytes}; exec \"$0\" {arguments}");
            command.args(["-c", &script, env!("CARGO_BIN_EXE_mp-train")]).current_dir(folder.path());
            command.env_remove("RUST_BACKTRACE").env("MULTIPATH_DATA", "no-data");
            let error = refused(command);
            assert!(error.contains("not enough memory: the address space is limited to"), "{error}");
            assert!(!folder.path().join("run").exists());
        }
    }
}

#[cfg(unix)]
#[test]
fn arguments_that_are_no_text_are_refused_or_shown() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let odd = OsStr::from_bytes(b"caf\xe9");
    for (arguments, help) in [(&["train"][..], "train"), (&["models"], "models"), (&["data", "fetch"], "data fetch")] {
        let mut command = mp_train(Path::new("."), arguments);
        command.arg(odd);
        let error = refused(command);
        assert!(
            error.contains(&format!("invalid UTF-8 was detected in one or more arguments; see `mp-train help {help}`")),
            "{error}"
        );
    }
    let mut command = mp_train(Path::new("."), &["eval"]);
    command.arg(odd);
    assert!(refused(command).contains("holds no run"));
}
