//! How long models take: side by side, op by op, and layer by layer in each way of computing it.

mod agreement;
mod contestant;
mod peak;
mod profile;
pub mod skips;
pub mod tune;
mod turns;

use std::fmt;

use crate::machine::{DeviceChoice, device_name};
use crate::recipe::Precision;
use crate::weights::WeightFile;
use crate::{Error, Spec};
use contestant::Contestant;
use mp_routing::figure;
use peak::Peak;
use serde::Serialize;

pub use agreement::{Agreed, Agreement, Distances, Recorded, agreement};
pub use profile::{OpShare, Profile, profile};
pub use turns::turns;

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

impl Pass {
    /// What it is called in tables.
    fn name(self) -> &'static str {
        match self {
            Self::Train => "training step",
            Self::Forward => "forward pass",
        }
    }

    /// Floating-point operations for one image: two for each multiply-add; in training three times as many, since every
    /// product of the forward pass has two in the backward pass, one for either factor.
    fn operations(self, multiply_adds: u64) -> f64 {
        let passes = match self {
            Self::Train => 3.0,
            Self::Forward => 1.0,
        };
        2.0 * passes * multiply_adds as f64
    }
}

/// Which models are timed, and how.
#[derive(Debug, Clone)]
pub struct Benchmark {
    /// The first is what the others are compared with.
    pub models: Vec<Spec>,
    /// What is timed.
    pub pass: Pass,
    /// Number format of the forward pass.
    pub precision: Precision,
    /// Images per pass.
    pub batch: usize,
    /// Rounds; each times every model once.
    pub rounds: usize,
    /// Passes of a model in a round, between which nothing waits for the device: a GPU is then kept busy, as it is in training. The
    /// time of a round is their mean.
    pub passes: usize,
    /// Where it runs.
    pub device: DeviceChoice,
    /// Whether a training step on a GPU is recorded once and then started as a whole.
    pub graphs: bool,
    /// Threads of libtorch; 0: as many as there are cores.
    pub threads: usize,
    /// Also measure the machine's peak: one product of large matrices in every round.
    pub peak: bool,
    /// Weights that every model starts from, in place of drawn ones.
    pub weights: Option<WeightFile>,
    /// The share of its multiply-adds that an image of a model may cost whose images skip layers; others run as they are. The
    /// threshold is found on the images that are timed.
    pub budget: Option<f64>,
}

impl Default for Benchmark {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            pass: Pass::Train,
            precision: Precision::Fp32,
            batch: 128,
            rounds: 10,
            passes: 1,
            device: DeviceChoice::Auto,
            graphs: true,
            threads: 0,
            peak: false,
            weights: None,
            budget: None,
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
    /// The most that a product of large matrices reached in this number format, in 10^9 operations a second; where it
    /// was asked for.
    #[serde(skip_serializing_if = "Option::is_none", with = "figure")]
    pub peak_gflops: Option<f64>,
    /// The models, in the order asked for.
    pub models: Vec<Timed>,
}

/// What one model costs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timed {
    /// Its name, as asked for.
    pub name: String,
    /// Numbers that are trained.
    pub parameters: u64,
    /// Multiply-adds of one image that runs everything.
    pub multiply_adds: u64,
    /// Multiply-adds of what an image chose, on average over those that were timed in evaluation, with what always runs; where
    /// images choose.
    #[serde(skip_serializing_if = "Option::is_none", with = "figure")]
    pub routed_multiply_adds: Option<f64>,
    /// Median milliseconds of a pass.
    #[serde(with = "figure")]
    pub ms_median: f64,
    /// Least milliseconds of a pass.
    #[serde(with = "figure")]
    pub ms_min: f64,
    /// Median, over the rounds, of its time over that of the first model in the same round: what slows both cancels.
    #[serde(with = "figure")]
    pub ratio_to_first: f64,
    /// Kernels, copies and fills of a training step that is started as a whole; where one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_nodes: Option<usize>,
    /// Floating-point operations of the model's products and sums over the median time, in 10^9 a second.
    #[serde(with = "figure")]
    pub gflops: f64,
    /// Milliseconds of each round.
    #[serde(with = "figure")]
    pub ms: Vec<f64>,
}

impl Benchmark {
    /// # Errors
    /// No model, no round or no image asked for.
    fn check(&self) -> Result<(), Error> {
        let counts = [
            ("bench --batch", self.batch),
            ("bench --rounds", self.rounds),
            ("bench --passes", self.passes),
            ("bench MODEL...", self.models.len()),
        ];
        match counts.into_iter().find(|(_, value)| *value == 0) {
            Some((key, value)) => {
                Err(Error::Invalid { key, value: value.to_string(), expected: "at least 1".to_owned() })
            }
            None => Ok(()),
        }
    }
}

