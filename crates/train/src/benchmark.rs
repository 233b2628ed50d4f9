//! How long models take, side by side.

use std::fmt;
use std::time::Instant;

use mp_nn::Mode;
use mp_zoo::{InputSize, ModelName, ModelOptions, RoutingConfig};
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use crate::Error;
use crate::learner::{Learner, forward};
use crate::recipe::{Precision, Recipe};
use crate::run::device_name;

/// What is timed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// A training step: forward, loss, backward, one step of SGD with momentum.
    #[default]
    Train,
    /// A forward pass in evaluation mode.
    Forward,
}

/// Which models are timed, and how.
#[derive(Debug, Clone)]
pub struct Benchmark {
    /// Names of the zoo; the first is what the others are compared with.
    pub models: Vec<String>,
    /// How routed models route.
    pub routing: RoutingConfig,
    /// What is timed.
    pub pass: Pass,
    /// Number format of the forward pass.
    pub precision: Precision,
    /// Images per pass.
    pub batch: usize,
    /// Rounds; each times every model once.
    pub rounds: usize,
    /// Threads of libtorch; 0: as many as there are cores.
    pub threads: usize,
}

impl Default for Benchmark {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            routing: RoutingConfig::default(),
            pass: Pass::Train,
            precision: Precision::Fp32,
            batch: 128,
            rounds: 10,
            threads: 0,
        }
    }
}

/// The outcome of a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Where it ran: `cpu`, `cuda:0`.
    pub device: String,
    /// Threads of libtorch.
    pub threads: usize,
    /// Images per pass.
    pub batch: usize,
    /// What was timed.
    pub mode: Pass,
    /// Number format of the forward pass.
    pub precision: Precision,
    /// The models, in the order asked for.
    pub models: Vec<Timed>,
}

/// What one model costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timed {
    /// Its name.
    pub name: String,
    /// Numbers that are trained.
    pub parameters: u64,
    /// Multiply-adds of one image.
    pub multiply_adds: u64,
    /// Median milliseconds of a pass.
    pub ms_median: f64,
    /// Least milliseconds of a pass.
    pub ms_min: f64,
    /// Median, over the rounds, of its time over that of the first model in the same round: what slows both cancels.
    pub ratio_to_first: f64,
}

/// Passes of each model that are not timed.
const WARM_UP: usize = 2;

/// Times models interleaved: each round runs every model once, every second round in reverse order, so that a drift of the
/// machine falls on all alike. All models get images of the first one's native size. `round_done` is told the number of
/// rounds done.
///
/// # Errors
/// No model, no round or no image asked for; a name that no model has; bfloat16 on anything but the CPU.
pub fn run(benchmark: &Benchmark, round_done: &mut dyn FnMut(usize)) -> Result<Report, Error> {
    let Benchmark { models, pass, precision, batch, rounds, threads, .. } = benchmark;
    for (key, value) in [("bench --batch", *batch), ("bench --rounds", *rounds), ("bench MODEL...", models.len())] {
        if value == 0 {
            return Err(Error::Invalid { key, value: value.to_string(), expected: "at least 1".to_owned() });
        }
    }
    if *threads > 0 {
        tch::set_num_threads(*threads as i32);
    }
    let device = Device::cuda_if_available();
    let input = models[0].parse::<ModelName>()?.family.native;
    let mut contestants =
        models.iter().map(|name| Contestant::new(name, benchmark, input, device)).collect::<Result<Vec<_>, _>>()?;

    for contestant in &mut contestants {
        for _ in 0..WARM_UP {
            contestant.pass(*pass, *precision)?;
        }
    }
    for round in 0..*rounds {
        let mut order: Vec<usize> = (0..contestants.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let milliseconds = contestants[index].pass(*pass, *precision)?;
            contestants[index].milliseconds.push(milliseconds);
        }
        round_done(round + 1);
    }

    let first = contestants[0].milliseconds.clone();
    Ok(Report {
        device: device_name(device),
        threads: tch::get_num_threads() as usize,
        batch: *batch,
        mode: *pass,
        precision: *precision,
        models: contestants.iter().zip(models).map(|(contestant, name)| contestant.timed(name, &first)).collect(),
    })
}

struct Contestant {
    learner: Learner,
    images: Tensor,
    labels: Tensor,
    milliseconds: Vec<f64>,
}

