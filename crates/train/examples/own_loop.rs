//! A training loop of one's own: two routed paths on the embedded digits, in seconds.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use mp_train::evaluate::evaluate;
use mp_train::images::to_device;
use mp_train::recipe::{DeviceChoice, Override};
use mp_train::{Corpus, Learner, Recipe, machine};

fn main() -> Result<(), Box<dyn Error>> {
    let changes = ["model.name=base_cnn_w8_x2_cc", "train.epochs=4"];
    let changes = changes.iter().map(|change| change.parse()).collect::<Result<Vec<Override>, _>>()?;
    let recipe = Recipe::resolve(Some("digits"), &changes)?;
    machine::use_threads(recipe.train.threads);

    // The digits are built in: no data is looked for.
    let corpus = Corpus::open(&recipe, Path::new(""))?;
    let (train, valid) = (corpus.train_loader(&recipe)?, corpus.valid_loader(&recipe)?);
    let network = corpus.identity(&recipe);
    let device = DeviceChoice::Auto.device()?;
    let mut learner = Learner::new(&network.model, &network.options(), &recipe, device)?;
    let schedule = recipe.rates(recipe.train.steps(train.batches_per_epoch()));

    let (mut step, nobody_stops) = (0, AtomicBool::new(false));
    for epoch in 0..recipe.train.epochs {
        for batch in train.epoch(epoch, 0) {
            let (images, labels) = to_device(&batch?, device)?;
            // A batch is a whole step: its share is 1.
            learner.accumulate(&images, &labels, None, 1.0)?;
            learner.step(schedule.rate(step));
            step += 1;
        }
        let (model, classes) = (learner.model(), network.classes.len());
        let found = evaluate(model, &valid, classes, recipe.train.precision, device, &nobody_stops, None)?;
        println!("epoch {}: accuracy {:.1}%, loss {:.3}", epoch + 1, 100.0 * found.accuracy(), found.loss);
    }
    Ok(())
}
