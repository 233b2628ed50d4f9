//! How good a model is on images it did not learn from, and how it routes them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use mp_data::{Batch, Loader, SkipCount};
use mp_nn::Mode;
use mp_routing::{LayerStatistics, RouteAccumulator};
use mp_zoo::Model;
use serde::Serialize;
use tch::{Device, Kind, Reduction, Tensor};

use crate::Error;
use crate::corpus::Corpus;
use crate::images::to_device;
use crate::learner::{correct, forward};
use crate::recipe::Precision;
use crate::run_folder::RunFolder;
use crate::summary::ValidSplit;
use crate::trained::{Trained, Which};

/// Which images a network is judged by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Split {
    /// Those that the run was validated on.
    #[default]
    Valid,
    /// The test images of the data set.
    Test,
}

/// What an evaluation found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// How many images were seen; those that were skipped are not among them.
    pub images: u64,
    /// How many of them were classified right.
    pub correct: u64,
    /// The mean cross-entropy in nats, without label smoothing.
    pub loss: f64,
    /// How each routing layer routed; empty for a model that routes nothing.
    pub layers: Vec<LayerStatistics>,
    /// The damaged images that were skipped.
    pub skipped: SkipCount,
}

impl Evaluation {
    /// The share of images classified right.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }
}

/// Evaluates `model` on one pass over `loader`.
///
/// # Errors
/// A batch that cannot be read; [`Error::NoImages`]; [`Error::Interrupted`] once `stop` is set.
pub fn evaluate(
    model: &Model,
    loader: &Loader,
    classes: usize,
    precision: Precision,
    device: Device,
    stop: &AtomicBool,
) -> Result<Evaluation, Error> {
    let _guard = tch::no_grad_guard();
    let mut images = 0;
    let mut loss = Tensor::zeros([], (Kind::Double, device));
    let mut right = Tensor::zeros([], (Kind::Int64, device));
    let mut routes: Option<RouteAccumulator> = None;
    let mut skipped = SkipCount::default();

    let mut batches = loader.epoch(0, 0);
    while let Some(batch) = batches.next().transpose()? {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        skipped.add(&batch);
        let (mut x, mut labels) = to_device(&batch, device)?;
        if let Some(whole) = whole(&batch, device) {
            (x, labels) = (x.index_select(0, &whole), labels.index_select(0, &whole));
        }
        batches.recycle(batch);
        if labels.size()[0] == 0 {
            continue;
        }
        let output = forward(model, &x, Mode::Eval, precision);
        let logits = output.logits.to_kind(Kind::Float);
        let batch_loss = logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Sum, -100, 0.0);
        let _ = loss.g_add_(&batch_loss.to_kind(Kind::Double));
        let _ = right.g_add_(&correct(&logits, &labels));
        if !output.trace.is_empty() {
            routes.get_or_insert_with(|| RouteAccumulator::new(classes)).add(&output.trace, &labels)?;
        }
        images += labels.size()[0] as u64;
    }
    if images == 0 {
        return Err(Error::NoImages { what: loader.dataset().name().to_owned() });
    }
    Ok(Evaluation {
        images,
        correct: right.int64_value(&[]) as u64,
        loss: loss.double_value(&[]) / images as f64,
        layers: routes.map(|routes| routes.finish()).transpose()?.unwrap_or_default(),
        skipped,
    })
}

/// The places of the images that stand for themselves, where some do not: no image is to be judged twice.
fn whole(batch: &Batch, device: Device) -> Option<Tensor> {
    let mut skipped = batch.skipped.iter().map(|skipped| skipped.place).peekable();
    skipped.peek()?;
    let places = (0..batch.labels.len()).filter(|place| skipped.next_if_eq(place).is_none());
    Some(Tensor::from_slice(&places.map(|place| place as i64).collect::<Vec<_>>()).to_device(device))
}

/// Evaluates a checkpoint of a run on images of the run's data set, and says which they are; `cache` is the folder of downloaded
/// data sets.
///
/// # Errors
/// As [`Trained::of_run`] and [`evaluate`]; data that is missing, or of other classes than the run's.
pub fn of_run(folder: &RunFolder, which: Which, split: Split, cache: &Path) -> Result<(ValidSplit, Evaluation), Error> {
    let trained = Trained::of_run(folder, which)?;
    // Which images were held out, and how they are shown, is what the run was trained under; only their place may be another.
    let today = folder.recipe()?;
    let mut recipe = trained.recipe.clone().unwrap_or_else(|| today.clone());
    recipe.data.name = today.data.name;
    let corpus = Corpus::of_run(&recipe, cache, &trained.identity)?;
    corpus.ensure_fits(&trained.identity, &recipe)?;
    let (images, loader) = match split {
        Split::Valid => (corpus.valid_split, corpus.valid_loader(&recipe)?),
        Split::Test => (ValidSplit::Test, corpus.test_loader(&recipe)?),
    };
    let (classes, device) = (trained.identity.classes.len(), trained.device());
    let found = evaluate(&trained.model, &loader, classes, recipe.train.precision, device, &AtomicBool::new(false))?;
    Ok((images, found))
}
