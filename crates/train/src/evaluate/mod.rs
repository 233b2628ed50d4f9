//! How good a model is on images it did not learn from, and how it routes them: one pass over a loader, for whoever has a model.

mod budget;
mod routes;
mod worth;

use std::sync::atomic::{AtomicBool, Ordering};

use mp_data::{Batch, Loader, SkipCount};
use mp_nn::Mode;
use mp_routing::RouteAccumulator;
use mp_zoo::{Model, Output};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Reduction, Tensor};

use crate::Error;
use crate::images::to_device;
use crate::learn::forward;
use crate::metric::{Spenders, Spent};
use crate::processes::Processes;
use crate::recipe::Precision;

pub use budget::{Met, meet};
pub use routes::Routes;
pub use worth::{RouteWorth, Subject};

pub use crate::metric::{ClassResult, Confused, Confusion, Evaluation, Metric, Spending, TOP};

/// Some images as they were judged, in the order of the data set.
#[derive(Debug)]
pub struct Judged<'a> {
    /// Their positions in it.
    pub indices: &'a [usize],
    /// Their classes.
    pub labels: &'a [i64],
    /// The logits `[B, N]`, float32.
    pub logits: &'a Tensor,
}

/// Who is told of each image, where somebody is.
pub type Each<'a> = Option<&'a mut dyn FnMut(Judged<'_>) -> Result<(), Error>>;

/// Evaluates `model` on one pass over `loader`.
///
/// # Errors
/// A batch that cannot be read; [`Error::NoImages`]; [`Error::Interrupted`] once `stop` is set; what `each` returns.
pub fn evaluate(
    model: &Model,
    loader: &Loader,
    classes: usize,
    precision: Precision,
    device: Device,
    stop: &AtomicBool,
    each: Each<'_>,
) -> Result<Evaluation, Error> {
    let apply = &mut |images: &Tensor| Ok(forward(model, images, Mode::Eval, precision));
    judge(model, loader, classes, device, stop, apply, each)
}

/// Evaluates `model` on one pass over what all processes have loaders of, each of a part of the same images; every process finds
/// the same.
///
/// # Errors
/// As [`evaluate`]; [`Error::Processes`].
pub fn evaluate_together(
    processes: &Processes,
    model: &Model,
    loader: &Loader,
    classes: usize,
    precision: Precision,
    device: Device,
) -> Result<Evaluation, Error> {
    let apply = &mut |images: &Tensor| Ok(forward(model, images, Mode::Eval, precision));
    let part = pass(loader, classes, device, &AtomicBool::new(false), apply, None)?;
    processes.meet()?;
    part.over(processes)?.evaluation(model)
}

/// One pass over `loader`, judging what `apply`, which applies `model`, makes of its images.
fn judge(
    model: &Model,
    loader: &Loader,
    classes: usize,
    device: Device,
    stop: &AtomicBool,
    apply: &mut dyn FnMut(&Tensor) -> Result<Output, Error>,
    each: Each<'_>,
) -> Result<Evaluation, Error> {
    pass(loader, classes, device, stop, apply, each)?.evaluation(model)
}

/// What a pass over images adds up.
struct Part {
    images: u64,
    top: Option<u64>,
    loss: f64,
    confusion: Confusion,
    spent: Option<Spent>,
    routes: Option<RouteAccumulator>,
    skipped: SkipCount,
}

/// What of it goes from process to process as text.
#[derive(Serialize, Deserialize)]
struct Counts {
    images: u64,
    top: Option<u64>,
    loss: f64,
    confusion: Confusion,
    spent: Option<Spent>,
    skipped: SkipCount,
}

impl Part {
    /// What the passes of all processes add up together, in the order of their ranks.
    fn over(self, processes: &Processes) -> Result<Self, Error> {
        if processes.are_one() {
            return Ok(self);
        }
        let Self { images, top, loss, confusion, spent, mut routes, skipped } = self;
        if let Some(routes) = &mut routes {
            routes.sum_over(|tensor| processes.sum(tensor))?;
        }
        let own = Counts { images, top, loss, confusion, spent, skipped };
        let mut all = processes.gather(own)?.into_iter();
        // There is at least this process.
        let first = all.next().ok_or_else(|| Error::NoImages { what: "the processes".to_owned() })?;
        let sum = all.fold(first, |mut sum, next| {
            sum.images += next.images;
            sum.top = sum.top.zip(next.top).map(|(one, other)| one + other);
            sum.loss += next.loss;
            sum.confusion.add(&next.confusion);
            sum.spent = sum.spent.zip(next.spent).map(|(one, other)| one.and(other));
            sum.skipped.add_all(&next.skipped);
            sum
        });
        let Counts { images, top, loss, confusion, spent, skipped } = sum;
        Ok(Self { images, top, loss, confusion, spent, routes, skipped })
    }

    fn evaluation(self, model: &Model) -> Result<Evaluation, Error> {
        Ok(Evaluation {
            images: self.images,
            correct: self.confusion.correct(),
            top_5: self.top,
            loss: self.loss / self.images as f64,
            confusion: self.confusion,
            spending: self.spent.map(|spent| spent.of_an_image(model, self.images)),
            layers: self.routes.map(|routes| routes.finish()).transpose()?.unwrap_or_default(),
            skipped: self.skipped,
        })
    }
}

fn pass(
    loader: &Loader,
    classes: usize,
    device: Device,
    stop: &AtomicBool,
    apply: &mut dyn FnMut(&Tensor) -> Result<Output, Error>,
    mut each: Each<'_>,
) -> Result<Part, Error> {
    let _guard = tch::no_grad_guard();
    let mut truth: Vec<i64> = Vec::new();
    let mut predicted: Vec<Tensor> = Vec::new();
    let mut loss = Tensor::zeros([], (Kind::Double, device));
    let mut top = Tensor::zeros([], (Kind::Int64, device));
    let has_top = classes > TOP as usize;
    let mut routes: Option<RouteAccumulator> = None;
    let mut spending = Spenders::default();
    let mut skipped = SkipCount::default();

    let mut batches = loader.epoch(0, 0);
    while let Some(batch) = batches.next().transpose()? {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        skipped.add(&batch);
        let (mut x, mut labels) = to_device(&batch, device)?;
        let places = whole(&batch);
        if places.len() < batch.labels.len() {
            let whole: Vec<i64> = places.iter().map(|place| *place as i64).collect();
            let whole = Tensor::from_slice(&whole).to_device(device);
            (x, labels) = (x.index_select(0, &whole), labels.index_select(0, &whole));
        }
        let indices: Vec<usize> = places.iter().map(|place| batch.indices[*place]).collect();
        let classes_here: Vec<i64> = places.iter().map(|place| batch.labels[*place]).collect();
        batches.recycle(batch);
        if places.is_empty() {
            continue;
        }
        let output = apply(&x)?;
        let logits = output.logits().to_kind(Kind::Float);
        let batch_loss = logits.cross_entropy_loss::<Tensor>(&labels, None, Reduction::Sum, -100, 0.0);
        let _ = loss.g_add_(&batch_loss.to_kind(Kind::Double));
        if has_top {
            let (_, best) = logits.topk(TOP, 1, true, false);
            let _ = top.g_add_(&best.eq_tensor(&labels.unsqueeze(1)).sum(Kind::Int64));
        }
        predicted.push(logits.argmax(1, false));
        if !output.trace.is_empty() {
            routes.get_or_insert_with(|| RouteAccumulator::new(classes)).add(&output.trace, &labels)?;
        }
        spending.add(&output.trace);
        if let Some(each) = &mut each {
            each(Judged { indices: &indices, labels: &classes_here, logits: &logits })?;
        }
        truth.extend(classes_here);
    }
    if truth.is_empty() {
        return Err(Error::NoImages { what: loader.dataset().name().to_owned() });
    }
    let predicted = Vec::<i64>::try_from(Tensor::cat(&predicted, 0))
        .map_err(|error| Error::torch("read the predicted classes", &error))?;
    let images = truth.len() as u64;
    let confusion = Confusion::of(classes, truth.into_iter().zip(predicted));
    Ok(Part {
        images,
        top: has_top.then(|| top.int64_value(&[]) as u64),
        loss: loss.double_value(&[]),
        confusion,
        spent: spending.spent(),
        routes,
        skipped,
    })
}

/// The places of the images that stand for themselves: no image is to be judged twice.
fn whole(batch: &Batch) -> Vec<usize> {
    let mut skipped = batch.skipped.iter().map(|skipped| skipped.place).peekable();
    (0..batch.labels.len()).filter(|place| skipped.next_if_eq(place).is_none()).collect()
}
