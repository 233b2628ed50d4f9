//! Networks judged with other routes than their own.

use std::path::Path;

use mp_nn::{Device, Store, Tensor};
use mp_train::evaluate::{Evaluation, Routes, Subject};
use mp_train::images::Corpus;
use mp_train::recipe::{Override, Precision, Recipe};
use mp_zoo::Model;

fn recipe(changes: &[&str]) -> Recipe {
    let changes: Vec<Override> = changes.iter().map(|text| text.parse().unwrap()).collect();
    Recipe::resolve(Some("digits"), &changes).unwrap()
}

/// A network with its starting weights, and moved gates where it has any, so that its images take different routes.
fn network(overrides: &[&str]) -> (Store, Model, Corpus) {
    let recipe = recipe(overrides);
    let corpus = Corpus::open(&recipe, Path::new("no cache: digits are built in")).unwrap();
    let store = Store::new(Device::Cpu, 1);
    let model = mp_zoo::build(&recipe.model.name, &corpus.identity(&recipe).options(), &store.root()).unwrap();
    let _guard = tch::no_grad_guard();
    for entry in store.parameters().iter().filter(|entry| entry.name.contains("gate.weight")) {
        let _ = entry.tensor.shallow_clone().g_mul_scalar_(20.0);
    }
    (store, model, corpus)
}

/// The evaluation, and the logits of all images.
fn judged(overrides: &[&str], batch: usize, routes: Routes) -> (Evaluation, Tensor) {
    let (_store, model, corpus) = network(overrides);
    let sizes = format!("train.batch_size={batch}");
    let loader = corpus.valid_loader(&recipe(&[overrides, &[&sizes]].concat())).unwrap();
    let subject =
        Subject { model: &model, loader: &loader, classes: 10, precision: Precision::Fp32, device: Device::Cpu };
    let mut logits = Vec::new();
    let mut keep = |judged: mp_train::evaluate::Judged<'_>| {
        logits.push(judged.logits.shallow_clone());
        Ok(())
    };
    let found = subject.evaluate_with_routes(routes, Some(&mut keep)).unwrap();
    (found, Tensor::cat(&logits, 0))
}

fn difference(a: &Tensor, b: &Tensor) -> f64 {
    (a - b).abs().max().double_value(&[])
}

const SHUFFLED: Routes = Routes::Shuffled { seed: 1 };

#[test]
fn routes_that_ignore_the_image_lose_nothing_when_they_are_frozen_or_shuffled() {
    for changes in [
        &["model.name=base_cnn_w4_x2_stitch"][..],
        &["model.name=base_cnn_w4_x2_blind"],
        &["model.name=base_cnn_w4_x2_cp", "model.routing.mixer.kind=uniform"],
    ] {
        let own = judged(changes, 64, Routes::Own).1;
        for routes in [Routes::Frozen, SHUFFLED] {
            let found = difference(&own, &judged(changes, 64, routes).1);
            assert!(found < 1e-5, "{changes:?} {routes:?}: {found}");
        }
    }
}

#[test]
fn routes_of_gates_give_other_answers_when_they_are_not_the_images_own() {
    for changes in [&["model.name=base_cnn_w4_x2_cc"][..], &["model.name=base_cnn_w4_x3_cp"]] {
        let own = judged(changes, 64, Routes::Own);
        assert!(own.0.layers.iter().any(|layer| layer.mutual_information > 1e-3), "{:?}", own.0.layers);
        for routes in [Routes::Frozen, SHUFFLED, Routes::Uniform] {
            let found = judged(changes, 64, routes);
            assert!(difference(&own.1, &found.1) > 1e-4, "{changes:?} {routes:?}");
            for (own, forced) in own.0.layers.iter().zip(&found.0.layers) {
                let information = forced.mutual_information;
                match routes {
                    // The first layer reads the same features in both passes; so do all means of the ordinary one.
                    SHUFFLED => assert!((own.mutual_information - information).abs() < 1e-6),
                    _ => assert!(information < 1e-6, "{information}"),
                }
                let moved = own.utilisation.iter().flatten().zip(forced.utilisation.iter().flatten());
                let moved = moved.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                assert!(routes == Routes::Uniform || moved < 1e-6, "{routes:?}: {moved}");
            }
        }
    }
}

#[test]
fn the_answer_does_not_depend_on_how_the_images_are_cut_into_batches() {
    let changes = ["model.name=base_cnn_w4_x2_cc"];
    for routes in [Routes::Frozen, SHUFFLED, Routes::Uniform] {
        let (whole, parts) = (judged(&changes, 360, routes).1, judged(&changes, 7, routes).1);
        assert!(difference(&whole, &parts) < 1e-4, "{routes:?}");
    }
}
