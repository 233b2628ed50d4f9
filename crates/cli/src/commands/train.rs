//! `mp-train train`.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::{Context, bail};
use mp_data::Line;
use mp_train::machine;
use mp_train::processes::{Meeting, Place, Processes};
use mp_train::recipe::{Override, Recipe};
use mp_train::run::{self, Finished, Start, interrupt};
use mp_train::watch::report;
use mp_train::{Error, RunFolder, Summary};

use crate::args::{Train, Waits};
use crate::output::{self, short, thousands};
use crate::progress;

/// Where runs go that are given no place.
const RUNS: &str = "runs";

pub(crate) fn run(args: Train) -> anyhow::Result<ExitCode> {
    let place = Place::of(|name| std::env::var(name).ok()).map_err(Error::from)?;
    let rank = place.as_ref().map_or(0, |place| place.rank);
    let ended = train(args, place);
    // Of several, only the first needs no name.
    if rank == 0 { ended } else { ended.with_context(|| format!("rank {rank} on {}", machine::host())) }
}

fn train(args: Train, place: Option<Place>) -> anyhow::Result<ExitCode> {
    let Plan { recipe, out, start } = plan(&args)?;
    // Times of layers are kept beside the data sets, whatever is trained on.
    let cache = match recipe.train.tune_paths {
        true => args.data_dir.resolve()?,
        false => args.data_dir.resolve_for(&recipe.data.name)?,
    };
    let stop = interrupt::on_signal()?;
    if args.stop_with_input {
        let stop = Arc::clone(&stop);
        std::thread::spawn(move || {
            // What it says does not matter, and neither does how it ends.
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            stop.store(true, Ordering::Relaxed);
        });
    }

    let device = Processes::device(recipe.train.device, place.as_ref())?;
    let processes = match place {
        None => Processes::alone(),
        Some(place) => Processes::join(place, meeting(&args.waits, device.is_cuda())?)?,
    };
    if !processes.is_first() {
        let finished = run::train_together(&processes, &recipe, &out, start, &cache, device, &mut (), &stop)?;
        return Ok(if finished.complete { ExitCode::SUCCESS } else { ExitCode::from(interrupt::exit_code()) });
    }

    let mut progress = progress::for_standard_error();
    let finished = run::train_together(&processes, &recipe, &out, start, &cache, device, &mut *progress, &stop)?;
    drop(progress);
    let report = report::write(&finished.folder);
    if finished.complete {
        show(&finished)?;
        output::text(&format!("run     {}\nreport  {}", Line(finished.folder.path()), Line(&report?)))?;
        return Ok(ExitCode::SUCCESS);
    }
    // Only an aid, which a terminal that was closed cannot show: the run is saved all the same, and the exit code says by
    // what it was stopped, whatever else could not be written.
    let _ = show(&finished);
    for error in finished.unwritten.iter().chain(report.as_ref().err()) {
        let _ = writeln!(io::stderr(), "{}", Line(&error.to_string()));
    }
    let folder = Line(finished.folder.path());
    let _ = writeln!(io::stderr(), "saved; continue with: mp-train train --resume --out {folder}");
    Ok(ExitCode::from(interrupt::exit_code()))
}

/// How this process meets those that it was started with.
fn meeting(waits: &Waits, cuda: bool) -> anyhow::Result<Meeting> {
    let program = std::env::current_exe().and_then(std::fs::read).context("cannot read this program")?;
    Ok(Meeting {
        patience: waits.patience(),
        timeout: waits.timeout(),
        cuda,
        // As in PyTorch: the network interface of Gloo.
        interface: std::env::var("GLOO_SOCKET_IFNAME").unwrap_or_default(),
        host: machine::host(),
        version: format!("{}, build {:08x}", env!("CARGO_PKG_VERSION"), crc32fast::hash(&program)),
    })
}

fn show(finished: &Finished) -> anyhow::Result<()> {
    if let Some(summary) = &finished.summary {
        output::text(&describe(summary))?;
        for (split, skipped) in [("training", &summary.skipped), ("validation", &summary.skipped_valid)] {
            if skipped.images > 0 {
                output::text(&format!("{split}: {skipped}"))?;
            }
        }
    }
    Ok(())
}

