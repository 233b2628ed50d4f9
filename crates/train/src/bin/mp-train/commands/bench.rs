//! `mp-train bench`.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget};
use mp_train::benchmark::{self, Benchmark};

use crate::args::Bench;
use crate::output;

pub(crate) fn run(args: Bench) -> anyhow::Result<()> {
    let benchmark = Benchmark {
        pass: args.pass(),
        models: args.models,
        precision: args.precision,
        batch: args.batch,
        rounds: args.rounds,
        threads: args.threads,
        peak: args.peak,
    };
    if args.turns {
        return Ok(benchmark::turns(&benchmark, &mut io::stdin().lock(), &mut io::stdout())?);
    }
    if args.profile {
        let profiles = benchmark::profile(&benchmark)?;
        let table = || profiles.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n");
        return if args.json { output::json(&profiles) } else { output::text(&table()) };
    }
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(args.rounds as u64), target);
    let report = benchmark::run(&benchmark, &mut |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    if args.json { output::json(&report) } else { output::text(&report.to_string()) }
}
