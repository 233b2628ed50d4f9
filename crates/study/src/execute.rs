//! Runs what is missing of a study: one process a run, several side by side, until all is there or somebody asks to stop.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use mp_train::folder::Lock;
use mp_train::{Recipe, RunFolder};
use serde_json::Value;

use crate::Error;
use crate::folder::{Part, StudyFolder, first_difference, id};
use crate::plan::{Plan, Planned};
use crate::record::{Identity, Judgement, Record};
use crate::study::Study;

/// How long between two looks at a process.
const BEAT: Duration = Duration::from_millis(200);

/// How long a run that another compare left may take to save and end.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a study is run.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The binary that trains.
    pub binary: PathBuf,
    /// The folder of the runs that are going on, with their checkpoints and what they say.
    pub work: PathBuf,
    /// Where the data lie, if not where the recipe says.
    pub data: Option<String>,
    /// The folder of downloaded data sets.
    pub cache: PathBuf,
    /// Runs side by side.
    pub jobs: usize,
    /// Threads of each; 0: the recipe's.
    pub threads: usize,
    /// The GPUs that they have, in turn, by the numbers or names that `CUDA_VISIBLE_DEVICES` takes; where there are none, every run
    /// sees what this process sees.
    pub devices: Vec<String>,
    /// When no more is begun, and what runs is saved.
    pub until: Option<Instant>,
    /// Only these entrants, by their places; all where it is empty.
    pub only: Vec<usize>,
}

/// How the execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing is missing.
    Complete,
    /// It was asked to stop, or the time was up; what is there is kept.
    Stopped,
}

/// Who hears of each run that has ended: its name, and what is kept of it.
pub type Heard<'a> = &'a (dyn Fn(&str, &Record) + Sync);

/// Runs what is missing of a plan, and keeps a record of each finished run in the folder and the plan. `ended` hears of each;
/// `stop` ends it all.
///
/// # Errors
/// [`Error::Run`] for the first run that fails; the others are saved then.
pub fn execute(
    study: &Study,
    folder: &StudyFolder,
    plan: Plan,
    execution: &Execution,
    stop: &AtomicBool,
    ended: Heard<'_>,
) -> Result<(Plan, Outcome), Error> {
    fs::create_dir_all(&execution.work).map_err(Error::io("make the folder", &execution.work))?;
    let shared = Mutex::new(Shared { plan, running: Vec::new(), failed: None });
    let workers = Workers { device: None, study, folder, execution, stop, ended, shared: &shared };
    std::thread::scope(|scope| {
        for job in 0..execution.jobs.max(1) {
            let (workers, device) = (&workers, execution.devices.get(job % execution.devices.len().max(1)));
            scope.spawn(move || workers.on(device.map(String::as_str)).work());
        }
    });
    let shared = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    match shared.failed {
        Some(error) => Err(error),
        None if shared.plan.missing(&execution.only).is_empty() => Ok((shared.plan, Outcome::Complete)),
        None => Ok((shared.plan, Outcome::Stopped)),
    }
}

struct Shared {
    plan: Plan,
    running: Vec<(usize, Part)>,
    failed: Option<Error>,
}

#[derive(Clone, Copy)]
struct Workers<'a> {
    /// The GPU of this one's runs.
    device: Option<&'a str>,
    study: &'a Study,
    folder: &'a StudyFolder,
    execution: &'a Execution,
    stop: &'a AtomicBool,
    ended: Heard<'a>,
    shared: &'a Mutex<Shared>,
}

/// What becomes of a run.
enum Fate {
    Ended(Box<Record>),
    /// It was saved, to be gone on with.
    Saved,
}

impl<'a> Workers<'a> {
    fn on(self, device: Option<&'a str>) -> Self {
        Self { device, ..self }
    }