/// What to train, where, and whether it begins there or goes on.
struct Plan {
    recipe: Recipe,
    out: PathBuf,
    start: Start,
}

fn plan(args: &Train) -> anyhow::Result<Plan> {
    let mut overrides = Vec::new();
    overrides.extend(args.model.iter().map(|model| Override::string("model.name", model)));
    overrides.extend(args.data.iter().map(|data| Override::string("data.name", data)));
    overrides.extend(args.device.iter().map(|device| Override::string("train.device", &device.to_string())));
    overrides.extend(args.init.iter().map(|file| Override::string("model.init", file)));
    overrides.extend(args.scheme.iter().map(|scheme| Override::string("model.init_scheme", scheme)));
    overrides.extend(args.overrides.iter().cloned());

    let names_run = args.recipe.is_some() || (args.model.is_some() && args.data.is_some());
    if !names_run && args.out.is_none() && (args.resume || args.auto_resume) {
        bail!("nothing says which run to continue: give its folder with --out");
    }
    if args.recipe.is_none() && overrides.is_empty() && !args.resume && !args.auto_resume {
        bail!("nothing says what to train: name a recipe, or --model and --data; see `mp-train train --help`");
    }
    if args.resume || args.auto_resume {
        let out = match &args.out {
            Some(out) => out.clone(),
            None => {
                let recipe = Recipe::resolve(args.recipe.as_deref(), &overrides)?;
                RunFolder::latest(Path::new(RUNS), &run_name(args, &recipe))
            }
        };
        let folder = RunFolder::open(&out);
        if args.resume || folder.is_ok() {
            // What was not named is as it was.
            let recipe = match &args.recipe {
                Some(recipe) => Recipe::resolve(Some(recipe), &overrides)?,
                None => folder?.recipe_with(&overrides)?,
            };
            let start = args.from.map_or(Start::Resume, |state| Start::ResumeFrom(state.into()));
            return Ok(Plan { recipe, out, start });
        }
    }
    let recipe = Recipe::resolve(args.recipe.as_deref(), &overrides)?;
    let (out, start) = match &args.out {
        Some(out) => (out.clone(), Start::New),
        None => (Path::new(RUNS).join(run_name(args, &recipe)), Start::Numbered),
    };
    Ok(Plan { recipe, out, start })
}

/// The recipe's name where it runs as it is, otherwise the model's and the data's.
fn run_name(args: &Train, recipe: &Recipe) -> String {
    let stem = |path: &str| Path::new(path).file_stem().and_then(OsStr::to_str).map(str::to_owned);
    match &args.recipe {
        Some(path) if args.model.is_none() && args.data.is_none() && !path.ends_with("recipe.toml") => stem(path),
        _ => stem(&recipe.data.name).map(|data| format!("{}-{data}", recipe.model.name)),
    }
    .unwrap_or_else(|| recipe.model.name.clone())
}

fn describe(summary: &Summary) -> String {
    let early = match summary.stopped_early {
        true => format!(" of {}, ended early", summary.epochs),
        false => String::new(),
    };
    let routed = summary
        .routed_multiply_adds
        .map_or_else(String::new, |routed| format!(", {} of them chosen on average", short(routed.round() as u64)));
    format!(
        "{} on {}: {} parameters, {} multiply-adds{routed}\n\
         accuracy {:.2}%{} on {} images after epoch {}{early}, best {:.2}% after epoch {}; {:.0} s of training, {:.0} images/s",
        summary.model,
        summary.data,
        thousands(summary.parameters),
        short(summary.multiply_adds),
        100.0 * summary.valid_accuracy_last,
        summary.valid_top_5_last.map_or_else(String::new, |share| format!(", top-5 {:.2}%,", 100.0 * share)),
        thousands(summary.valid_images as u64),
        summary.epochs_done,
        100.0 * summary.valid_accuracy_best,
        summary.best_epoch,
        summary.train_seconds,
        summary.images_per_second,
    )
}
