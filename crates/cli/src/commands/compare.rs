//! `mp-train compare`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use mp_data::Line;
use mp_study::{Execution, Findings, Network, Outcome, Part, Plan, Record, Study, StudyFolder, execute, report, sizes};
use mp_train::atomic::{self, Existing};
use mp_train::machine::processors;
use mp_train::processes::Place;
use mp_train::run::interrupt;
use mp_train::{Corpus, Recipe};

use crate::args::Compare;
use crate::output::{self, Align, Table, thousands};

/// Where the runs of studies go that are given no place.
const WORK: &str = "runs/studies";

pub(crate) fn run(args: &Compare) -> anyhow::Result<ExitCode> {
    if Place::of(|name| std::env::var(name).ok()).map_err(mp_train::Error::from)?.is_some() {
        bail!(
            "compare starts its runs itself, and shares them out: start it once, with --jobs and --devices, not by a launcher"
        );
    }
    let study = Study::read(&args.study)?;
    let beside = args.study.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = StudyFolder::new(args.out.as_deref().unwrap_or(beside));
    let only = args.only.iter().map(|name| study.place(name, "--only")).collect::<Result<Vec<usize>, _>>()?;
    let _lock = if args.plan { None } else { Some(folder.lock()?) };
    let recipe = of_any_model(&study)?;
    let data = args.data.clone().unwrap_or_else(|| recipe.data.name.clone());
    // What is there already needs no data.
    let cache = if args.report_only { PathBuf::new() } else { args.data_dir.clone().resolve_for(&data)? };
    let networks = sizes::networks(&study, &folder, |recipe| {
        let mut recipe = recipe.clone();
        recipe.data.name.clone_from(&data);
        Ok(Corpus::open(&recipe, &cache)?)
    })?;
    let mut plan = Plan::of(&study, &folder, &networks)?;
    if args.plan {
        let mut recipe = recipe;
        recipe.data.name = data;
        let images = Corpus::open(&recipe, &cache)?.train.len();
        show_plan(&study, &plan, &networks, images, args, &only)?;
        return Ok(ExitCode::SUCCESS);
    }
    let (mut outcome, mut was_asked) = (Outcome::Complete, false);
    if !args.report_only {
        let stop = interrupt::on_signal()?;
        (plan, outcome) = train(args, &study, &folder, plan, data, cache, only, &stop)?;
        was_asked = stop.load(Ordering::Relaxed);
    }
    if args.time || (outcome == Outcome::Complete && !args.report_only && folder.times()?.is_none()) {
        folder.keep_times(&sizes::times(&study, &networks)?)?;
    }
    let findings = Findings::of(&study, &folder, &networks, &plan)?;
    let command = command(args);
    let page = report::write(&findings, folder.path(), &command)?;
    for path in &args.insert {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", Line(path)))?;
        atomic::write(path, report::inserted(&findings, path, &text, &command)?.as_bytes(), Existing::Replace)?;
    }
    summary(&findings).print()?;
    let (all, there) = findings.runs;
    output::text(&format!("runs    {there} of {all}\nreport  {}", Line(&page)))?;
    if outcome == Outcome::Stopped {
        let _ = writeln!(io::stderr(), "stopped; continue with the same command");
        return Ok(if was_asked { ExitCode::from(interrupt::exit_code()) } else { ExitCode::SUCCESS });
    }
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::too_many_arguments, reason = "what one call of the library needs")]
fn train(
    args: &Compare,
    study: &Study,
    folder: &StudyFolder,
    plan: Plan,
    data: String,
    cache: PathBuf,
    only: Vec<usize>,
    stop: &AtomicBool,
) -> anyhow::Result<(Plan, Outcome)> {
    let hours = |hours: f64| Instant::now() + Duration::from_secs_f64(3600.0 * hours);
    let execution = Execution {
        binary: std::env::current_exe().context("cannot find the program itself, which each run needs")?,
        work: args.work.clone().unwrap_or_else(|| Path::new(WORK).join(&study.name)),
        data: Some(absolute(data)),
        cache,
        jobs: args.jobs.unwrap_or_else(|| match args.devices.len() {
            0 => (processors() / args.threads).max(1),
            devices => devices,
        }),
        devices: args.devices.clone(),
        threads: args.threads,
        until: args.hours.map(hours),
        only,
    };
    let (all, there) = plan.count();
    let count = Mutex::new(there);
    let ended = |id: &str, record: &Record| {
        let mut count = count.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *count += 1;
        let _ = writeln!(io::stderr(), "{:>4} of {all}  {id}: {}", *count, outcome_of(record));
    };
    Ok(execute(study, folder, plan, &execution, stop, &ended)?)
}

