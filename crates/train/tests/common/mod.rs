//! Small runs on the embedded digits.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use mp_train::recipe::{Override, Recipe};
use mp_train::run::{self, Finished, Start};
use mp_train::{Error, RunFolder};

/// A recipe that trains in a second: two routed paths of four channels on digits, changed by `--set` arguments.
pub(crate) fn recipe(overrides: &[&str]) -> Recipe {
    let small = [
        "model.name=base_cnn_w4_x2_cc",
        "train.epochs=2",
        "train.batch_size=32",
        "train.threads=1",
        "data.workers=1",
        "data.limit=320",
    ];
    let overrides: Vec<Override> = small.iter().chain(overrides).map(|text| text.parse().unwrap()).collect();
    Recipe::resolve(Some("digits"), &overrides).unwrap()
}

/// Trains in the folder `out`.
pub(crate) fn train(recipe: &Recipe, out: &Path) -> Result<Finished, Error> {
    run::train(recipe, out, Start::New, Path::new("no cache: digits are built in"), &mut (), &AtomicBool::new(false))
}

/// Trains in a folder that lasts as long as the first value.
pub(crate) fn trained(overrides: &[&str]) -> (tempfile::TempDir, RunFolder) {
    let root = tempfile::tempdir().unwrap();
    let finished = train(&recipe(overrides), &root.path().join("run")).unwrap();
    (root, finished.folder)
}
