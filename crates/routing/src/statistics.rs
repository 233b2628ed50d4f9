//! What the routes of many samples say about a network: which paths are used, how sharply, and whether inputs matter.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::losses::entropies;
use crate::{Error, Normalisation, Trace, TracedLayer, figure};

/// What one routing layer did, over all samples seen. Entropies are in nats, means over the layer's routers (what chooses:
/// a source among targets, or a target among sources under [`Normalisation::Sources`]); those of sigmoid gates are sums
/// over the gates of a router, each a coin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerStatistics {
    /// The layer's name.
    pub name: String,
    /// Source paths `S`.
    pub sources: usize,
    /// Target paths `T`.
    pub targets: usize,
    /// The axis over which the weights compete.
    pub normalisation: Normalisation,
    /// Samples seen.
    pub samples: u64,
    /// Mean weight of each connection, `[S][T]`.
    #[serde(with = "figure")]
    pub utilisation: Vec<Vec<f64>>,
    /// Entropy of the mean weights: how evenly the routes are used on the whole.
    #[serde(with = "figure")]
    pub entropy_of_mean: f64,
    /// Mean of each sample's entropy: how undecided the gate is about a sample.
    #[serde(with = "figure")]
    pub mean_entropy: f64,
    /// `entropy_of_mean - mean_entropy`: how much the route says about the input. 0 means that the gates ignore the input,
    /// however balanced they look.
    #[serde(with = "figure")]
    pub mutual_information: f64,
    /// Samples seen of each class, `[N]`.
    pub class_samples: Vec<u64>,
    /// Mean weights of each class, `[N][S][T]`; 0 for a class without samples.
    #[serde(with = "figure")]
    pub by_class: Vec<Vec<Vec<f64>>>,
}

/// Sums the routes of one batch after another; sums are float64 and stay on the device until [`RouteAccumulator::finish`].
#[derive(Debug)]
pub struct RouteAccumulator {
    classes: usize,
    samples: i64,
    /// `[N]`.
    class_samples: Option<Tensor>,
    layers: Vec<LayerSums>,
}

#[derive(Debug)]
struct LayerSums {
    name: String,
    sources: i64,
    targets: i64,
    normalisation: Normalisation,
    /// `[S, T]`.
    weights: Tensor,
    /// `[N, S · T]`.
    by_class: Tensor,
    /// `[R]`.
    entropy: Tensor,
}

impl RouteAccumulator {
    /// Nothing seen yet of a data set of `classes` classes.
    pub fn new(classes: usize) -> Self {
        RouteAccumulator { classes, samples: 0, class_samples: None, layers: Vec::new() }
    }

    /// Adds a batch: its trace, and its labels `[B]` (i64).
    ///
    /// # Errors
    /// [`Error::EmptyTrace`]; [`Error::OtherTrace`] if the layers are not those of the batches before;
    /// [`Error::LabelShape`]. Labels outside the classes are found by [`RouteAccumulator::finish`], since reading them here
    /// would make the device wait.
    pub fn add(&mut self, trace: &Trace, labels: &Tensor) -> Result<(), Error> {
        let _no_grad = tch::no_grad_guard();
        let first = trace.layers.first().ok_or(Error::EmptyTrace { quantity: "routing statistics" })?;
        let (samples, ..) = first.decision.size();
        if labels.size() != [samples] {
            return Err(Error::LabelShape { samples, found: labels.size() });
        }
        let device = first.decision.weights.device();
        if self.layers.is_empty() {
            self.layers = trace.layers.iter().map(|layer| LayerSums::new(layer, self.classes)).collect();
        }
        if !self.layers.iter().map(LayerSums::describe).eq(trace.layers.iter().map(describe)) {
            return Err(Error::OtherTrace {
                expected: self.layers.iter().map(LayerSums::describe).collect::<Vec<_>>().join(", "),
                found: trace.layers.iter().map(describe).collect::<Vec<_>>().join(", "),
            });
        }
        let classes = Tensor::arange(self.classes as i64, (Kind::Int64, device));
        let of_class = labels.to_device(device).unsqueeze(0).eq_tensor(&classes.unsqueeze(1)).to_kind(Kind::Double);
        for (sums, layer) in self.layers.iter_mut().zip(&trace.layers) {
            sums.add(layer, &of_class);
        }
        let counts = of_class.sum_dim_intlist([1_i64].as_slice(), false, None);
        self.class_samples = Some(match self.class_samples.take() {
            Some(before) => before + counts,
            None => counts,
        });
        self.samples += samples;
        Ok(())
    }

