//! The folder of a study: a small file for each finished run, and what was found out before.
//!
//! ```text
//! study.toml             the study (its file may also lie elsewhere)
//! runs/cc-s1.json        an entrant's run with a seed
//! rates/cc-x0.333.json   a short run that tried a learning rate
//! sizes.json             the networks of entrants that are matched
//! times.json             milliseconds of a training step of each entrant, measured in turns
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mp_train::Recipe;
use mp_train::atomic::{self, Existing};
use mp_train::folder::Lock;
use mp_train::recipe::Difference;
use mp_train::run::changes_numbers;
use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::{Error, Match};

/// The folder of a study.
#[derive(Debug, Clone)]
pub struct StudyFolder {
    path: PathBuf,
}

/// Which run of an entrant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part {
    /// The one that counts, with a seed.
    Seed(u64),
    /// A short one that tries a factor of the learning rate.
    Rate(f64),
}

/// The networks of entrants that are matched, with what they were matched to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// What was asked for.
    #[serde(rename = "match")]
    pub matched: Match,
    /// The network that they are matched to.
    pub to: String,
    /// The network of each entrant.
    pub models: BTreeMap<String, String>,
}

/// How long a training step of each entrant takes, from one run in turns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// The processor.
    pub processor: String,
    /// Threads of libtorch.
    pub threads: usize,
    /// Images of a step.
    pub batch: usize,
    /// Rounds; each times every entrant once.
    pub rounds: usize,
    /// Median milliseconds of a step of each entrant.
    pub ms: BTreeMap<String, f64>,
    /// Median of its time over the reference's in the same round.
    pub ratio: BTreeMap<String, f64>,
}

impl StudyFolder {
    /// The folder at `path`; nothing is made yet.
    pub fn new(path: &Path) -> Self {
        StudyFolder { path: path.to_owned() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder where it is missing, and takes it for this process alone.
    ///
    /// # Errors
    /// [`Error::InUse`]; [`Error::Io`].
    pub fn lock(&self) -> Result<Lock, Error> {
        fs::create_dir_all(&self.path).map_err(Error::io("make the folder", &self.path))?;
        Lock::take(&self.path).map_err(|error| match error {
            mp_train::Error::Locked { path, holder } => Error::InUse { path, holder },
            other => other.into(),
        })
    }

    /// The file of a run.
    pub fn file(&self, entrant: &str, part: Part) -> PathBuf {
        self.path
            .join(match part {
                Part::Seed(_) => "runs",
                Part::Rate(_) => "rates",
            })
            .join(format!("{}.json", id(entrant, part)))
    }

    /// The record of a run, if it is there; it must be of the recipe that the study says.
    ///
    /// # Errors
    /// [`Error::Record`] for what is no record, or that of another run.
    pub fn record(&self, study: &str, entrant: &str, part: Part, recipe: &Recipe) -> Result<Option<Record>, Error> {
        let path = self.file(entrant, part);
        if !path.exists() {
            return Ok(None);
        }
        let record = Record::read(&path)?;
        if record.study != study || record.entrant != entrant {
            let message = format!(
                "a run of entrant `{}` of the study `{}`, expected one of `{entrant}` of `{study}`: move it away, or name another folder with --out",
                record.entrant, record.study
            );
            return Err(Error::record(&path, message));
        }
        let made = Recipe::from_toml(&record.recipe, &path.display().to_string())?;
        if let Some(other) = first_difference(&made, recipe)? {
            let message = format!(
                "was made with {} = {}, and the study says {}: move it away, or name another folder with --out",
                other.key, other.here, other.there
            );
            return Err(Error::record(&path, message));
        }
        Ok(Some(record))
    }

    /// Fails for a file among the runs that is none of these.
    ///
    /// # Errors
    /// [`Error::Record`] naming the first; [`Error::Io`].
    pub fn ensure_known(&self, known: &[(String, Part)]) -> Result<(), Error> {
        let files: Vec<PathBuf> = known.iter().map(|(entrant, part)| self.file(entrant, *part)).collect();
        for place in ["runs", "rates"].map(|name| self.path.join(name)) {
            let Ok(entries) = fs::read_dir(&place) else { continue };
            let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
            found.sort();
            let json = |path: &&PathBuf| path.extension().is_some_and(|end| end == "json");
            if let Some(other) = found.iter().filter(json).find(|path| !files.contains(path)) {
                let message =
                    "belongs to no entrant and seed of this study: move it away, or name another folder with --out";
                return Err(Error::record(other, message));
            }
        }
        Ok(())
    }

    /// Writes a record.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep(&self, part: Part, record: &Record) -> Result<(), Error> {
        let path = self.file(&record.entrant, part);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(Error::io("make the folder", folder))?;
        }
        record.write(&path)
    }

    /// What was matched before.
    ///
    /// # Errors
    /// [`Error::Record`], [`Error::Io`].
    pub fn sizes(&self) -> Result<Option<Sizes>, Error> {
        self.read("sizes.json")
    }

    /// Keeps what was matched.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep_sizes(&self, sizes: &Sizes) -> Result<(), Error> {
        self.write("sizes.json", sizes)
    }

    /// The times that were measured before.
    ///
    /// # Errors
    /// [`Error::Record`], [`Error::Io`].
    pub fn times(&self) -> Result<Option<Times>, Error> {
        self.read("times.json")
    }

    /// Keeps times.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep_times(&self, times: &Times) -> Result<(), Error> {
        self.write("times.json", times)
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.path.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => {
                let refuse =
                    |error| Error::record(&path, format!("not what compare writes there ({error}): remove it"));
                serde_json::from_str(&text).map(Some).map_err(refuse)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Error> {
        let path = self.path.join(name);
        let text = serde_json::to_string_pretty(value).map_err(|error| Error::record(&path, error.to_string()))?;
        Ok(atomic::write(&path, format!("{text}\n").as_bytes(), Existing::Replace)?)
    }
}

/// The name of a run in files.
pub fn id(entrant: &str, part: Part) -> String {
    match part {
        Part::Seed(seed) => format!("{entrant}-s{seed}"),
        Part::Rate(factor) => format!("{entrant}-x{}", (factor * 1000.0).round() / 1000.0),
    }
}

/// The first key by which one recipe gives other numbers than another. Threads, which only round sums in another order, do not count:
/// runs of a study come from machines of many sizes.
pub(crate) fn first_difference(one: &Recipe, other: &Recipe) -> Result<Option<Difference>, Error> {
    let counts = |difference: &Difference| changes_numbers(&difference.key) && difference.key != "train.threads";
    Ok(one.differences(other)?.into_iter().find(counts))
}
