//! What skipping saves, measured block by block on the machine at hand.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use mp_blocks::Block;
use mp_nn::{Mode, Store};
use mp_routing::{BackEnd, Decision, Normalisation, Pass, Trace, figure};
use mp_zoo::SkipPlan;
use serde::Serialize;
use tch::{Device, Kind, Tensor};

use super::tune::Tuning;
use crate::machine::device_name;
use crate::recipe::Precision;
use crate::{Error, machine};

/// Passes of each way that are not timed, and that are.
const WARM_UP: usize = 2;
const ROUNDS: usize = 7;
/// Shares of the images that run a block.
const KEPT: [f64; 3] = [0.75, 0.5, 0.25];

/// What skipping saves in each block of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SkipExplanation {
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
    /// The blocks, in order.
    pub blocks: Vec<SkipTimes>,
}

/// The times of one block in evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SkipTimes {
    /// Its position.
    pub position: String,
    /// Channels and size of its input: `16x32x32`.
    pub input: String,
    /// Milliseconds of running it for all images and dropping what was not chosen.
    #[serde(with = "figure")]
    pub all_ms: f64,
    /// Milliseconds of gathering, running and putting back three quarters, a half and a quarter of the images.
    #[serde(with = "figure")]
    pub gathered_ms: Vec<f64>,
}

impl SkipTimes {
    /// The greatest of the measured shares at which gathering is the quicker way; none if it never is.
    pub fn pays_from(&self) -> Option<f64> {
        KEPT.into_iter().zip(&self.gathered_ms).find(|(_, ms)| **ms < self.all_ms).map(|(share, _)| share)
    }
}

/// Measures every block of a model that images can skip; none for a model without. `block_done` is told the number of blocks done.
///
/// # Errors
/// A model that cannot be built; a device that is not there, or without the number format.
pub fn explain(tuning: &Tuning, block_done: &mut dyn FnMut(usize)) -> Result<Option<SkipExplanation>, Error> {
    let Tuning { model, options, precision, batch, threads, .. } = tuning;
    let device = tuning.device.device()?;
    precision.prepare(device)?;
    let plans = mp_zoo::skippable(model, options)?;
    if plans.is_empty() {
        return Ok(None);
    }
    machine::use_threads(*threads);
    // A network has many blocks of one shape.
    let mut known: BTreeMap<String, (f64, Vec<f64>)> = BTreeMap::new();
    let mut blocks = Vec::with_capacity(plans.len());
    for (done, plan) in plans.iter().enumerate() {
        let key = format!("{:?} {}", plan.block, plan.input);
        let (all_ms, gathered_ms) = match known.get(&key) {
            Some(times) => times.clone(),
            None => known.entry(key).or_insert(measure(plan, *precision, *batch as i64, device)?).clone(),
        };
        blocks.push(SkipTimes { position: plan.position.clone(), input: plan.input.to_string(), all_ms, gathered_ms });
        block_done(done + 1);
    }
    Ok(Some(SkipExplanation {
        model: model.clone(),
        device: device_name(device),
        threads: tch::get_num_threads() as usize,
        batch: *batch,
        precision: *precision,
        blocks,
    }))
}

/// Median milliseconds of running everything, and of gathering each of the shares; they take turns.
fn measure(plan: &SkipPlan, precision: Precision, batch: i64, device: Device) -> Result<(f64, Vec<f64>), Error> {
    let store = Store::new(device, 0);
    let block = plan.block.build(plan.input, &(&store.root() / NAME)).map_err(mp_zoo::Error::from)?;
    let (height, width) = plan.input.extent();
    let kind = precision.kind();
    let x = Tensor::randn([batch, height, width, plan.input.channels()], (Kind::Float, device)).relu().to_kind(kind);
    let x = x.permute([0, 3, 1, 2]);
    let half = (BackEnd::MaskAll, 0.5);
    let ways: Vec<(BackEnd, f64)> = std::iter::once(half).chain(KEPT.map(|share| (BackEnd::Gather, share))).collect();
    let mut times = vec![Vec::with_capacity(ROUNDS); ways.len()];
    for round in 0..WARM_UP + ROUNDS {
        for ((back_end, share), times) in ways.iter().zip(&mut times) {
            let ms = pass(&*block, &x, *back_end, *share, precision);
            if round >= WARM_UP {
                times.push(ms);
            }
        }
    }
    let mut medians = times.into_iter().map(super::median);
    Ok((medians.next().unwrap_or(f64::NAN), medians.collect()))
}

