//! The folder of one run and the names of the files in it.

use std::path::{Path, PathBuf};
use std::{fs, io};

use mp_routing::LayerStatistics;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::atomic::{self, Existing};
use crate::summary::Summary;
use crate::{Error, Recipe};

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
    /// Fails if `path` holds a run; touches nothing.
    ///
    /// # Errors
    /// [`Error::Occupied`].
    pub fn ensure_free(path: &Path) -> Result<(), Error> {
        match [RECIPE, CHECKPOINTS, METRICS, EVENTS, SUMMARY].into_iter().find(|name| path.join(name).exists()) {
            Some(found) => Err(Error::Occupied { path: path.to_owned(), found }),
            None => Ok(()),
        }
    }

    /// Makes the folder of a new run and writes its recipe. Of two processes that try at once, one fails.
    ///
    /// # Errors
    /// [`Error::Occupied`] or [`Error::Io`].
    pub fn create(path: &Path, recipe: &Recipe) -> Result<Self, Error> {
        Self::ensure_free(path)?;
        let text = recipe.to_toml()?;
        let folder = Self { path: path.to_owned() };
        fs::create_dir_all(folder.checkpoints()).map_err(Error::io("create", path))?;
        atomic::write(&folder.file(RECIPE), text.as_bytes(), Existing::Keep)?;
        Ok(folder)
    }

    /// Whether a folder looks like a run's: nothing else has both a recipe and checkpoints.
    pub fn is_run(path: &Path) -> bool {
        path.join(RECIPE).is_file() && path.join(CHECKPOINTS).is_dir()
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

    /// The first of `root/name`, `root/name-2`, `root/name-3`, ... that holds no run.
    pub fn next_free(root: &Path, name: &str) -> PathBuf {
        let mut number = 1_u64;
        loop {
            let path = numbered(root, name, number);
            if Self::ensure_free(&path).is_ok() {
                return path;
            }
            number += 1;
        }
    }

    /// The last of `root/name`, `root/name-2`, ... that holds a run; `root/name` where none does.
    pub fn latest(root: &Path, name: &str) -> PathBuf {
        let holds_run = |number: &u64| Self::ensure_free(&numbered(root, name, *number)).is_err();
        let number = (1_u64..).take_while(holds_run).last().unwrap_or(1);
        numbered(root, name, number)
    }

    /// The recipe of the run.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Recipe`] where someone has edited it.
    pub fn recipe(&self) -> Result<Recipe, Error> {
        let path = self.file(RECIPE);
        let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let recipe = Recipe::from_toml(&text, &path.display().to_string())?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Fails unless `recipe` is the one that the run was started with.
    ///
    /// # Errors
    /// [`Error::OtherRecipe`] naming the first key that differs.
    pub fn ensure_recipe(&self, recipe: &Recipe) -> Result<(), Error> {
        match self.recipe()?.first_difference(recipe)? {
            Some((key, stored, asked)) => Err(Error::OtherRecipe { path: self.path.clone(), key, stored, asked }),
            None => Ok(()),
        }
    }

    /// The summary of the run; `None` until it is complete.
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

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

fn numbered(root: &Path, name: &str, number: u64) -> PathBuf {
    match number {
        1 => root.join(name),
        _ => root.join(format!("{name}-{number}")),
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

    #[test]
    fn default_names_count_up() {
        let root = tempfile::tempdir().unwrap();
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(name(RunFolder::latest(root.path(), "a")), "a");
        for expected in ["a", "a-2", "a-3"] {
            let path = RunFolder::next_free(root.path(), "a");
            RunFolder::create(&path, &recipe()).unwrap();
            assert_eq!(name(path), expected);
            assert_eq!(name(RunFolder::latest(root.path(), "a")), expected);
        }
    }

    #[test]
    fn a_run_is_continued_only_under_its_own_recipe() {
        let root = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(root.path(), &recipe()).unwrap();
        folder.ensure_recipe(&recipe()).unwrap();
        let mut other = recipe();
        other.train.batch_size = 7;
        let message = folder.ensure_recipe(&other).unwrap_err().to_string();
        assert!(message.contains("the run was started with train.batch_size = 64, not 7"), "{message}");
    }
}
