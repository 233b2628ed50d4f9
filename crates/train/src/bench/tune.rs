//! Which way of computing parallel paths is the quickest, measured layer by layer on the machine at hand.
//!
//! Times are kept in one file beside the downloaded data sets, so that a shape is measured once a machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mp_blocks::{Execution, Paths};
use mp_nn::Store;
use mp_routing::{Pass, figure};
use mp_zoo::{LayerPlan, ModelOptions};
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::atomic::{self, Existing};
use crate::machine::{DeviceChoice, device_name};
use crate::optim::Gradients;
use crate::recipe::Precision;
use crate::{Error, machine};

/// Passes of each way that are not timed, and that are.
const WARM_UP: usize = 2;
const ROUNDS: usize = 7;

/// Another way than the separate one must be this much quicker: less may be noise, and separate paths need no copies.
const MARGIN: f64 = 0.97;

/// What is measured.
#[derive(Debug, Clone)]
pub struct Tuning {
    /// Name of the zoo.
    pub model: String,
    /// Its images and how it routes.
    pub options: ModelOptions,
    /// Number format of the forward pass.
    pub precision: Precision,
    /// Images per pass.
    pub batch: usize,
    /// Threads of libtorch; 0: as many as there are cores.
    pub threads: usize,
    /// Where it is measured.
    pub device: DeviceChoice,
}

/// The measured ways of every layer of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The model.
    pub model: String,
    /// Where it was measured: `cpu`, `cuda:0`.
    pub device: String,
    /// Threads of libtorch.
    pub threads: usize,
    /// Images per pass.
    pub batch: usize,
    /// Number format of the forward pass.
    pub precision: Precision,
    /// The layers, in order.
    pub layers: Vec<Explained>,
}

/// The measured ways of one layer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// Its position in `model.routing.execution`.
    pub position: String,
    /// Paths, channels and size of its input: `3 x 16x32x32`.
    pub input: String,
    /// Milliseconds of a training pass of the layer, for each way that it has.
    #[serde(with = "figure")]
    pub ms: BTreeMap<Execution, f64>,
    /// The quickest; the separate one unless another is clearly quicker.
    pub chosen: Execution,
    /// Whether the times were measured earlier.
    pub cached: bool,
}

impl Explanation {
    /// What to set as `model.routing.execution`: the layers whose quickest way is not the separate one.
    pub fn execution(&self) -> BTreeMap<String, Execution> {
        let joint = self.layers.iter().filter(|layer| layer.chosen != Execution::Separate);
        joint.map(|layer| (layer.position.clone(), layer.chosen)).collect()
    }
}

/// Measures the ways of every layer of a model of parallel paths, or reads them from `cache`, the folder of downloaded data
/// sets. `layer_done` is told the number of layers done.
///
/// # Errors
/// A model that cannot be built; a single network or an ensemble, which have no parallel paths; a device that is not there, or without the number format; a cache that cannot be written.
pub fn explain(tuning: &Tuning, cache: &Path, layer_done: &mut dyn FnMut(usize)) -> Result<Explanation, Error> {
    let Tuning { model, options, precision, batch, threads, .. } = tuning;
    let device = tuning.device.device()?;
    precision.prepare(device)?;
    let layers = mp_zoo::layers(model, options)?;
    if layers.is_empty() {
        let expected = "a model of parallel paths, such as resnet20_x3_cc".to_owned();
        return Err(Error::Invalid { key: "bench --explain", value: model.clone(), expected });
    }
    machine::use_threads(*threads);
    let mut table = Table::open(cache)?;
    // A network has many layers of one shape: measured once, but not earlier.
    let mut measured = BTreeSet::new();
    let mut explained = Vec::with_capacity(layers.len());
    for (done, layer) in layers.iter().enumerate() {
        let key = key(layer, *precision, *batch, device);
        let known = table.times.get(&key).cloned();
        let cached = known.is_some() && !measured.contains(&key);
        let ms = match known {
            Some(ms) => ms,
            None => {
                let ms = measure(layer, *precision, *batch as i64, device)?;
                table.times.insert(key.clone(), ms.clone());
                measured.insert(key);
                ms
            }
        };
        explained.push(Explained {
            position: layer.position.clone(),
            input: format!("{} x {}", layer.paths.paths, layer.input),
            chosen: choose(&ms),
            ms,
            cached,
        });
        layer_done(done + 1);
    }
    table.save()?;
    Ok(Explanation {
        model: model.clone(),
        device: device_name(device),
        threads: tch::get_num_threads() as usize,
        batch: *batch,
        precision: *precision,
        layers: explained,
    })
}

/// The quickest way, by the margin that another must have over the separate one.
fn choose(ms: &BTreeMap<Execution, f64>) -> Execution {
    let separate = ms.get(&Execution::Separate).copied().unwrap_or(f64::INFINITY);
    let quickest = ms.iter().min_by(|a, b| a.1.total_cmp(b.1));
    match quickest {
        Some((way, time)) if *time < MARGIN * separate => *way,
        _ => Execution::Separate,
    }
}

