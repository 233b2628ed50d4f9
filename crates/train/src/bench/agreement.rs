//! Whether a device computes what the CPU computes.

use std::fmt;

use mp_nn::{Entry, Mode};
use mp_routing::Pass;
use mp_zoo::{InputSize, ModelName, ModelOptions};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::Benchmark;
use crate::learn::{Learner, Targets};
use crate::machine::device_name;
use crate::recipe::{Precision, Recipe};
use crate::{Error, Spec, machine};

/// Passes over one batch, after which a step is recorded and replayed on a GPU.
const PASSES: usize = 6;
const RATE: f64 = 0.1;

/// How far a device is from the CPU in float32, network by network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreement {
    /// The device.
    pub device: String,
    /// Its number format.
    pub precision: Precision,
    /// Images of the batch.
    pub batch: usize,
    /// The greatest distances that count as agreement.
    pub tolerance: Distances,
    /// The networks, in the order asked for.
    pub models: Vec<Agreed>,
}

/// How far apart one network is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Agreed {
    /// Its name.
    pub name: String,
    /// The distances.
    #[serde(flatten)]
    pub distances: Distances,
    /// Whether a step was recorded; why not, where none was although the device can.
    pub recorded: Recorded,
    /// Whether all are within the tolerance.
    pub agrees: bool,
}

/// What became of recording a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Recorded {
    /// Steps are replayed, of so many nodes.
    Nodes(usize),
    /// None is, for this reason.
    Refused(String),
    /// The device records none.
    Never,
}

/// Distances, each the norm of what differs over the norm of what the CPU has.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Distances {
    /// Of the logits in training.
    pub logits: f64,
    /// Of the gradients of all parameters.
    pub gradients: f64,
    /// Of the gradients of a pass that is replayed, from those of the same pass op by op on the same device.
    pub replayed: f64,
    /// Of what a step of SGD adds to the parameters.
    pub step: f64,
    /// Of the running statistics after it.
    pub buffers: f64,
}

impl Distances {
    /// What counts as agreement in a number format: float32 differs by the order of sums, which deep networks amplify; narrow formats
    /// by their rounding.
    pub fn tolerance(precision: Precision) -> Self {
        let (logits, gradients, buffers) = match precision {
            // Where two inputs of a ReLU or a maximum are almost alike, rounding decides which of them gets all the gradient.
            Precision::Fp32 => (1e-4, 1e-2, 1e-4),
            Precision::Tf32 | Precision::Fp16 => (2e-2, 2e-1, 1e-2),
            Precision::Bf16 => (1e-1, 5e-1, 5e-2),
        };
        Self { logits, gradients, replayed: 1e-5, step: gradients, buffers }
    }

    fn all(&self) -> [f64; 5] {
        [self.logits, self.gradients, self.replayed, self.step, self.buffers]
    }

    fn is_within(&self, tolerance: &Self) -> bool {
        self.all().iter().zip(tolerance.all()).all(|(found, most)| *found <= most)
    }
}

/// Compares a training step of every model, from the same weights on the same images, with the CPU's in float32: logits, gradients,
/// what a step of SGD adds to the parameters, and running statistics. Of a network that draws at random in training, which every
/// device does in its own way, the step is taken in evaluation mode.
///
/// `model_done` is told the number of models done.
///
/// # Errors
/// As [`super::run`].
pub fn agreement(benchmark: &Benchmark, model_done: &mut dyn FnMut(usize)) -> Result<Agreement, Error> {
    benchmark.check()?;
    let device = benchmark.device.device()?;
    machine::use_threads(benchmark.threads);
    let Benchmark { precision, batch, .. } = *benchmark;
    let tolerance = Distances::tolerance(precision);
    let mut models = Vec::with_capacity(benchmark.models.len());
    for (done, spec) in benchmark.models.iter().enumerate() {
        let (distances, recorded) = compare(spec, precision, batch, device, benchmark.graphs)?;
        let agrees = distances.is_within(&tolerance);
        models.push(Agreed { name: spec.to_string(), distances, recorded, agrees });
        model_done(done + 1);
    }
    Ok(Agreement { device: device_name(device), precision, batch, tolerance, models })
}

