//! `mp-train bench`.

use std::fmt::{self, Display, Formatter};
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget};
use mp_train::bench::skips::{self, SkipExplanation};
use mp_train::bench::tune::{self, Tuning};
use mp_train::bench::{self, Benchmark};
use mp_zoo::{ModelName, ModelOptions};
use serde::Serialize;

use crate::args::Bench;
use crate::output;

pub(crate) fn run(args: Bench) -> anyhow::Result<()> {
    mp_native::set_cuda_kernels(!args.no_kernels);
    mp_native::set_cuda_gates(args.gate_kernels);
    if args.explain {
        return explain(args);
    }
    let weights = args.weights.as_deref().map(|file| super::weight_file(file, args.scheme.as_deref())).transpose()?;
    let benchmark = Benchmark {
        pass: args.pass(),
        weights,
        models: args.models,
        precision: args.precision,
        batch: args.batch,
        rounds: args.rounds,
        passes: args.passes,
        device: args.on.device,
        graphs: !args.no_graphs,
        threads: args.threads,
        peak: args.peak,
        budget: args.budget,
    };
    if args.turns {
        return Ok(bench::turns(&benchmark, &mut io::stdin().lock(), &mut io::stdout())?);
    }
    if args.agree {
        let found = bench::agreement(&benchmark, &mut |_| {})?;
        let shown = if args.json { output::json(&found) } else { output::text(&found.to_string()) };
        shown?;
        anyhow::ensure!(found.holds(), "{} does not compute what the CPU computes: see the lines above", found.device);
        return Ok(());
    }
    if args.profile {
        let profiles = bench::profile(&benchmark)?;
        let table = || profiles.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n");
        return if args.json { output::json(&profiles) } else { output::text(&table()) };
    }
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(args.rounds as u64), target);
    let report = bench::run(&benchmark, &mut |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    if args.json { output::json(&report) } else { output::text(&report.to_string()) }
}

/// What was measured of a model: its layers of parallel paths, or its blocks that images skip.
#[derive(Serialize)]
#[serde(untagged)]
enum Explanation {
    Paths(tune::Explanation),
    Skips(SkipExplanation),
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Explanation::Paths(paths) => paths.fmt(f),
            Explanation::Skips(skips) => skips.fmt(f),
        }
    }
}

/// One table a model.
fn explain(args: Bench) -> anyhow::Result<()> {
    let cache = args.data_dir.resolve()?;
    let mut explanations = Vec::with_capacity(args.models.len());
    for spec in &args.models {
        let input = spec.name.parse::<ModelName>()?.family.native;
        let tuning = Tuning {
            model: spec.name.clone(),
            options: ModelOptions::routed(input, spec.routing.clone()),
            precision: args.precision,
            batch: args.batch,
            threads: args.threads,
            device: args.on.device,
        };
        let bar = spinner(&spec.name);
        let skips = skips::explain(&tuning, &mut |_| bar.inc(1))?;
        explanations.push(match skips {
            Some(skips) => Explanation::Skips(skips),
            None => Explanation::Paths(tune::explain(&tuning, &cache, &mut |_| bar.inc(1))?),
        });
        bar.finish_and_clear();
    }
    let table = || explanations.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n");
    if args.json { output::json(&explanations) } else { output::text(&table()) }
}

/// Shows itself on a terminal only.
fn spinner(model: &str) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    ProgressBar::with_draw_target(None, target).with_message(format!("measuring the layers of {model}"))
}