/// Where the block's parameters are, which is its name in traces.
const NAME: &str = "block";

/// Milliseconds of one forward pass in which a share of the images, evenly spaced, runs the block.
fn pass(block: &dyn Block, x: &Tensor, back_end: BackEnd, share: f64, precision: Precision) -> f64 {
    let _guard = tch::no_grad_guard();
    let batch = x.size()[0];
    let runs: Vec<i64> =
        (0..batch).map(|at| i64::from(((at + 1) as f64 * share).floor() > (at as f64 * share).floor())).collect();
    let chosen = Tensor::from_slice(&runs).one_hot(2).unsqueeze(1).to_device(x.device());
    let mut decision = Decision::soft(chosen.to_kind(Kind::Float), None, Normalisation::Targets);
    decision.chosen = Some(chosen.to_kind(Kind::Bool));
    let mut trace = Trace::new();
    trace.push(NAME, decision);
    let mut pass = Pass::forcing(Mode::Eval, trace).computed_by(back_end);
    let start = Instant::now();
    let _autocast = precision.begin(x.device());
    let _ = block.forward(x, &mut pass).to_kind(Kind::Float).mean(None).double_value(&[]);
    start.elapsed().as_secs_f64() * 1e3
}

impl fmt::Display for SkipExplanation {
    /// A table for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, device, threads, batch, precision, blocks } = self;
        let precision = precision.name();
        writeln!(f, "{model}, ms of a block in evaluation, batch {batch}, {precision}, {device}, {threads} threads")?;
        let width = blocks.iter().map(|block| block.position.len()).max().unwrap_or(0).max("block".len());
        let input = blocks.iter().map(|block| block.input.len()).max().unwrap_or(0).max("input".len());
        write!(f, "{:width$}  {:input$}  {:>8}", "block", "input", "all run")?;
        for share in KEPT {
            write!(f, "  {:>8}", format!("{:.0}% run", 100.0 * share))?;
        }
        write!(f, "  gathering pays")?;
        for block in blocks {
            write!(f, "\n{:width$}  {:input$}  {:>8.2}", block.position, block.input, block.all_ms)?;
            for ms in &block.gathered_ms {
                write!(f, "  {ms:>8.2}")?;
            }
            match block.pays_from() {
                Some(share) => write!(f, "  from {:.0}% down", 100.0 * share)?,
                None => write!(f, "  at none of these")?,
            }
        }
        write!(f, "\nWhere not all images run a block, those that do are gathered.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::DeviceChoice;
    use mp_zoo::{InputSize, ModelOptions};

    fn tuning(model: &str) -> Tuning {
        let options = ModelOptions::new(InputSize { channels: 3, size: 8, classes: 3 });
        Tuning {
            model: model.to_owned(),
            options,
            precision: Precision::Fp32,
            batch: 4,
            threads: 0,
            device: DeviceChoice::Cpu,
        }
    }

    #[test]
    fn every_block_that_may_be_skipped_is_measured() {
        let mut done = Vec::new();
        let found = explain(&tuning("skipnet20_w4"), &mut |count| done.push(count)).unwrap().unwrap();
        // All of nine blocks but the first.
        assert_eq!(done.last(), Some(&8));
        let positions: Vec<&str> = found.blocks.iter().map(|block| block.position.as_str()).collect();
        assert_eq!(positions[..3], ["stage1.1", "stage1.2", "stage2"]);
        assert!(found.blocks.iter().all(|block| block.all_ms > 0.0 && block.gathered_ms.len() == KEPT.len()));
        assert!(found.to_string().starts_with("skipnet20_w4, ms of a block in evaluation, batch 4, fp32, "));
        assert!(explain(&tuning("resnet20_w4"), &mut |_| {}).unwrap().is_none());
    }

    #[test]
    fn gathering_pays_from_the_greatest_share_at_which_it_is_quicker() {
        let times = |all_ms, gathered_ms: [f64; 3]| SkipTimes {
            position: String::new(),
            input: String::new(),
            all_ms,
            gathered_ms: gathered_ms.to_vec(),
        };
        assert_eq!(times(10.0, [9.0, 6.0, 3.0]).pays_from(), Some(0.75));
        assert_eq!(times(10.0, [11.0, 10.5, 3.0]).pays_from(), Some(0.25));
        assert_eq!(times(1.0, [2.0, 2.0, 2.0]).pays_from(), None);
    }
}