/// Median milliseconds of a training pass of the layer in each of its ways, which take turns.
fn measure(
    layer: &LayerPlan,
    precision: Precision,
    batch: i64,
    device: Device,
) -> Result<BTreeMap<Execution, f64>, Error> {
    if layer.ways.len() == 1 {
        return Ok(BTreeMap::new());
    }
    let mut contestants = Vec::new();
    for way in &layer.ways {
        let store = Store::new(device, 0);
        let config = mp_blocks::PathsConfig { execution: *way, ..layer.paths.clone() };
        let paths = config.build(layer.input, &store.root(), &layer.position).map_err(mp_zoo::Error::from)?;
        contestants.push((*way, Gradients::of(store.parameters()), paths, Vec::new()));
    }
    let xs = inputs(layer, precision, batch, device);
    for round in 0..WARM_UP + ROUNDS {
        for (_, gradients, paths, times) in &mut contestants {
            let time = pass(paths, &xs, precision);
            gradients.clear();
            if round >= WARM_UP {
                times.push(time);
            }
        }
    }
    Ok(contestants.into_iter().map(|(way, _, _, times)| (way, median(times))).collect())
}

/// The maps that the layer gets in a network: channels-last, one for all paths after a plain split, with a gradient unless
/// they are the image.
fn inputs(layer: &LayerPlan, precision: Precision, batch: i64, device: Device) -> Vec<Tensor> {
    let (height, width) = layer.input.extent();
    // The image comes in float32.
    let kind = if layer.one_input { Kind::Float } else { precision.kind() };
    let map = || {
        let x = Tensor::randn([batch, height, width, layer.input.channels()], (Kind::Float, device)).to_kind(kind);
        x.permute([0, 3, 1, 2]).set_requires_grad(!layer.one_input)
    };
    if layer.one_input {
        let x = map();
        return (0..layer.paths.paths).map(|_| x.shallow_clone()).collect();
    }
    (0..layer.paths.paths).map(|_| map()).collect()
}

/// Milliseconds of one pass forward and backward; reading a number at its end waits for the device.
fn pass(paths: &Paths, xs: &[Tensor], precision: Precision) -> f64 {
    let start = Instant::now();
    let ys = {
        let _autocast = precision.begin(xs[0].device());
        paths.forward(xs, &mut Pass::train())
    };
    let loss: Tensor = ys.iter().map(|y| y.sum(Kind::Float)).sum();
    loss.backward();
    let _ = loss.double_value(&[]);
    start.elapsed().as_secs_f64() * 1e3
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What a time depends on: the machine, the threads, the number format, the batch and the layer.
fn key(layer: &LayerPlan, precision: Precision, batch: usize, device: Device) -> String {
    let paths = &layer.paths;
    format!(
        "{} | {} | {} threads | {} | batch {batch} | {} paths of {:?} | input {input}{shared}",
        machine::hardware(device),
        device_name(device),
        tch::get_num_threads(),
        precision.name(),
        paths.paths,
        paths.block,
        input = layer.input,
        shared = if layer.one_input { ", shared" } else { "" },
    )
}

/// The times that were measured, by what they depend on.
struct Table {
    path: PathBuf,
    times: BTreeMap<String, BTreeMap<Execution, f64>>,
    read: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    /// Which versions measured: times of others say nothing.
    versions: String,
    #[serde(with = "figure")]
    times: BTreeMap<String, BTreeMap<Execution, f64>>,
}

impl Table {
    fn versions() -> String {
        format!("mp-train {}, libtorch 2.13.0", env!("CARGO_PKG_VERSION"))
    }

    /// A table that is not there, was measured by other versions or cannot be understood is an empty one: it is only a memory.
    fn open(cache: &Path) -> Result<Self, Error> {
        let path = cache.join("path-execution.json");
        let text = fs::read(&path).unwrap_or_default();
        let times = match serde_json::from_slice::<TableFile>(&text) {
            Ok(file) if file.versions == Self::versions() => file.times,
            _ => BTreeMap::new(),
        };
        Ok(Self { path, read: times.len(), times })
    }

    fn save(self) -> Result<(), Error> {
        if self.times.len() == self.read {
            return Ok(());
        }
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        }
        let file = TableFile { versions: Self::versions(), times: self.times };
        let text = serde_json::to_vec_pretty(&file).map_err(|error| Error::corrupt(&self.path, &error))?;
        atomic::write(&self.path, &text, Existing::Replace)
    }
}