    fn work(&self) {
        while let Some(next) = self.next() {
            match next {
                Some(planned) => {
                    let found = self.run(&planned);
                    let mut shared = self.lock();
                    shared.running.retain(|(entrant, part)| (*entrant, *part) != (planned.entrant, planned.part));
                    match found {
                        Ok(Fate::Ended(record)) => {
                            (self.ended)(&self.id(&planned), &record);
                            shared.plan.add(planned.entrant, planned.part, *record);
                        }
                        Ok(Fate::Saved) => {}
                        Err(error) => {
                            shared.failed.get_or_insert(error);
                        }
                    }
                }
                // What is left waits for runs that are going on.
                None => std::thread::sleep(BEAT),
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self, planned: &Planned) -> String {
        id(&self.study.entrants[planned.entrant].name, planned.part)
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.execution.until.is_some_and(|until| Instant::now() >= until)
    }

    /// The next run to begin; `Some(None)` while all that is missing waits for others, and `None` when there is no more to do.
    fn next(&self) -> Option<Option<Planned>> {
        let mut shared = self.lock();
        if self.is_over() || shared.failed.is_some() {
            return None;
        }
        let missing = shared.plan.missing(&self.execution.only);
        if missing.is_empty() {
            return None;
        }
        let free = |planned: &Planned| planned.is_ready && !shared.running.contains(&(planned.entrant, planned.part));
        let Some(next) = missing.into_iter().find(free) else {
            return if shared.running.is_empty() { None } else { Some(None) };
        };
        shared.running.push((next.entrant, next.part));
        Some(Some(next))
    }

    /// Trains one run to its end in a process of its own, judges it, and keeps its record.
    fn run(&self, planned: &Planned) -> Result<Fate, Error> {
        let id = self.id(planned);
        let recipe = self.here(&planned.recipe);
        let (out, log) = (self.execution.work.join(&id), self.execution.work.join(format!("{id}.log")));
        let file = self.execution.work.join(format!("{id}.toml"));
        self.make_ready(&out, &recipe)?;
        fs::write(&file, recipe.to_toml()?).map_err(Error::io("write", &file))?;
        let identity = Identity {
            study: self.study.name.clone(),
            entrant: self.study.entrants[planned.entrant].name.clone(),
            seed: planned.recipe.train.seed,
            factor: planned.factor,
        };
        let arguments = ["train", text(&file), "--out", text(&out), "--auto-resume", "--stop-with-input"];
        let record = match self.process(&arguments, &log)? {
            Ended::Well => self.judged(planned, &out, identity, &log)?,
            Ended::Saved => return Ok(Fate::Saved),
            Ended::Failed(1, reason) if reason.contains("diverged") => {
                Record::of_diverged(&planned.recipe, identity, reason)?
            }
            Ended::Failed(_, reason) => return Err(Error::Run { id, reason, log }),
        };
        self.folder.keep(planned.part, &record)?;
        Ok(Fate::Ended(Box::new(record)))
    }

    /// The recipe as it runs here: with the place of the data, and its share of the machine.
    fn here(&self, recipe: &Recipe) -> Recipe {
        let mut recipe = recipe.clone();
        if let Some(data) = &self.execution.data {
            recipe.data.name.clone_from(data);
        }
        if self.execution.threads > 0 {
            recipe.train.threads = self.execution.threads;
            recipe.data.workers = self.execution.threads;
        }
        recipe
    }

    /// Waits for a process that an earlier compare left, and moves away what was begun under another recipe.
    fn make_ready(&self, out: &Path, recipe: &Recipe) -> Result<(), Error> {
        if !RunFolder::is_run(out) {
            return Ok(());
        }
        let begun = Instant::now();
        loop {
            match Lock::take(out) {
                Ok(_) => break,
                Err(mp_train::Error::Locked { .. }) if begun.elapsed() < PATIENCE && !self.is_over() => {
                    std::thread::sleep(BEAT);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let stored = RunFolder::open(out)?.recipe()?;
        if first_difference(&stored, recipe)?.is_none() {
            return Ok(());
        }
        let aside = (2..).map(|number| out.with_extension(format!("old{number}"))).find(|path| !path.exists());
        let aside = aside.unwrap_or_else(|| out.with_extension("old"));
        fs::rename(out, &aside).map_err(Error::io("move away", out))
    }

    /// The record of a run that has ended, with what its last weights make of the test images.
    fn judged(&self, planned: &Planned, out: &Path, identity: Identity, log: &Path) -> Result<Record, Error> {
        let folder = RunFolder::open(out)?;
        let mut record = Record::of_run(&folder, &planned.recipe, identity)?;
        if let Part::Rate(_) = planned.part {
            return Ok(record);
        }
        let found = self.said(&["eval", text(out), "--split", "test", "--json"], log)?;
        let number = |key: &str| found[key].as_f64().unwrap_or(f64::NAN);
        let classes = found["classes"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
        record.test = Some(Judgement {
            images: found["images"].as_u64().unwrap_or(0),
            accuracy: number("accuracy"),
            loss: number("loss"),
            classes: classes
                .map(|class| (class["class"].as_str().unwrap_or_default().to_owned(), class["accuracy"].as_f64()))
                .collect(),
        });
        if let Some(routes) = &mut record.routes {
            let found = self.said(&["routes", text(out), "--worth", "--split", "test", "--json"], log)?;
            let accuracy = |kind: &str| found["worth"][kind].as_f64();
            routes.frozen = accuracy("frozen");
            routes.shuffled = accuracy("shuffled");
            routes.uniform = accuracy("uniform");
        }
        Ok(record)
    }

    /// What a command that answers in JSON says of a run.
    fn said(&self, arguments: &[&str], log: &Path) -> Result<Value, Error> {
        let output = self.command(arguments).stdin(Stdio::null()).stderr(Stdio::piped()).output();
        let output = output.map_err(Error::io("run", &self.execution.binary))?;
        let failed = |reason: String| Error::Run { id: arguments[..2].join(" "), reason, log: log.to_owned() };
        if !output.status.success() {
            return Err(failed(last_line(&String::from_utf8_lossy(&output.stderr))));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.execution.binary);
        command.args(arguments).args(["--data-dir", text(&self.execution.cache)]);
        command.envs(self.device.map(|device| ("CUDA_VISIBLE_DEVICES", device)));
        command
    }

    /// Runs the binary until it ends, or asks it to save and end where all is to stop.
    fn process(&self, arguments: &[&str], log: &Path) -> Result<Ended, Error> {
        let file = File::create(log).map_err(Error::io("write", log))?;
        let errors = file.try_clone().map_err(Error::io("write", log))?;
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .map_err(Error::io("run", &self.execution.binary))?;
        // The process ends with its standard input, also where this one is killed.
        let mut input = child.stdin.take();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(Error::io("wait for", &self.execution.binary))? {
                break status;
            }
            if self.is_over() || self.lock().failed.is_some() {
                drop(input.take());
            }
            std::thread::sleep(BEAT);
        };
        let said = fs::read_to_string(log).unwrap_or_default();
        Ok(match status.code() {
            Some(0) => Ended::Well,
            Some(code) if code < 128 => Ended::Failed(code, last_line(&said)),
            _ if self.is_over() || self.lock().failed.is_some() => Ended::Saved,
            Some(code) => Ended::Failed(code, format!("it was stopped by signal {}", code - 128)),
            None => Ended::Failed(2, "it was killed".to_owned()),
        })
    }
}

/// How a process ended.
enum Ended {
    Well,
    /// It was asked to, and can be gone on with.
    Saved,
    /// With an exit code, and its last line.
    Failed(i32, String),
}

fn last_line(said: &str) -> String {
    said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim().to_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}
