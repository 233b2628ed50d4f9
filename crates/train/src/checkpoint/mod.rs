//! Checkpoints: one safetensors file each, holding all that the next step depends on.
//!
//! Weights stand under the model's own names, so that any safetensors reader finds them; everything else stands under
//! names with a `/`, which no weight has. The header holds what identifies the model, and where in the run the
//! checkpoint was taken. No random state is stored: every random act is a function of the seed and the position.
//!
//! Format 2 also holds what the run was made of ([`Origin`]) and a checksum of the whole file, without which it is refused.
//! Files of format 1, which have neither, are still read.

mod best;
mod former;
mod position;
mod timing;
mod which;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use mp_data::SkipCount;
use mp_nn::{Store, TensorFile, load_tensors, save_tensors};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use self::former::present_name;
use crate::evaluate::Confusion;
use crate::images::{Identity, Origin};
use crate::{Error, Recipe};

pub use best::Best;
pub use position::Position;
pub(crate) use timing::Stopwatch;
pub use timing::Timing;
pub use which::{Which, best, last};

/// The version of the layout that is written; a file of a later version is refused.
const FORMAT: u32 = 2;

/// The key of the header among the file's metadata.
const HEADER: &str = "multipath";

/// Everything in a checkpoint that is not a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    format: u32,
    /// Whose weights these are.
    pub identity: Identity,
    /// What the run was made of; unknown in files of format 1.
    #[serde(default)]
    origin: Option<Origin>,
    /// Where the run stood.
    pub position: Position,
    /// The most accurate epoch until then.
    pub best: Option<Best>,
    /// Images trained on until then.
    pub images: u64,
    /// Where the time until then went.
    pub timing: Timing,
    /// The damaged training images that were skipped until then.
    #[serde(default)]
    pub skipped: SkipCount,
    /// Those that the last validation skipped.
    #[serde(default)]
    pub skipped_valid: SkipCount,
    /// Which class the last validation took for which; older files say nothing of it.
    #[serde(default)]
    pub confusion: Confusion,
}

impl Header {
    /// The header of a run that has not begun.
    pub fn new(identity: Identity) -> Self {
        Self {
            format: FORMAT,
            identity,
            origin: None,
            position: Position::default(),
            best: None,
            images: 0,
            timing: Timing::default(),
            skipped: SkipCount::default(),
            skipped_valid: SkipCount::default(),
            confusion: Confusion::default(),
        }
    }

    /// What the run was made of; unknown in files of format 1.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// The recipe that the run was trained under; unknown in files of format 1.
    ///
    /// # Errors
    /// [`Error::Recipe`] where a later version wrote it, with keys that this one does not know.
    pub fn recipe(&self) -> Result<Option<Recipe>, Error> {
        let read = |origin: &Origin| Recipe::of_run(&origin.recipe, "the recipe in the checkpoint", &[]);
        self.origin.as_ref().map(read).transpose()
    }

    /// The header of the same state of a run that goes on as one of `origin`.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { format: FORMAT, origin: Some(origin), ..self }
    }
}

/// A checkpoint in memory.
#[derive(Debug)]
pub struct Checkpoint {
    /// Everything but the tensors.
    pub header: Header,
    path: PathBuf,
    weights: BTreeMap<String, Tensor>,
    state: BTreeMap<String, Tensor>,
}

