//! The folder of one run and the names of the files in it; and the files outside of it that a command may write.

mod budgets;
mod lock;
mod numbered;
mod output_file;
mod summary;

use std::path::{Path, PathBuf};
use std::{fs, io};

use mp_routing::LayerStatistics;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::atomic::{self, Existing};
use crate::checkpoint::{self, Which};
use crate::recipe::Override;
use crate::{Error, Recipe};

pub use budgets::{KeptBudget, RunState};
pub use lock::Lock;
pub use output_file::OutputFile;
pub use summary::Summary;
#[cfg(test)]
pub(crate) use summary::tests as summary_tests;

const RECIPE: &str = "recipe.toml";
const METRICS: &str = "metrics.csv";
const EVENTS: &str = "events.jsonl";
const SUMMARY: &str = "summary.json";
const ROUTES: &str = "routes.json";
const REPORT: &str = "report.html";
const CHECKPOINTS: &str = "checkpoints";

/// The folder of one run.
///
/// | file | what |
/// |---|---|
/// | `recipe.toml` | the resolved recipe |
/// | `metrics.csv` | a row per epoch |
/// | `events.jsonl` | a line per report of the loop |
/// | `summary.json` | the run in one object |
/// | `routes.json` | routing statistics of the validation set, per layer |
/// | `checkpoints/` | the last state and the best |
/// | `report.html` | all of it as one page |
/// | `.lock` | names the process that trains there, while one does |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

/// How a network routed the validation images: `routes.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoutingRecord {
    /// Names of the classes, in the order of the statistics.
    pub classes: Vec<String>,
    /// A routing layer each, in the order of the network.
    pub layers: Vec<LayerStatistics>,
}

impl RunFolder {
    /// Fails if `path` holds a run; touches nothing. What a start leaves that was killed before it had written the recipe is
    /// no run.
    ///
    /// # Errors
    /// [`Error::Occupied`].
    pub fn ensure_free(path: &Path) -> Result<(), Error> {
        let has_checkpoints = || {
            let files = [checkpoint::last, checkpoint::best];
            files.iter().any(|file| file(&path.join(CHECKPOINTS)).exists())
        };
        let found = [RECIPE, METRICS, EVENTS, SUMMARY].into_iter().find(|name| path.join(name).exists());
        match found.or_else(|| has_checkpoints().then_some(CHECKPOINTS)) {
            Some(found) => Err(Error::Occupied { path: path.to_owned(), found }),
            None => Ok(()),
        }
    }

    /// Makes the folder of a new run, as [`begin`](Self::begin) does, and lets go of its lock.
    ///
    /// # Errors
    /// As [`begin`](Self::begin).
    pub fn create(path: &Path, recipe: &Recipe) -> Result<Self, Error> {
        Self::begin(path, recipe).map(|(folder, _lock)| folder)
    }

    /// Makes the folder of a new run and writes its recipe, which makes it one. Of two processes that try at once, one fails.
    ///
    /// # Errors
    /// [`Error::Occupied`], [`Error::Locked`] or [`Error::Io`]; what was made is taken away again.
    pub fn begin(path: &Path, recipe: &Recipe) -> Result<(Self, Lock), Error> {
        Self::ensure_free(path)?;
        let text = recipe.to_toml()?;
        let folder = Self { path: path.to_owned() };
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let lock = Lock::take(path).inspect_err(|_| {
            // Goes if it is empty.
            let _ = fs::remove_dir(path);
        })?;
        // Somebody may have been quicker, and done.
        Self::ensure_free(path)?;
        match folder.fill(&text) {
            Ok(()) => Ok((folder, lock)),
            Err(error) => {
                folder.remove_skeleton(lock);
                Err(error)
            }
        }
    }

    fn fill(&self, recipe: &str) -> Result<(), Error> {
        fs::create_dir_all(self.checkpoints()).map_err(Error::io("create", &self.path))?;
        self.remove_leftovers()?;
        atomic::write(&self.file(RECIPE), recipe.as_bytes(), Existing::Keep)
    }