impl Contestant {
    fn new(name: &str, benchmark: &Benchmark, input: InputSize, device: Device) -> Result<Self, Error> {
        let mut recipe = Recipe::default();
        recipe.train.precision = benchmark.precision;
        let options = ModelOptions { input, routing: benchmark.routing.clone() };
        let learner = Learner::new(name, &options, &recipe, device)?;
        let batch = benchmark.batch as i64;
        let images = Tensor::randn([batch, input.size, input.size, input.channels], (Kind::Float, device));
        let labels = Tensor::randint(input.classes, [batch], (Kind::Int64, device));
        Ok(Self { learner, images: images.permute([0, 3, 1, 2]), labels, milliseconds: Vec::new() })
    }

    /// Milliseconds of one pass; reading a number at its end waits for the device.
    fn pass(&mut self, pass: Pass, precision: Precision) -> Result<f64, Error> {
        let start = Instant::now();
        match pass {
            Pass::Train => {
                let found = self.learner.accumulate(&self.images, &self.labels, 1.0)?;
                // Small enough that random labels do no harm over many rounds.
                self.learner.step(1e-4);
                let _ = found.loss.double_value(&[]);
            }
            Pass::Forward => {
                let _guard = tch::no_grad_guard();
                let output = forward(self.learner.model(), &self.images, Mode::Eval, precision);
                let _ = output.logits.double_value(&[0, 0]);
            }
        }
        Ok(start.elapsed().as_secs_f64() * 1e3)
    }

    fn timed(&self, name: &str, first: &[f64]) -> Timed {
        let cost = self.learner.cost();
        let ratios = self.milliseconds.iter().zip(first).map(|(own, first)| own / first).collect();
        Timed {
            name: name.to_owned(),
            parameters: cost.parameters,
            multiply_adds: cost.multiply_adds,
            ms_median: median(self.milliseconds.clone()),
            ms_min: self.milliseconds.iter().copied().fold(f64::INFINITY, f64::min),
            ratio_to_first: median(ratios),
        }
    }
}

/// The middle value; the mean of the two middle ones where their number is even.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 }
}

impl fmt::Display for Report {
    /// A table for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.mode {
            Pass::Train => "training step",
            Pass::Forward => "forward pass",
        };
        let Self { batch, device, threads, .. } = self;
        writeln!(f, "{what}, batch {batch}, {}, {device}, {threads} threads", self.precision.name())?;
        let width = self.models.iter().map(|model| model.name.len()).max().unwrap_or(0).max("model".len());
        write!(
            f,
            "{:width$}  {:>11}  {:>13}  {:>9}  {:>9}  {:>5}",
            "model", "parameters", "multiply-adds", "median ms", "min ms", "ratio"
        )?;
        for model in &self.models {
            let Timed { name, parameters, multiply_adds, ms_median, ms_min, ratio_to_first } = model;
            write!(
                f,
                "\n{name:width$}  {parameters:>11}  {multiply_adds:>13}  {ms_median:>9.2}  {ms_min:>9.2}  {ratio_to_first:>5.2}"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_middle_two() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0, 4.0]), 3.0);
    }

    #[test]
    fn every_model_is_timed_in_the_order_asked_for() {
        let benchmark = Benchmark {
            models: vec!["base_cnn_w4".to_owned(), "base_cnn_w4_x2_cc".to_owned()],
            batch: 2,
            rounds: 3,
            ..Benchmark::default()
        };
        let mut rounds = Vec::new();
        let report = run(&benchmark, &mut |done| rounds.push(done)).unwrap();
        assert_eq!(rounds, [1, 2, 3]);
        let names: Vec<&str> = report.models.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, benchmark.models);
        assert_eq!(report.models[0].ratio_to_first, 1.0);
        assert!(report.models[1].parameters > report.models[0].parameters);
        assert!(report.models.iter().all(|model| 0.0 < model.ms_min && model.ms_min <= model.ms_median));
    }

    #[test]
    fn the_json_has_the_published_keys() {
        let benchmark =
            Benchmark { models: vec!["base_cnn_w4".to_owned()], batch: 1, rounds: 1, ..Benchmark::default() };
        let report = run(&Benchmark { pass: Pass::Forward, ..benchmark }, &mut |_| {}).unwrap();
        let json = serde_json::to_value(&report).unwrap();
        let keys = |value: &serde_json::Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(keys(&json), ["batch", "device", "mode", "models", "precision", "threads"]);
        let expected = ["ms_median", "ms_min", "multiply_adds", "name", "parameters", "ratio_to_first"];
        assert_eq!(keys(&json["models"][0]), expected);
        assert_eq!((json["mode"].as_str(), json["precision"].as_str()), (Some("forward"), Some("fp32")));
    }

    #[test]
    fn nothing_to_time_is_an_error() {
        let message = run(&Benchmark::default(), &mut |_| {}).unwrap_err().to_string();
        assert_eq!(message, "bench MODEL... is 0, expected at least 1");
    }
}
