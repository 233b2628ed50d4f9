//! Numbers out of their range, and lists where tables belong: refused in one line, with nothing written.

use super::*;

/// Must refuse to train the digits with these keys set, and leave nothing behind.
#[track_caller]
fn refused_set(sets: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = vec!["train", "digits", "--out", "run"];
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    let error = refused(mp_train(folder.path(), &arguments));
    assert!(!folder.path().join("run").exists(), "the refused run left a folder");
    error
}

#[test]
fn a_number_beyond_its_range_is_refused_whatever_ignores_it() {
    for (sets, expected) in [
        (
            &["train.epochs=4611686018427387904"][..],
            "train.epochs is 4611686018427387904, expected a whole number of epochs",
        ),
        (
            &["train.batch_size=9223372036854775807"],
            "train.batch_size is 9223372036854775807, expected a whole number of images",
        ),
        (&["data.limit=9223372036854775807"], "data.limit is 9223372036854775807"),
        (&["train.accumulate=9223372036854775807"], "train.accumulate is 9223372036854775807"),
        (&["train.log_every=9223372036854775807"], "train.log_every is 9223372036854775807"),
        (&["data.workers=4000"], "data.workers is 4000, expected a whole number of threads, 0 to 256"),
        (&["train.threads=4000"], "train.threads is 4000, expected a whole number of threads, 0 to 256"),
        (&["train.seed=-1"], "train.seed is -1, expected a whole number, 0 to 9223372036854775807"),
        (&["train.epochs=1.5"], "train.epochs is 1.5, expected a whole number of epochs, 1 to 1000000"),
        (
            &["optimiser.name=sgd", "optimiser.betas=[nan, 0.9]"],
            "optimiser.betas is [nan, 0.9], expected a number, at least 0",
        ),
        (&["schedule.gamma=nan"], "schedule.gamma is nan, expected a number, above 0"),
        (&["data.shard_group=-3"], "data.shard_group is -3, expected a whole number of files"),
        (&["model.name=base_cnn", "model.routing.mixer.temperature=nan"], "model.routing.mixer.temperature is nan"),
        (
            &["data.augment.gaussian_blur={probability=0.0, sigma=[2.0, 0.1]}"],
            "data.augment.gaussian_blur.sigma is [2.0, 0.1]",
        ),
        (&["routing_loss.target_rate.rate=nan"], "routing_loss.target_rate.rate is nan"),
        (&["train.class_weights=[1.0, nan]"], "train.class_weights is [1.0, nan]"),
        (&["train.patience=-1"], "train.patience is -1, expected a whole number of epochs, 0 to 1000000"),
    ] {
        let error = refused_set(sets);
        assert!(error.contains(expected), "{sets:?}: {error}");
    }
}

#[test]
fn a_list_is_not_taken_for_a_table() {
    for (set, expected) in [
        ("model.routing=[\"blocks\"]", "`model.routing` is a list, expected a table"),
        ("model.routing.mixer=[16, 0.5]", "`model.routing.mixer` is a list, expected a table"),
        ("data.augment=[]", "`data.augment` is a list, expected a table"),
        ("data.augment.random_erasing=[0.5]", "`data.augment.random_erasing` is a list, expected a table"),
        ("routing_loss.target_rate=[1.0, 0.5]", "`routing_loss.target_rate` is a list, expected a table"),
        ("train.precision={fp32={}}", "`train.precision` is a table, expected a value"),
    ] {
        let error = refused_set(&[set]);
        assert!(error.contains(&format!("--set {set}: ")) && error.contains(expected), "{error}");
    }
    for text in ["model = [\"base_cnn\"]", "train = [1]", "optimiser = [\"sgd\", 0.1]"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine.toml"), text).unwrap();
        let error = refused(mp_train(folder.path(), &["train", "mine.toml"]));
        let table = text.split(' ').next().unwrap();
        assert!(
            error.contains(&format!("mine.toml: `{table}` is a list, expected a table such as [{table}]")),
            "{error}"
        );
    }
}

#[test]
fn a_model_that_routes_nowhere_is_refused() {
    for model in ["base_cnn_x2_cc", "resnet20_x2_cp", "vgg13_unbiased_cifar_x3_stitch"] {
        let error = refused_set(&[&format!("model.name={model}"), "model.routing.positions=[]"]);
        assert!(
            error.contains("model.routing.positions is [], expected \"stages\", \"blocks\" or at least one"),
            "{error}"
        );
    }
    let error = refused(mp_train(Path::new("."), &["bench", "base_cnn_x2_cc@positions=[]"]));
    assert!(error.contains("`base_cnn_x2_cc` routes"), "{error}");
}

#[test]
fn numbers_on_the_command_line_have_ranges_too() {
    for (arguments, expected) in [
        (&["predict", "run", "a.png", "--top", "0"][..], "0 is not in 1..=1000000"),
        (&["predict", "run", "a.png", "--top", "99999999999999999999"], "--top"),
        (&["bench", "base_cnn", "--batch", "0"], "0 is not in 1..=65536"),
        (&["bench", "base_cnn", "--batch", "9223372036854775808"], "--batch"),
        (&["bench", "base_cnn", "--rounds", "0"], "0 is not in 1..=1000000"),
        (&["bench", "base_cnn", "--threads", "100000"], "100000 is not in 0..=256"),
        (&["bench", "base_cnn", "--threads", "-1"], "-1"),
        (&["data", "pack", "digits", "a.mpd", "--size", "nan"], "--size"),
        (&["weights", "base_cnn", "a.safetensors", "--seed", "9223372036854775808"], "--seed"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let error = refused(mp_train(folder.path(), arguments));
        let command = arguments.iter().take_while(|word| !word.contains('_') && **word != "run" && **word != "digits");
        let help = format!("see `mp-train help {}`", command.copied().collect::<Vec<_>>().join(" "));
        assert!(error.contains(expected) && error.contains(&help), "{error}");
    }
}
