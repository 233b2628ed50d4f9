//! Where the time of a pass goes.

use std::fmt;

use mp_native::Profiler;
use mp_routing::figure;
use serde::Serialize;
use tch::Device;

use super::contestant::Contestant;
use super::{Benchmark, Pass};
use crate::Error;
use crate::machine::device_name;
use crate::recipe::Precision;

/// What the ops of one model take, on average over the rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Profile {
    /// The model, as asked for.
    pub name: String,
    /// Where it ran.
    pub device: String,
    /// Threads of libtorch.
    pub threads: usize,
    /// Images per pass.
    pub batch: usize,
    /// What was profiled.
    pub mode: Pass,
    /// Number format of the forward pass.
    pub precision: Precision,
    /// Milliseconds of a pass; recording makes it a little slower than it is by itself.
    #[serde(with = "figure")]
    pub ms: f64,
    /// The kinds of op, those that take most time first.
    pub ops: Vec<OpShare>,
}

/// One kind of op in one pass.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpShare {
    /// libtorch's name of it; nodes of the backward pass go by their own.
    pub name: String,
    /// Calls in a pass.
    #[serde(with = "figure")]
    pub calls: f64,
    /// Milliseconds of a pass spent in it, without the ops that it calls.
    #[serde(with = "figure")]
    pub ms: f64,
    /// The same over the milliseconds of the pass.
    #[serde(with = "figure")]
    pub share: f64,
}

/// Profiles each model by itself, over as many passes as there are rounds.
///
/// On a device other than the CPU the times are those of launching the ops, and the backward pass is not in them.
///
/// # Errors
/// As [`super::run`].
///
/// # Panics
/// If another profiler records on this thread.
pub fn profile(benchmark: &Benchmark) -> Result<Vec<Profile>, Error> {
    let device = benchmark.device.device()?;
    let mut contestants = Contestant::all(benchmark, device)?;
    let names = benchmark.models.iter().map(ToString::to_string);
    contestants.iter_mut().zip(names).map(|(contestant, name)| one(contestant, name, benchmark, device)).collect()
}

fn one(contestant: &mut Contestant, name: String, benchmark: &Benchmark, device: Device) -> Result<Profile, Error> {
    let Benchmark { pass, precision, batch, rounds, .. } = *benchmark;
    let profiler = Profiler::start().expect("no other profiler on this thread");
    let times: Vec<f64> = (0..rounds).map(|_| contestant.milliseconds(1)).collect::<Result<_, _>>()?;
    let ops = profiler.stop();

    let rounds = rounds as f64;
    let ms = times.iter().sum::<f64>() / rounds;
    let share_of = |op: mp_native::OpTime| {
        let own = op.own.as_secs_f64() * 1e3 / rounds;
        OpShare { name: op.name, calls: op.calls as f64 / rounds, ms: own, share: own / ms }
    };
    Ok(Profile {
        name,
        device: device_name(device),
        threads: tch::get_num_threads() as usize,
        batch,
        mode: pass,
        precision,
        ms,
        ops: ops.into_iter().map(share_of).collect(),
    })
}

/// Kinds of op that take less than this share of a pass are shown together.
const SHOWN: f64 = 0.002;

impl fmt::Display for Profile {
    /// A table for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, device, threads, batch, ms, .. } = self;
        let (what, precision) = (self.mode.name(), self.precision.name());
        writeln!(f, "{name}, {what}, batch {batch}, {precision}, {device}, {threads} threads: {ms:.2} ms")?;
        let (shown, small): (Vec<_>, Vec<_>) = self.ops.iter().partition(|op| op.share >= SHOWN);
        let width = shown.iter().map(|op| op.name.len()).max().unwrap_or(0).max("other ops".len());
        write!(f, "{:width$}  {:>7}  {:>9}  {:>6}", "op", "calls", "own ms", "share")?;
        let mut row = |name: &str, calls: String, ms: f64, share: f64| {
            write!(f, "\n{name:width$}  {calls:>7}  {ms:>9.2}  {:>5.1}%", 100.0 * share)
        };
        for op in &shown {
            row(&op.name, format!("{}", op.calls.round()), op.ms, op.share)?;
        }
        let total = |ops: &[&OpShare]| {
            ops.iter().fold((0.0, 0.0, 0.0), |(calls, ms, share), op| (calls + op.calls, ms + op.ms, share + op.share))
        };
        let (calls, small_ms, share) = total(&small);
        row("other ops", format!("{}", f64::round(calls)), small_ms, share)?;
        let (_, shown_ms, shown_share) = total(&shown);
        row("no op", String::new(), ms - shown_ms - small_ms, 1.0 - shown_share - share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_counts_the_ops_of_both_passes() {
        let benchmark = Benchmark {
            models: vec!["base_cnn_w4_x2_cc".parse().unwrap()],
            batch: 2,
            rounds: 2,
            ..Benchmark::default()
        };
        let profiles = profile(&benchmark).unwrap();
        assert_eq!(profiles.len(), 1);
        let calls = |name: &str| profiles[0].ops.iter().find(|op| op.name == name).map_or(0.0, |op| op.calls);
        // Two paths of three convolutions, in every pass.
        assert_eq!((calls("aten::convolution"), calls("ConvolutionBackward0")), (6.0, 6.0), "{:?}", profiles[0]);
        let inside: f64 = profiles[0].ops.iter().map(|op| op.ms).sum();
        assert!(0.0 < inside && inside <= profiles[0].ms);
        assert!(profiles[0].to_string().ends_with('%'));
    }
}