fn compare(
    spec: &Spec,
    precision: Precision,
    batch: usize,
    device: Device,
    graphs: bool,
) -> Result<(Distances, Recorded), Error> {
    let input = spec.name.parse::<ModelName>()?.family.native;
    tch::manual_seed(1);
    let images = Tensor::randn([batch as i64, input.size, input.size, input.channels], (Kind::Float, Device::Cpu));
    let images = images.permute([0, 3, 1, 2]);
    let labels = Tensor::randint(input.classes, [batch as i64], (Kind::Int64, Device::Cpu));
    let side = |precision, device, graphs| Side::new(spec, input, precision, device, graphs, (&images, &labels));
    let mode = side(Precision::Fp32, Device::Cpu, false)?.mode();
    let expected = side(Precision::Fp32, Device::Cpu, false)?.step(mode)?;
    let mut here = side(precision, device, graphs)?;
    let op_by_op = side(precision, device, false)?.after_passes()?;
    let replayed = apart(&here.after_passes()?, &op_by_op);
    let recorded = match (here.learner.graph_nodes(), here.learner.unrecorded()) {
        (Some(nodes), _) => Recorded::Nodes(nodes),
        (None, Some(reason)) => Recorded::Refused(reason.to_owned()),
        (None, None) => Recorded::Never,
    };
    let found = side(precision, device, false)?.step(mode)?;
    let distances = Distances {
        logits: apart(&[found.logits], &[expected.logits]),
        gradients: apart(&found.gradients, &expected.gradients),
        replayed,
        step: apart(&found.step, &expected.step),
        buffers: apart(&found.buffers, &expected.buffers),
    };
    Ok((distances, recorded))
}

/// A network on one device, with its batch.
struct Side {
    learner: Learner,
    images: Tensor,
    labels: Tensor,
}

/// What a step does, on the CPU.
struct Step {
    logits: Tensor,
    gradients: Vec<Tensor>,
    step: Vec<Tensor>,
    buffers: Vec<Tensor>,
}

impl Side {
    fn new(
        spec: &Spec,
        input: InputSize,
        precision: Precision,
        device: Device,
        graphs: bool,
        (images, labels): (&Tensor, &Tensor),
    ) -> Result<Self, Error> {
        let mut recipe = Recipe::default();
        recipe.train.precision = precision;
        recipe.train.graphs = graphs;
        recipe.train.deterministic = true;
        let learner = Learner::new(&spec.name, &ModelOptions::routed(input, spec.routing.clone()), &recipe, device)?;
        Ok(Self { learner, images: images.to_device(device), labels: labels.to_device(device) })
    }

    fn accumulate(&mut self) -> Result<(), Error> {
        tch::manual_seed(2);
        self.learner.accumulate(&self.images, &self.labels, None, 1.0)?;
        Ok(())
    }

    fn gradients(&self) -> Vec<Tensor> {
        let gradient = |entry: Entry| entry.tensor.grad();
        // A parameter that the pass does not reach has none.
        let scale = self.learner.loss_scale();
        let none = || Tensor::zeros([1], (Kind::Double, Device::Cpu));
        let all = self.learner.store().parameters().into_iter().map(gradient);
        all.map(|gradient| if gradient.defined() { on_cpu(&gradient) / scale } else { none() }).collect()
    }

    /// The gradients of the last of several passes, which a GPU replays where it may.
    fn after_passes(&mut self) -> Result<Vec<Tensor>, Error> {
        for _ in 0..PASSES {
            self.learner.clear_gradients();
            self.accumulate()?;
        }
        Ok(self.gradients())
    }

    /// The mode in which two passes give the same: training, unless the network draws at random.
    fn mode(&self) -> Mode {
        let _guard = tch::no_grad_guard();
        let drawn = |seed| {
            tch::manual_seed(seed);
            on_cpu(self.learner.forward(&self.images, &[]).logits())
        };
        if drawn(1) == drawn(2) { Mode::Train } else { Mode::Eval }
    }

    fn step(&mut self, mode: Mode) -> Result<Step, Error> {
        let parameters = || self.learner.store().parameters().into_iter().map(|entry| on_cpu(&entry.tensor));
        let before: Vec<Tensor> = parameters().collect();
        let (logits, gradients) = loop {
            let output = self.learner.forward_in(&self.images, Pass::new(mode))?;
            let loss = self.learner.objective().loss(&output, &Targets { labels: &self.labels, mixed: None })?;
            self.learner.backward(loss.minimised, 1.0)?;
            let gradients = self.gradients();
            let finite = |gradient: &Tensor| gradient.isfinite().all().int64_value(&[]) != 0;
            if self.learner.loss_scale() <= 1.0 || gradients.iter().all(finite) {
                break (on_cpu(output.logits()), gradients);
            }
            // Too large for float16: the step is left out, and the loss scaled less.
            self.learner.step(RATE);
        };
        self.learner.step(RATE);
        let parameters = self.learner.store().parameters();
        let step = parameters.iter().zip(&before).map(|(entry, before)| on_cpu(&entry.tensor) - before).collect();
        let buffers = self.learner.store().entries().into_iter().filter(|entry| entry.name.contains("running_"));
        let buffers = buffers.map(|entry| on_cpu(&entry.tensor)).collect();
        Ok(Step { logits, gradients, step, buffers })
    }
}

