//! `cargo xtask quickstart`: from a fresh checkout to a trained, evaluated network and a picture of its routes.

use std::path::{Path, PathBuf};

use crate::cargo::{self, Checkout};
use crate::failure::Failure;

/// The name of the recipe, and of the folder under `runs` that its run goes to.
const RECIPE: &str = "quickstart";

pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    let checkout = Checkout::open(root)?;
    cargo::step("build mp-train", checkout.cargo("build --release --package mp-cli"))?;

    let program = checkout.target_folder()?.join("release").join("mp-train");
    let folder = free_folder(&root.join("runs"), RECIPE);
    let shown = folder.strip_prefix(root).unwrap_or(&folder).display().to_string();
    let mp_train = |arguments: &[&str]| {
        let mut command = checkout.command(&program);
        command.args(arguments);
        command
    };
    cargo::step("fetch Fashion-MNIST", mp_train(&["data", "fetch", "fashion-mnist"]))?;
    cargo::step("train base_cnn_x2_cc", mp_train(&["train", RECIPE, "--out", &shown]))?;
    cargo::step("evaluate on the test images", mp_train(&["eval", &shown]))?;
    println!("\n{}", next(root, &program, &shown));
    Ok(())
}

/// `runs/name`, or `runs/name-2`, `runs/name-3`... if that is taken: a run is never written over.
fn free_folder(runs: &Path, name: &str) -> PathBuf {
    let numbered = (2..).map(|n| runs.join(format!("{name}-{n}")));
    std::iter::once(runs.join(name)).chain(numbered).find(|path| !path.exists()).unwrap_or_else(|| runs.join(name))
}

fn next(root: &Path, program: &Path, run: &str) -> String {
    let program = program.strip_prefix(root).unwrap_or(program).display();
    let root = root.display();
    format!(
        "The run is in {root}/{run}
Open {root}/{run}/report.html to see its curves and its routes.

Next, in {root}:
  how the images were routed    {program} routes {run} --classes
  what routing costs in time    {program} bench base_cnn base_cnn_x2 base_cnn_x2_cc
  another network               {program} train --model resnet20_x3_cc --data fashion-mnist
  which networks there are      {program} models
  your own images and routing   docs/src/first-network.md"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_run_folder_is_left_alone() {
        let runs = std::env::temp_dir().join(format!("multipath-runs-{}", std::process::id()));
        assert_eq!(free_folder(&runs, RECIPE), runs.join("quickstart"));
        for (taken, free) in [("quickstart", "quickstart-2"), ("quickstart-2", "quickstart-3")] {
            std::fs::create_dir_all(runs.join(taken)).expect(taken);
            assert_eq!(free_folder(&runs, RECIPE), runs.join(free));
        }
        std::fs::remove_dir_all(&runs).expect("a folder of our own");
    }
}