impl Checkpoint {
    /// Writes the weights of `store` and `state`, whose names must hold a `/`, as one file that appears only when whole.
    ///
    /// # Errors
    /// The disk's, with the former file untouched.
    pub fn save(path: &Path, header: &Header, store: &Store, state: Vec<(String, Tensor)>) -> Result<(), Error> {
        let text = serde_json::to_string(header).map_err(|error| Error::corrupt(path, &error))?;
        let tensors: Vec<_> = store.named_tensors().into_iter().chain(state).collect();
        Ok(save_tensors(path, &tensors, HashMap::from([(HEADER.to_owned(), text)]))?)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// A file that is missing, cut short, damaged, no checkpoint, or of a later version.
    pub fn load(path: &Path) -> Result<Self, Error> {
        Self::of_file(path, load_tensors(path)?)
    }

    /// A checkpoint from the contents of `path`, already read.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn of_file(path: &Path, file: TensorFile) -> Result<Self, Error> {
        let TensorFile { tensors, metadata, checked } = file;
        let (state, weights): (BTreeMap<_, _>, BTreeMap<_, _>) =
            tensors.into_iter().partition(|(name, _)| name.contains('/'));
        let text = metadata.get(HEADER).ok_or_else(|| Error::Corrupt {
            path: path.to_owned(),
            message: "holds weights alone, no checkpoint: expected a file that `mp-train train` wrote".to_owned(),
        })?;
        let version: Version = serde_json::from_str(text).map_err(|error| Error::corrupt(path, &error))?;
        if !(1..=FORMAT).contains(&version.format) {
            let message = format!("checkpoint of format {}, expected 1 to {FORMAT}", version.format);
            return Err(Error::Corrupt { path: path.to_owned(), message });
        }
        if version.format > 1 && !checked {
            let message = "its checksum is missing: another program has written it, expected it as mp-train left it";
            return Err(Error::Corrupt { path: path.to_owned(), message: message.to_owned() });
        }
        let mut header: Header = serde_json::from_str(text).map_err(|error| Error::corrupt(path, &error))?;
        header.identity.model = present_name(&header.identity.model, weights.keys());
        Ok(Self { header, path: path.to_owned(), weights, state })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fails unless the checkpoint is of the model of that name.
    ///
    /// # Errors
    /// [`Error::OtherModel`].
    pub fn ensure_model(&self, model: &str) -> Result<(), Error> {
        if self.header.identity.model == model {
            return Ok(());
        }
        let (path, found) = (self.path.clone(), self.header.identity.model.clone());
        Err(Error::OtherModel { path, found, expected: model.to_owned() })
    }

    /// Copies the weights into a model of the same kind.
    ///
    /// # Errors
    /// All names and shapes that differ; nothing is changed then.
    pub fn restore_weights(&self, store: &Store) -> Result<(), Error> {
        Ok(store.copy_from(&self.weights, &self.path)?)
    }

    /// Copies the averages of the weights into a model of the same kind.
    ///
    /// # Errors
    /// [`Error::NoAverage`]; [`Error::Corrupt`] where one is missing or has another shape or type.
    pub fn restore_average(&self, store: &Store) -> Result<(), Error> {
        if !self.state.keys().any(|name| name.starts_with("ema/")) {
            return Err(Error::NoAverage { path: self.path.clone() });
        }
        let entries = store.entries().into_iter();
        self.restore_state(entries.map(|entry| (format!("ema/{}", entry.name), entry.tensor)).collect())
    }

    /// Copies stored state into the tensors of the same names.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where one is missing or has another shape or type.
    pub fn restore_state(&self, state: Vec<(String, Tensor)>) -> Result<(), Error> {
        let _guard = tch::no_grad_guard();
        for (name, mut tensor) in state {
            let stored = self.state(&name)?;
            if stored.size() != tensor.size() || stored.kind() != tensor.kind() {
                let expected = format!("{:?} {:?}", tensor.kind(), tensor.size());
                let found = format!("{:?} {:?}", stored.kind(), stored.size());
                let message = format!("`{name}` is {found}, expected {expected}: the state of another optimiser?");
                return Err(Error::Corrupt { path: self.path.clone(), message });
            }
            tensor.copy_(stored);
        }
        Ok(())
    }

    /// One stored tensor that is no weight.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where there is none of this name.
    pub fn state(&self, name: &str) -> Result<&Tensor, Error> {
        self.state.get(name).ok_or_else(|| Error::Corrupt {
            path: self.path.clone(),
            message: format!("`{name}` is missing: the state of another optimiser?"),
        })
    }
}

/// Whether the contents of a file are a checkpoint, not weights alone.
pub fn is_checkpoint(file: &TensorFile) -> bool {
    file.metadata.contains_key(HEADER)
}

/// What every format of header has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}