fn on_cpu(tensor: &Tensor) -> Tensor {
    tensor.detach().to_device(Device::Cpu).to_kind(Kind::Double)
}

/// The norm of all that differs over the norm of what is expected; 0 for nothing, and infinite where a number is none.
fn apart(found: &[Tensor], expected: &[Tensor]) -> f64 {
    let sum = |squares: &mut dyn Iterator<Item = Tensor>| {
        squares.map(|x| x.square().sum(Kind::Double).double_value(&[])).sum()
    };
    let difference: f64 = sum(&mut found.iter().zip(expected).map(|(found, expected)| found - expected));
    let whole: f64 = sum(&mut expected.iter().map(Tensor::shallow_clone));
    match (difference, whole) {
        (difference, _) if !difference.is_finite() => f64::INFINITY,
        (0.0, _) => 0.0,
        (difference, whole) => (difference / whole).sqrt(),
    }
}

impl Agreement {
    /// Whether every network agrees.
    pub fn holds(&self) -> bool {
        self.models.iter().all(|model| model.agrees)
    }
}

impl fmt::Display for Agreement {
    /// A table for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, precision, batch, tolerance, models } = self;
        writeln!(f, "distance of {device} in {} from the cpu in fp32, batch {batch}", precision.name())?;
        let width = models.iter().map(|model| model.name.len()).max().unwrap_or(0).max("tolerance".len());
        writeln!(
            f,
            "{:width$}  {:>8}  {:>9}  {:>8}  {:>8}  {:>8}  {:>5}",
            "model", "logits", "gradients", "replayed", "step", "buffers", "nodes"
        )?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, distances: &Distances| {
            let [logits, gradients, replayed, step, buffers] = distances.all();
            write!(
                f,
                "{name:width$}  {logits:>8.1e}  {gradients:>9.1e}  {replayed:>8.1e}  {step:>8.1e}  {buffers:>8.1e}"
            )
        };
        for model in models {
            row(f, &model.name, &model.distances)?;
            match &model.recorded {
                Recorded::Nodes(nodes) => write!(f, "  {nodes:>5}")?,
                Recorded::Refused(reason) => write!(f, "  not recorded: {reason}")?,
                Recorded::Never => write!(f, "  {:>5}", "-")?,
            }
            writeln!(f, "{}", if model.agrees { "" } else { "  TOO FAR" })?;
        }
        row(f, "tolerance", tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::DeviceChoice;

    fn benchmark(precision: Precision) -> Benchmark {
        let models = ["base_cnn_w4_x2_cc", "base_cnn_w4_e2"].map(|name| name.parse().unwrap()).into();
        Benchmark { models, precision, batch: 8, device: DeviceChoice::Cpu, ..Benchmark::default() }
    }

    #[test]
    fn the_cpu_is_what_it_is() {
        let mut done = 0;
        let found = agreement(&benchmark(Precision::Fp32), &mut |models| done = models).unwrap();
        assert_eq!(done, 2);
        for model in &found.models {
            assert_eq!(model.distances.all(), [0.0; 5], "{}", model.name);
            assert_eq!(model.recorded, Recorded::Never);
        }
        assert!(found.holds());
    }

    #[test]
    fn another_format_is_as_far_as_it_rounds() {
        let found = agreement(&benchmark(Precision::Bf16), &mut |_| {}).unwrap();
        for Agreed { name, distances, .. } in &found.models {
            assert!(distances.logits > 1e-5 && distances.gradients > 1e-4, "{name}: {distances:?}");
        }
        assert!(found.holds(), "{found}");
    }

    #[test]
    fn what_differs_is_told_in_parts_of_what_is_expected() {
        let tensor = |numbers: &[f64]| Tensor::from_slice(numbers);
        assert_eq!(apart(&[tensor(&[3.0, 4.0])], &[tensor(&[3.0, 4.0])]), 0.0);
        // (3, 4) has norm 5, and 1 differs.
        assert!((apart(&[tensor(&[3.0]), tensor(&[5.0])], &[tensor(&[3.0]), tensor(&[4.0])]) - 0.2).abs() < 1e-15);
        assert_eq!(apart(&[tensor(&[f64::NAN])], &[tensor(&[1.0])]), f64::INFINITY);
    }
}