fn outcome_of(record: &Record) -> String {
    match (&record.diverged, record.last()) {
        (None, Some(last)) => {
            let test =
                record.test.as_ref().map_or_else(String::new, |test| format!(", test {:.2}%", 100.0 * test.accuracy));
            format!("validation {:.2}%{test}, {:.0} s", 100.0 * last, record.train_seconds)
        }
        (Some(reason), _) => format!("broke off: {}", Line(reason)),
        (None, None) => "no epoch".to_owned(),
    }
}

/// The recipe of an entrant whose network is named.
fn of_any_model(study: &Study) -> anyhow::Result<Recipe> {
    for (place, entrant) in study.entrants.iter().enumerate() {
        if let Network::Model(name) = &entrant.network {
            return Ok(study.recipe_of(place, name, study.seeds[0])?);
        }
    }
    bail!("{}: no entrant names a model", Line(&study.path))
}

/// Runs happen in other folders' names: a path must lead to the same place from everywhere.
fn absolute(data: String) -> String {
    match std::path::absolute(&data) {
        Ok(path) if Path::new(&data).exists() => path.to_string_lossy().into_owned(),
        _ => data,
    }
}

fn show_plan(
    study: &Study,
    plan: &Plan,
    networks: &[String],
    images: usize,
    args: &Compare,
    only: &[usize],
) -> anyhow::Result<()> {
    let times = sizes::times(study, networks)?;
    let columns = [
        ("entrant", Align::Left),
        ("network", Align::Left),
        ("ms a step", Align::Right),
        ("runs missing", Align::Right),
        ("epochs", Align::Right),
    ];
    let mut table = Table::new(&columns);
    let missing = plan.missing(only);
    let mut seconds = 0.0;
    for (place, entrant) in study.entrants.iter().enumerate() {
        let of_it: Vec<_> = missing.iter().filter(|planned| planned.entrant == place).collect();
        let ms = times.ms.get(&entrant.name).copied().unwrap_or(f64::NAN);
        let epochs: u64 = of_it.iter().map(|planned| planned.recipe.train.epochs).sum();
        let rates = of_it.iter().filter(|planned| matches!(planned.part, Part::Rate(_))).count();
        let of_rates = if rates > 0 { format!(", {rates} of them for its rate") } else { String::new() };
        table.row([
            entrant.name.clone(),
            networks[place].clone(),
            format!("{ms:.1}"),
            format!("{}{of_rates}", of_it.len()),
            thousands(epochs),
        ]);
        seconds += epochs as f64 * ms / 1000.0;
    }
    table.print()?;
    let jobs = args.jobs.unwrap_or_else(|| (processors() / args.threads).max(1));
    output::text(&format!(
        "{} runs are missing; with {} training images an epoch, they take about {} on this machine, by a measured step of each entrant; \
         {jobs} run side by side, with {} threads each.",
        missing.len(),
        thousands(images as u64),
        duration(seconds * images as f64 / times.batch as f64),
        args.threads
    ))
}

fn duration(seconds: f64) -> String {
    match seconds {
        short if short < 100.0 => format!("{short:.0} seconds"),
        some if some < 5400.0 => format!("{:.0} minutes", some / 60.0),
        long => format!("{:.1} hours", long / 3600.0),
    }
}

fn summary(findings: &Findings) -> Table {
    let mut table = Table::new(&[
        ("entrant", Align::Left),
        ("network", Align::Left),
        ("parameters", Align::Right),
        ("rate", Align::Right),
        ("runs", Align::Right),
        ("test", Align::Right),
        ("to the reference", Align::Right),
    ]);
    let none = String::new;
    for entrant in &findings.entrants {
        let difference = match &entrant.difference {
            _ if entrant.name == findings.reference => "reference".to_owned(),
            Some(found) => {
                let half = found.estimate.half_width.map_or_else(none, |half| format!(" ± {:.2}", 100.0 * half));
                let text = format!("{:+.2}{half}", 100.0 * found.estimate.mean);
                if found.is_shown() { text } else { format!("none ({text})") }
            }
            None => none(),
        };
        table.row([
            entrant.name.clone(),
            entrant.model.clone(),
            entrant.parameters.map_or_else(none, thousands),
            entrant.rate.map_or_else(none, |rate| format!("{rate:.4}")),
            entrant.test.map_or(0, |test| test.runs).to_string(),
            entrant.test.map_or_else(none, |test| format!("{:.2}%", 100.0 * test.mean)),
            difference,
        ]);
    }
    table
}

/// The command as it should be repeated, for the report.
fn command(args: &Compare) -> String {
    let mut text = format!("mp-train compare {}", args.study.display());
    if let Some(data) = &args.data {
        let name = Path::new(data).file_name().map_or_else(|| data.clone(), |name| name.to_string_lossy().into_owned());
        text.push_str(&format!(" --data {name}"));
    }
    if args.threads != 1 {
        text.push_str(&format!(" --threads {}", args.threads));
    }
    text
}