/// Times models interleaved: each round runs every model once, every second round in reverse order, so that a drift of the
/// machine falls on all alike. All models get images of the first one's native size. `round_done` is told the number of
/// rounds done.
///
/// # Errors
/// No model, no round or no image asked for; a name that no model has; a device that is not there, or without the number format.
pub fn run(benchmark: &Benchmark, round_done: &mut dyn FnMut(usize)) -> Result<Report, Error> {
    let Benchmark { models, pass, precision, batch, rounds, .. } = benchmark;
    let device = benchmark.device.device()?;
    let mut contestants = Contestant::all(benchmark, device)?;
    let peak = benchmark.peak.then(|| Peak::new(*precision, device));

    let mut times = vec![Vec::with_capacity(*rounds); contestants.len()];
    let mut fastest: Option<f64> = None;
    for round in 0..*rounds {
        let mut order: Vec<usize> = (0..contestants.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            times[index].push(contestants[index].milliseconds(benchmark.passes)?);
        }
        if let Some(peak) = &peak {
            // The best of the rounds: what the machine can do is not less for what else it did meanwhile.
            fastest = Some(fastest.unwrap_or(0.0).max(peak.gflops()));
        }
        round_done(round + 1);
    }

    let timed = |((contestant, spec), ms): ((&Contestant, &Spec), &Vec<f64>)| {
        let cost = contestant.learner.cost();
        let ms_median = median(ms.clone());
        Timed {
            name: spec.to_string(),
            parameters: cost.parameters,
            multiply_adds: cost.multiply_adds,
            routed_multiply_adds: contestant.routed(),
            ms_median,
            ms_min: ms.iter().copied().fold(f64::INFINITY, f64::min),
            graph_nodes: contestant.learner.graph_nodes(),
            ratio_to_first: median(ms.iter().zip(&times[0]).map(|(own, first)| own / first).collect()),
            gflops: pass.operations(cost.multiply_adds) * *batch as f64 / ms_median / 1e6,
            ms: ms.clone(),
        }
    };
    Ok(Report {
        device: device_name(device),
        threads: tch::get_num_threads() as usize,
        batch: *batch,
        mode: *pass,
        precision: *precision,
        peak_gflops: fastest,
        models: contestants.iter().zip(models).zip(&times).map(timed).collect(),
    })
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
        let what = self.mode.name();
        let Self { batch, device, threads, .. } = self;
        writeln!(f, "{what}, batch {batch}, {}, {device}, {threads} threads", self.precision.name())?;
        let width = self.models.iter().map(|model| model.name.len()).max().unwrap_or(0).max("model".len());
        write!(
            f,
            "{:width$}  {:>11}  {:>13}  {:>9}  {:>9}  {:>8}  {:>5}",
            "model", "parameters", "multiply-adds", "median ms", "min ms", "GFLOP/s", "ratio"
        )?;
        for model in &self.models {
            let Timed { name, parameters, multiply_adds, ms_median, ms_min, ratio_to_first, gflops, .. } = model;
            write!(f, "\n{name:width$}  {parameters:>11}  {multiply_adds:>13}  {ms_median:>9.2}  {ms_min:>9.2}  ")?;
            write!(f, "{gflops:>8.1}  {ratio_to_first:>5.2}")?;
            if let Some(routed) = model.routed_multiply_adds {
                let share = 100.0 * routed / *multiply_adds as f64;
                write!(f, "  chosen: {:.0} multiply-adds ({share:.1}%)", routed)?;
            }
        }
        if let Some(peak) = self.peak_gflops {
            write!(f, "\nproducts of large matrices: {peak:.1} GFLOP/s")?;
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
            models: ["base_cnn_w4", "base_cnn_w4_x2_cc", "base_cnn_w4_x2_cc@positions=blocks"]
                .map(|spec| spec.parse().unwrap())
                .to_vec(),
            batch: 2,
            rounds: 3,
            ..Benchmark::default()
        };
        let mut rounds = Vec::new();
        let report = run(&benchmark, &mut |done| rounds.push(done)).unwrap();
        assert_eq!(rounds, [1, 2, 3]);
        let names: Vec<&str> = report.models.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["base_cnn_w4", "base_cnn_w4_x2_cc", "base_cnn_w4_x2_cc@positions=blocks"]);
        assert_eq!(report.models[0].ratio_to_first, 1.0);
        assert!(report.models[1].parameters > report.models[0].parameters);
        assert!(report.models.iter().all(|model| 0.0 < model.ms_min && model.ms_min <= model.ms_median));
    }

    #[test]
    fn the_json_has_the_published_keys() {
        let benchmark =
            Benchmark { models: vec!["base_cnn_w4".parse().unwrap()], batch: 1, rounds: 1, ..Benchmark::default() };
        let report = run(&Benchmark { pass: Pass::Forward, peak: true, ..benchmark }, &mut |_| {}).unwrap();
        let json = serde_json::to_value(&report).unwrap();
        let keys = |value: &serde_json::Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
        assert_eq!(keys(&json), ["batch", "device", "mode", "models", "peak_gflops", "precision", "threads"]);
        let expected = ["gflops", "ms", "ms_median", "ms_min", "multiply_adds", "name", "parameters", "ratio_to_first"];
        assert_eq!(keys(&json["models"][0]), expected);
        assert_eq!((json["mode"].as_str(), json["precision"].as_str()), (Some("forward"), Some("fp32")));
    }

    #[test]
    fn operations_are_those_of_a_step() {
        // 1 image, 40.8 M multiply-adds: 2 operations each, and in training 3 products for one.
        assert_eq!(Pass::Forward.operations(40_813_184), 81_626_368.0);
        assert_eq!(Pass::Train.operations(40_813_184), 244_879_104.0);
    }

    #[test]
    fn nothing_to_time_is_an_error() {
        let message = run(&Benchmark::default(), &mut |_| {}).unwrap_err().to_string();
        assert_eq!(message, "bench MODEL... is 0, expected at least 1");
    }
}