    /// Takes away what [`begin`](Self::begin) made before it failed, and nothing that holds a file of somebody else.
    fn remove_skeleton(&self, lock: Lock) {
        let _ = fs::remove_dir(self.checkpoints());
        drop(lock);
        let _ = fs::remove_dir(&self.path);
    }

    /// Takes the run for this process alone, and clears away what killed ones left.
    ///
    /// # Errors
    /// [`Error::Locked`] or [`Error::Io`].
    pub fn lock(&self) -> Result<Lock, Error> {
        let lock = Lock::take(&self.path)?;
        self.remove_leftovers()?;
        Ok(lock)
    }

    fn remove_leftovers(&self) -> Result<(), Error> {
        for folder in [self.path.clone(), self.checkpoints()] {
            match mp_files::remove_leftovers(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::io("clear", &folder)(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether a folder looks like a run's: nothing else has both a recipe and checkpoints.
    pub fn is_run(path: &Path) -> bool {
        path.join(RECIPE).is_file() && path.join(CHECKPOINTS).is_dir()
    }

    /// The folder of a run that another process has just made.
    pub(crate) fn of_another(path: PathBuf) -> Self {
        Self { path }
    }

    /// The folder of a run that was started before.
    ///
    /// # Errors
    /// [`Error::NotARun`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.join(RECIPE).is_file() {
            Ok(Self { path: path.to_owned() })
        } else {
            Err(Error::NotARun { path: path.to_owned(), missing: RECIPE })
        }
    }

    /// The recipe of the run.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Recipe`] where someone has edited it.
    pub fn recipe(&self) -> Result<Recipe, Error> {
        self.recipe_with(&[])
    }

    /// The recipe of the run, changed by `overrides`.
    ///
    /// # Errors
    /// As [`Recipe::resolve`].
    pub fn recipe_with(&self, overrides: &[Override]) -> Result<Recipe, Error> {
        let path = self.file(RECIPE);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let recipe = Recipe::of_run(&text, &path.display().to_string(), overrides)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Writes the recipe of the run in place of the former one.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_recipe(&self, recipe: &Recipe) -> Result<(), Error> {
        atomic::write(&self.file(RECIPE), recipe.to_toml()?.as_bytes(), Existing::Replace)
    }

    /// The summary of the run; `None` before it has ended or been stopped after its first epoch.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Corrupt`].
    pub fn summary(&self) -> Result<Option<Summary>, Error> {
        self.read_json(SUMMARY)
    }

    /// Writes the summary of the run.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_summary(&self, summary: &Summary) -> Result<(), Error> {
        self.write_json(SUMMARY, summary)
    }

    /// Removes what says how the run stood at its end: the summary and the report; with `routes`, the routing statistics of
    /// its last epoch too.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn remove_results(&self, routes: bool) -> Result<(), Error> {
        for name in [SUMMARY, REPORT].into_iter().chain(routes.then_some(ROUTES)) {
            let path = self.file(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::io("remove", &path)(error)),
                _ => {}
            }
        }
        Ok(())
    }

    /// The routing statistics of the run; `None` where nothing was routed.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Corrupt`].
    pub fn routes(&self) -> Result<Option<RoutingRecord>, Error> {
        self.read_json(ROUTES)
    }

