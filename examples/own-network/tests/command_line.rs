//! The command line knows what the program added to the library.

use assert_cmd::Command;

fn run(arguments: &[&str]) -> assert_cmd::assert::Assert {
    Command::new(env!("CARGO_BIN_EXE_own-network")).args(arguments).assert()
}

#[test]
fn its_networks_are_listed_with_their_forms() {
    let output = run(&["models", "tiny_separable", "--json"]).success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    for name in ["tiny_separable", "tiny_separable_x2_cc", "tiny_separable_x3_bright", "tiny_separable_e2"] {
        assert!(text.contains(&format!("\"{name}\"")), "{name} is not in {text}");
    }
    // A block without a single first layer has no cross-predictions.
    assert!(!text.contains("_cp"), "{text}");
}

#[test]
fn they_train_route_and_are_judged() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let out = out.to_str().unwrap();
    run(&["train", "digits", "--model", "tiny_separable_w4_x2_bright", "--set", "train.epochs=1", "--out", out])
        .success();
    let routes = run(&["routes", out]).success().get_output().stdout.clone();
    assert!(String::from_utf8(routes).unwrap().contains("stage2"));
    run(&["eval", out]).success();
}