    /// Adds up what several accumulators of the same layers have seen: `sum` replaces each number of each of them by the sum
    /// over all.
    ///
    /// # Errors
    /// Those of `sum`.
    pub fn sum_over<E>(&mut self, mut sum: impl FnMut(&Tensor) -> Result<(), E>) -> Result<(), E> {
        let _no_grad = tch::no_grad_guard();
        let samples = Tensor::from(self.samples);
        sum(&samples)?;
        self.samples = samples.int64_value(&[]);
        self.class_samples.iter().try_for_each(&mut sum)?;
        for layer in &self.layers {
            [&layer.weights, &layer.by_class, &layer.entropy].into_iter().try_for_each(&mut sum)?;
        }
        Ok(())
    }

    /// The statistics of every layer, in the order of the trace; none if no batch was added.
    ///
    /// # Errors
    /// [`Error::LabelRange`].
    pub fn finish(&self) -> Result<Vec<LayerStatistics>, Error> {
        let Some(class_samples) = &self.class_samples else {
            return Ok(Vec::new());
        };
        let class_samples: Vec<u64> = rows(class_samples, self.classes).concat().iter().map(|n| *n as u64).collect();
        let outside = self.samples as u64 - class_samples.iter().sum::<u64>();
        if outside > 0 {
            return Err(Error::LabelRange { count: outside, samples: self.samples as u64, classes: self.classes });
        }
        Ok(self.layers.iter().map(|sums| sums.statistics(self.samples, &class_samples)).collect())
    }
}

impl LayerSums {
    fn new(layer: &TracedLayer, classes: usize) -> Self {
        let (_, sources, targets) = layer.decision.size();
        let normalisation = layer.decision.normalisation;
        let routers = if normalisation == Normalisation::Sources { targets } else { sources };
        let options = (Kind::Double, layer.decision.weights.device());
        LayerSums {
            name: layer.name.clone(),
            sources,
            targets,
            normalisation,
            weights: Tensor::zeros([sources, targets], options),
            by_class: Tensor::zeros([classes as i64, sources * targets], options),
            entropy: Tensor::zeros([routers], options),
        }
    }

    fn describe(&self) -> String {
        format!("`{}` {}x{}", self.name, self.sources, self.targets)
    }

    fn add(&mut self, layer: &TracedLayer, of_class: &Tensor) {
        let g = layer.decision.weights.to_kind(Kind::Double);
        let over_batch = [0_i64];
        self.weights += g.sum_dim_intlist(over_batch.as_slice(), false, None);
        self.by_class += of_class.matmul(&g.reshape([-1, self.sources * self.targets]));
        self.entropy += entropies(&self.normalisation.routers(&g), self.normalisation).sum_dim_intlist(
            over_batch.as_slice(),
            false,
            None,
        );
    }

    fn statistics(&self, samples: i64, class_samples: &[u64]) -> LayerStatistics {
        let (sources, targets) = (self.sources as usize, self.targets as usize);
        let mean = &self.weights / samples as f64;
        let routers = self.normalisation.routers(&mean.unsqueeze(0));
        let entropy_of_mean = scalar(&entropies(&routers, self.normalisation));
        let mean_entropy = scalar(&(&self.entropy / samples as f64));
        let by_class = rows(&self.by_class, sources * targets)
            .iter()
            .zip(class_samples)
            .map(|(sums, count)| {
                let count = (*count).max(1) as f64;
                sums.chunks(targets).map(|row| row.iter().map(|sum| sum / count).collect()).collect()
            })
            .collect();
        LayerStatistics {
            name: self.name.clone(),
            sources,
            targets,
            normalisation: self.normalisation,
            samples: samples as u64,
            utilisation: rows(&mean, targets),
            entropy_of_mean,
            mean_entropy,
            // Never below 0 but for rounding, by Jensen's inequality.
            mutual_information: (entropy_of_mean - mean_entropy).max(0.0),
            class_samples: class_samples.to_vec(),
            by_class,
        }
    }
}

fn describe(layer: &TracedLayer) -> String {
    let (_, sources, targets) = layer.decision.size();
    format!("`{}` {sources}x{targets}", layer.name)
}

/// The numbers of a float64 tensor, in rows of `width`.
fn rows(x: &Tensor, width: usize) -> Vec<Vec<f64>> {
    let x = x.to_device(Device::Cpu).contiguous();
    let mut numbers = vec![0.0; x.numel()];
    x.copy_data(&mut numbers, x.numel());
    numbers.chunks(width.max(1)).map(<[f64]>::to_vec).collect()
}

/// The mean of a float64 tensor.
fn scalar(x: &Tensor) -> f64 {
    x.mean(None).double_value(&[])
}

#[cfg(test)]
mod tests;
