//! Runs that start from the weights of a file.

mod common;

use std::path::Path;
use std::sync::{Arc, LazyLock};

use common::{recipe, train, trained};
use mp_nn::{Device, Mode, Store, Tensor, load_tensors};
use mp_train::apply::Judge;
use mp_train::checkpoint::{self, Which};
use mp_train::evaluate::evaluate;
use mp_train::learn::Learner;
use mp_train::recipe::Precision;
use mp_train::split::Split;
use mp_train::weights::{Fit, WeightFile};
use mp_train::{Corpus, Recipe, RunFolder};
use mp_zoo::{InputSize, ModelOptions};

const CACHE: &str = "no cache: digits are built in";

/// A single network after two epochs on all digits.
static SINGLE: LazyLock<(tempfile::TempDir, RunFolder)> =
    LazyLock::new(|| trained(&["model.name=base_cnn_w8", "data.limit=0", "train.batch_size=8"]));

fn single() -> WeightFile {
    WeightFile::new(checkpoint::last(&SINGLE.1.checkpoints()))
}

fn starting(model: &str) -> Recipe {
    recipe(&[&format!("model.name={model}"), &format!("model.init={}", single().path().display())])
}

/// The accuracy of a model that starts from the single network, before its first step.
fn accuracy_at_start(model: &str) -> f64 {
    let recipe = starting(model);
    let corpus = Corpus::open(&recipe, Path::new(CACHE)).unwrap();
    let options = corpus.identity(&recipe).options();
    let mut learner = Learner::new(model, &options, &recipe, Device::Cpu).unwrap();
    let fit = Fit::to_start(&recipe.model.start().unwrap().unwrap(), model, &options).unwrap();
    learner.start_from(|store| fit.start(store, recipe.model.init_noise, 1)).unwrap();
    let (valid, stop) = (corpus.valid_loader(&recipe).unwrap(), Arc::default());
    evaluate(learner.model(), &valid, 10, Precision::Fp32, Device::Cpu, &stop, None).unwrap().accuracy()
}

#[test]
fn paths_and_members_start_where_the_single_network_is() {
    let judge = Judge::of_run(&SINGLE.1, Which::Last, None, Path::new(CACHE), Device::Cpu).unwrap();
    let alone = judge.evaluate(Split::Valid, None).unwrap().accuracy();
    assert!(alone > 0.85, "{alone}");
    for form in ["x2", "x2_cc", "x3_cc", "x2_cp", "x3_cp", "x2_stitch", "x2_blind", "e2"] {
        let found = accuracy_at_start(&format!("base_cnn_w8_{form}"));
        assert!((found - alone).abs() <= 0.01, "{form}: {found}, alone {alone}");
    }
}

/// Without noise, and without routers, paths give the single network's very logits.
#[test]
fn without_noise_every_path_is_the_single_network() {
    let options = ModelOptions::new(InputSize { channels: 1, size: 8, classes: 10 });
    let logits = |model: &str| {
        let store = Store::new(Device::Cpu, 5);
        let network = mp_zoo::build(model, &options, &store.root()).unwrap();
        Fit::to_start(&single(), model, &options).unwrap().start(&store, 0.0, 5).unwrap();
        let x = Tensor::from_slice(&(0..128).map(|n| (n as f32).sin()).collect::<Vec<_>>()).view([2, 1, 8, 8]);
        tch::no_grad(|| network.forward(&x, Mode::Eval).logits().copy())
    };
    let alone = logits("base_cnn_w8");
    assert!(logits("base_cnn_w8_x3").allclose(&alone, 1e-5, 1e-5, false));
    // The merge of an ensemble is a mean of probabilities.
    let probabilities = |logits: &Tensor| logits.softmax(1, tch::Kind::Float);
    assert!(probabilities(&logits("base_cnn_w8_e2")).allclose(&probabilities(&alone), 1e-5, 1e-5, false));
    // Near the identity only: copies of one network differ by nothing, so that even a mix is it.
    assert!(logits("base_cnn_w8_x2_stitch").allclose(&alone, 1e-4, 1e-4, false));
    assert!(!logits("base_cnn_w8_x2_cp").allclose(&alone, 1e-5, 1e-5, false));
}

#[test]
fn what_was_used_is_said_on_one_line() {
    let said = |model: &str, classes: i64| {
        let options = ModelOptions::new(InputSize { channels: 1, size: 8, classes });
        Fit::to_start(&single(), model, &options).unwrap().to_string()
    };
    assert_eq!(said("base_cnn_w8", 10), "22 tensors of last.safetensors by the names of `base_cnn_w8`");
    assert_eq!(
        said("base_cnn_w8", 4),
        "20 tensors of last.safetensors by the names of `base_cnn_w8`; the head fc (10 classes, here 4) starts anew"
    );
    assert_eq!(
        said("base_cnn_w8_x2_cc", 10),
        "22 tensors of last.safetensors by the names of `base_cnn_w8`, each at 2 places of `base_cnn_w8_x2_cc`"
    );
}

#[test]
fn a_run_starts_from_the_file_and_a_resumed_one_does_not_read_it() {
    let root = tempfile::tempdir().unwrap();
    let copy = root.path().join("start.safetensors");
    std::fs::copy(single().path(), &copy).unwrap();
    let setting = format!("model.init={}", copy.display());
    let recipe =
        |epochs: &str| recipe(&["model.name=base_cnn_w8", "optimiser.lr=1e-6", &setting, epochs, "train.ema={}"]);
    let out = root.path().join("run");
    train(&recipe("train.epochs=1"), &out).unwrap();
    let weight = |path: &Path, name: &str| load_tensors(path).unwrap().tensors.remove(name).unwrap();
    let last = checkpoint::last(&out.join("checkpoints"));
    // Steps of almost no length leave the weights, and their averages, where they were.
    for name in ["fc.weight", "ema/fc.weight"] {
        assert!(weight(&last, name).allclose(&weight(&copy, "fc.weight"), 1e-3, 1e-4, false), "{name}");
    }
    std::fs::remove_file(&copy).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let resume = mp_train::run::Start::Resume;
    let longer = recipe("train.epochs=2");
    let finished = mp_train::run::train(&longer, &out, resume, Path::new(CACHE), &mut (), &stop).unwrap();
    assert_eq!(finished.summary.unwrap().epochs_done, 2);
}

#[test]
fn what_does_not_fit_leaves_no_folder() {
    let root = tempfile::tempdir().unwrap();
    let out = root.path().join("run");
    let message = train(&starting("base_cnn_w16"), &out).unwrap_err().to_string();
    assert!(
        message.contains("weights of another model than `base_cnn_w16`: by the names of `base_cnn_w16`"),
        "{message}"
    );
    assert!(
        message.contains("of another shape (stage1.0.conv1.weight: model [16, 1, 3, 3], file [8, 1, 3, 3]"),
        "{message}"
    );
    assert!(!out.exists());
    let message = train(&starting("resnet20_w8_x2"), &out).unwrap_err().to_string();
    assert!(message.contains("missing (") && message.contains("unexpected ("), "{message}");
    assert!(!out.exists());
}
