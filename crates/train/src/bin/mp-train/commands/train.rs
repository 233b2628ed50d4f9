//! `mp-train train`.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use mp_train::recipe::{Override, Recipe};
use mp_train::run::{self, Finished, Start};
use mp_train::{RunFolder, Summary, interrupt, progress, report};

use crate::args::Train;
use crate::output::{self, short, thousands};

/// Where runs go that are given no place.
const RUNS: &str = "runs";

pub(crate) fn run(args: Train) -> anyhow::Result<ExitCode> {
    let (recipe, out) = plan(&args)?;
    let start = if args.resume { Start::Resume } else { Start::New };
    // Times of layers are kept beside the data sets, whatever is trained on.
    let cache = match recipe.train.tune_paths {
        true => args.data_dir.resolve()?,
        false => args.data_dir.resolve_for(&recipe.data.name)?,
    };
    let stop = interrupt::on_signal()?;

    let mut progress = progress::for_standard_error();
    let finished = run::train(&recipe, &out, start, &cache, &mut *progress, &stop)?;
    drop(progress);
    let report = report::write(&finished.folder)?;

    let Finished { folder, summary, complete } = finished;
    if let Some(summary) = &summary {
        output::text(&describe(summary))?;
        for (split, skipped) in [("training", &summary.skipped), ("validation", &summary.skipped_valid)] {
            if skipped.images > 0 {
                output::text(&format!("{split}: {skipped}"))?;
            }
        }
    }
    if complete {
        output::text(&format!("run     {}\nreport  {}", folder.path().display(), report.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    // Only an aid: the run is saved whether this can be shown or not.
    let _ = writeln!(io::stderr(), "saved; continue with: mp-train train --resume --out {}", folder.path().display());
    Ok(ExitCode::from(interrupt::EXIT_CODE as u8))
}

/// What to train, and where.
fn plan(args: &Train) -> anyhow::Result<(Recipe, PathBuf)> {
    let mut overrides = Vec::new();
    overrides.extend(args.model.iter().map(|model| Override::string("model.name", model)));
    overrides.extend(args.data.iter().map(|data| Override::string("data.name", data)));
    overrides.extend(args.overrides.iter().cloned());

    if args.recipe.is_none() && overrides.is_empty() {
        return match &args.out {
            Some(out) if args.resume => Ok((RunFolder::open(out)?.recipe()?, out.clone())),
            _ if args.resume => bail!("nothing says which run to continue: give its folder with --out"),
            _ => bail!("nothing says what to train: name a recipe, or --model and --data; see `mp-train train --help`"),
        };
    }
    let recipe = Recipe::resolve(args.recipe.as_deref(), &overrides)?;
    let out = args.out.clone().unwrap_or_else(|| {
        let name = run_name(args, &recipe);
        let find = if args.resume { RunFolder::latest } else { RunFolder::next_free };
        find(Path::new(RUNS), &name)
    });
    Ok((recipe, out))
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
    format!(
        "{} on {}: {} parameters, {} multiply-adds\n\
         accuracy {:.2}% on {} images after epoch {}{early}, best {:.2}% after epoch {}; {:.0} s of training, {:.0} images/s",
        summary.model,
        summary.data,
        thousands(summary.parameters),
        short(summary.multiply_adds),
        100.0 * summary.valid_accuracy_last,
        thousands(summary.valid_images as u64),
        summary.epochs_done,
        100.0 * summary.valid_accuracy_best,
        summary.best_epoch,
        summary.train_seconds,
        summary.images_per_second,
    )
}