impl fmt::Display for Explanation {
    /// A table for people, and what to set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, device, threads, batch, precision, layers } = self;
        writeln!(
            f,
            "{model}, ms of a training pass, batch {batch}, {}, {device}, {threads} threads",
            precision.name()
        )?;
        let width = layers.iter().map(|layer| layer.position.len()).max().unwrap_or(0).max("layer".len());
        let input = layers.iter().map(|layer| layer.input.len()).max().unwrap_or(0);
        write!(f, "{:width$}  {:input$}", "layer", "input")?;
        for way in Execution::ALL {
            write!(f, "  {:>8}", way.name())?;
        }
        writeln!(f, "  chosen")?;
        for layer in layers {
            write!(f, "{:width$}  {:input$}", layer.position, layer.input)?;
            for way in Execution::ALL {
                match layer.ms.get(&way) {
                    Some(ms) => write!(f, "  {ms:>8.2}")?,
                    None => write!(f, "  {:>8}", "-")?,
                }
            }
            writeln!(f, "  {}{}", layer.chosen.name(), if layer.cached { ", measured earlier" } else { "" })?;
        }
        let chosen: Vec<String> =
            self.execution().iter().map(|(at, way)| format!("\"{at}\" = \"{}\"", way.name())).collect();
        if chosen.is_empty() {
            return write!(f, "Separate paths are the quickest everywhere: nothing to set.");
        }
        write!(f, "To use it: train.tune_paths = true, or model.routing.execution = {{ {} }}", chosen.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use mp_zoo::InputSize;

    use super::*;

    fn tuning(model: &str) -> Tuning {
        let input = InputSize { channels: 1, size: 8, classes: 3 };
        Tuning {
            model: model.to_owned(),
            options: ModelOptions::new(input),
            precision: Precision::Fp32,
            batch: 2,
            threads: 0,
            device: DeviceChoice::Cpu,
        }
    }

    #[test]
    fn another_way_must_be_clearly_quicker() {
        let times =
            |separate, grouped| BTreeMap::from([(Execution::Separate, separate), (Execution::Grouped, grouped)]);
        assert_eq!(choose(&times(1.0, 0.98)), Execution::Separate);
        assert_eq!(choose(&times(1.0, 0.9)), Execution::Grouped);
        assert_eq!(choose(&BTreeMap::new()), Execution::Separate);
    }

    #[test]
    fn a_shape_is_measured_once() {
        let cache = tempfile::tempdir().unwrap();
        let mut done = Vec::new();
        let first = explain(&tuning("base_cnn_w4_x2_cc"), cache.path(), &mut |layers| done.push(layers)).unwrap();
        assert_eq!(done, [1, 2, 3, 4]);
        let ways: Vec<usize> = first.layers.iter().map(|layer| layer.ms.len()).collect();
        // The first layer's paths have one input, the dense one has no convolution.
        assert_eq!(ways, [3, 2, 2, 0]);
        assert!(first.layers.iter().all(|layer| !layer.cached));
        let second = explain(&tuning("base_cnn_w4_x2_cc"), cache.path(), &mut |_| {}).unwrap();
        assert!(second.layers.iter().all(|layer| layer.cached));
        // The last bit of a number is not kept by its decimal form.
        let pairs = first.layers.iter().zip(&second.layers).flat_map(|(a, b)| a.ms.values().zip(b.ms.values()));
        assert!(pairs.into_iter().all(|(a, b)| (a - b).abs() < 1e-9));
        // Another batch is another shape; a damaged table is an empty one.
        let other = explain(&Tuning { batch: 3, ..tuning("base_cnn_w4_x2_cc") }, cache.path(), &mut |_| {}).unwrap();
        assert!(other.layers.iter().all(|layer| !layer.cached));
        fs::write(cache.path().join("path-execution.json"), "{").unwrap();
        let anew = explain(&tuning("base_cnn_w4_x2_cc"), cache.path(), &mut |_| {}).unwrap();
        assert!(anew.layers.iter().all(|layer| !layer.cached));
    }

    #[test]
    fn the_table_reads_like_this() {
        let layer = |position: &str, ms: &[(Execution, f64)], cached| Explained {
            position: position.to_owned(),
            input: "2 x 4x8x8".to_owned(),
            ms: ms.iter().copied().collect(),
            chosen: choose(&ms.iter().copied().collect()),
            cached,
        };
        let explanation = Explanation {
            model: "base_cnn_x2".to_owned(),
            device: "cpu".to_owned(),
            threads: 2,
            batch: 128,
            precision: Precision::Fp32,
            layers: vec![
                layer(
                    "stage1",
                    &[(Execution::Separate, 2.0), (Execution::Grouped, 4.0), (Execution::Stacked, 1.25)],
                    false,
                ),
                layer("dense", &[], true),
            ],
        };
        let expected = "\
base_cnn_x2, ms of a training pass, batch 128, fp32, cpu, 2 threads
layer   input      separate   grouped   stacked  chosen
stage1  2 x 4x8x8      2.00      4.00      1.25  stacked
dense   2 x 4x8x8         -         -         -  separate, measured earlier
To use it: train.tune_paths = true, or model.routing.execution = { \"stage1\" = \"stacked\" }";
        assert_eq!(explanation.to_string(), expected);
    }

    #[test]
    fn models_without_parallel_paths_are_refused() {
        let cache = tempfile::tempdir().unwrap();
        let message = explain(&tuning("base_cnn_w4"), cache.path(), &mut |_| {}).unwrap_err().to_string();
        assert_eq!(
            message,
            "bench --explain is base_cnn_w4, expected a model of parallel paths, such as resnet20_x3_cc"
        );
    }
}