    /// Writes the routing statistics of the run.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_routes(&self, routes: &RoutingRecord) -> Result<(), Error> {
        self.write_json(ROUTES, routes)
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.file(name);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        serde_json::from_str(&text).map(Some).map_err(|error| Error::Corrupt { path, message: error.to_string() })
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), Error> {
        let path = self.file(name);
        let mut text = serde_json::to_string_pretty(value).map_err(|error| Error::Io {
            action: "write",
            path: path.clone(),
            source: error.into(),
        })?;
        text.push('\n');
        atomic::write(&path, text.as_bytes(), Existing::Replace)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where `metrics.csv` is.
    pub fn metrics(&self) -> PathBuf {
        self.file(METRICS)
    }

    /// Where `events.jsonl` is.
    pub fn events(&self) -> PathBuf {
        self.file(EVENTS)
    }

    /// Where `report.html` is.
    pub fn report(&self) -> PathBuf {
        self.file(REPORT)
    }

    /// The folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.file(CHECKPOINTS)
    }

    /// One of its checkpoints.
    ///
    /// # Errors
    /// [`Error::NoCheckpoint`] where it is not there yet.
    pub fn checkpoint(&self, which: Which) -> Result<PathBuf, Error> {
        let path = which.path(&self.checkpoints());
        if path.is_file() {
            Ok(path)
        } else {
            Err(Error::NoCheckpoint { path: self.path.clone(), missing: which.name() })
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipe() -> Recipe {
        Recipe::resolve(Some("digits"), &[]).unwrap()
    }

    #[test]
    fn a_folder_that_holds_a_run_is_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        let folder = RunFolder::create(&path, &recipe()).unwrap();
        assert_eq!(folder.recipe().unwrap(), recipe());
        assert_eq!(
            RunFolder::create(&path, &Recipe::default()).unwrap_err().to_string(),
            format!(
                "{} already holds a run (recipe.toml): name another folder with --out, or continue it with --resume",
                path.display()
            )
        );
        assert_eq!(folder.recipe().unwrap(), recipe());
    }

    #[test]
    fn files_of_others_do_not_make_a_folder_a_run() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("notes.txt"), "mine").unwrap();
        RunFolder::create(root.path(), &recipe()).unwrap();
    }

    #[test]
    fn a_folder_without_a_run_is_not_opened() {
        let root = tempfile::tempdir().unwrap();
        let message = RunFolder::open(root.path()).unwrap_err().to_string();
        assert!(message.contains("holds no run: recipe.toml is missing"), "{message}");
    }

    /// What is left where a start was killed between any two of its steps.
    #[test]
    fn what_a_killed_start_left_is_taken_over() {
        let (lock, folder, draft) = (".lock", "checkpoints/", ".recipe.toml.writing");
        for left in [&[][..], &[lock], &[lock, folder], &[lock, folder, draft], &[folder]] {
            let root = tempfile::tempdir().unwrap();
            for name in left {
                match name.strip_suffix('/') {
                    Some(folder) => fs::create_dir(root.path().join(folder)).unwrap(),
                    None => fs::write(root.path().join(name), "").unwrap(),
                }
            }
            RunFolder::create(root.path(), &recipe()).unwrap_or_else(|error| panic!("{left:?}: {error}"));
            assert!(!root.path().join(draft).exists());
        }
    }

    #[test]
    fn checkpoints_without_a_recipe_are_not_taken_for_nothing() {
        for file in ["last.safetensors", "best.safetensors"] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join(CHECKPOINTS)).unwrap();
            fs::write(root.path().join(CHECKPOINTS).join(file), "").unwrap();
            let message = RunFolder::create(root.path(), &recipe()).unwrap_err().to_string();
            assert!(message.contains("already holds a run (checkpoints)"), "{message}");
        }
    }

    #[test]
    fn a_start_that_cannot_write_takes_away_what_it_made() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        fs::create_dir(&path).unwrap();
        // In the place of the checkpoints' folder.
        fs::write(path.join(CHECKPOINTS), "mine").unwrap();
        RunFolder::create(&path, &recipe()).unwrap_err();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn of_many_starts_at_once_one_makes_the_run() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("run");
        let start = std::sync::Barrier::new(8);
        let made: Vec<bool> = std::thread::scope(|scope| {
            let make = || {
                start.wait();
                RunFolder::create(&path, &recipe()).is_ok()
            };
            let making: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            making.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(made.iter().filter(|made| **made).count(), 1);
    }

    #[test]
    fn the_recipe_is_changed_by_overrides() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), &recipe()).unwrap();
        let changed = folder.recipe_with(&["train.epochs=3".parse().unwrap()]).unwrap();
        assert_eq!((changed.train.epochs, &changed.model), (3, &recipe().model));
        folder.write_recipe(&changed).unwrap();
        assert_eq!(folder.recipe().unwrap(), changed);
    }
}
