//! Named tensors of a file that others have written, and how they get into a model.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use tch::Tensor;

use crate::foreign::{self, Foreign};
use crate::{Entry, Error, Mismatch, Renaming, Store, load_tensors, pytorch};

/// The counter of batch norms, which files of PyTorch before version 0.4.1 lack and no evaluation needs.
const COUNTER: &str = "num_batches_tracked";

/// The tensors of a weight file, by the file's own names.
#[derive(Debug)]
pub struct StateDict {
    /// The file.
    pub path: PathBuf,
    /// Each tensor with its name, on the CPU, in the order of the file.
    pub tensors: Vec<(String, Tensor)>,
    /// The names of what lies beside the tensors and is not read: `epoch`, `optimizer`.
    pub others: Vec<String>,
}

/// Reads the tensors of a safetensors file or one of PyTorch's (`.pth`, `.pt`, `.th`), whether a zip archive or in the format
/// before version 1.6.
///
/// Nothing in a file is executed: a pickle that names any function or class beyond those of plain tensors is refused. Tensors
/// may lie in a dictionary under `state_dict`, `model`, `net` or `model_state_dict`; what is beside it is named in
/// [`StateDict::others`]. A prefix `module.` or `_orig_mod.` that all names share is taken away. Memory: the file, its tensors
/// of at most four times its size, and at most some 64 MB for its pickle.
///
/// # Errors
/// [`Error::Io`]; [`Error::Tensors`] for a file that is damaged, cut short, or holds anything else than tensors;
/// [`Error::Foreign`] for a file of another kind; for a safetensors file as [`load_tensors`].
pub fn read_state_dict(path: &Path) -> Result<StateDict, Error> {
    let io = |source| Error::Io { action: "read", path: path.to_owned(), source };
    let mut start = Vec::new();
    mp_files::open(path).and_then(|file| file.take(4096).read_to_end(&mut start)).map_err(io)?;
    let mut dict = StateDict { path: path.to_owned(), tensors: Vec::new(), others: Vec::new() };
    match foreign::recognise(&start) {
        Some(Foreign { what: foreign::ARCHIVE | foreign::LEGACY | foreign::ZIP, .. }) => {
            let contents = pytorch::read(&mp_files::read(path).map_err(io)?)
                .map_err(|fault| Error::Tensors { path: path.to_owned(), fault })?;
            (dict.tensors, dict.others) = (contents.tensors, contents.others);
        }
        Some(Foreign { what, advice }) => return Err(Error::Foreign { path: path.to_owned(), what, advice }),
        None => {
            dict.tensors = load_tensors(path)?.tensors.into_iter().collect();
            pytorch::strip_prefixes(&mut dict.tensors);
        }
    }
    Ok(dict)
}

/// What became of a file's tensors.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// How many tensors of the model were given the file's values.
    pub loaded: usize,
    /// Tensors that lay under another shape: name, shape in the model, shape in the file.
    pub reshaped: Vec<(String, Vec<i64>, Vec<i64>)>,
    /// Tensors of heads for something else, which stay as they were: name, shape in the model, shape in the file.
    pub head: Vec<(String, Vec<i64>, Vec<i64>)>,
    /// Tensors of the model that the file may lack and lacks, which stay as they were.
    pub absent: Vec<String>,
    /// The file's tensors that the renaming leaves out, by the file's names.
    pub dropped: Vec<String>,
}

impl fmt::Display for LoadReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} tensors loaded", self.loaded)?;
        if !self.reshaped.is_empty() {
            write!(f, ", {} of them reshaped", self.reshaped.len())?;
        }
        if let Some((name, model, file)) = self.head.first() {
            write!(f, "; the head stays as it was ({name}: model {model:?}, file {file:?})")?;
        }
        match &self.dropped[..] {
            [] => Ok(()),
            [one] => write!(f, "; {one} left out"),
            [first, .., last] => write!(f, "; {} left out ({first} to {last})", self.dropped.len()),
        }
    }
}

impl StateDict {
    /// A tensor by the file's name.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.iter().find(|(found, _)| found == name).map(|(_, tensor)| tensor)
    }

    /// Copies all tensors into a model, under the names that `renaming` gives them. Element types are converted; shapes are
    /// not, but where a rule says so. Counters of batches (`num_batches_tracked`) may be missing on either side.
    ///
    /// # Errors
    /// [`Error::OtherModel`] with all that is missing, unexpected or of another shape; [`Error::Tensors`] where two tensors
    /// get one name. Nothing is changed then.
    pub fn load_into(&self, store: &Store, renaming: &Renaming) -> Result<LoadReport, Error> {
        let entries = store.entries();
        let (fitting, report) = self.fit(&entries, renaming)?;
        let _no_grad = tch::no_grad_guard();
        for (entry, tensor) in fitting {
            let copied =
                tensor.f_reshape(entry.tensor.size()).and_then(|tensor| entry.tensor.shallow_clone().f_copy_(&tensor));
            copied.map_err(|error| Error::torch(format!("copy `{}`", entry.name), &error))?;
        }
        Ok(report)
    }

    /// What [`StateDict::load_into`] would do; nothing is changed.
    ///
    /// # Errors
    /// As [`StateDict::load_into`].
    pub fn compare(&self, store: &Store, renaming: &Renaming) -> Result<LoadReport, Error> {
        Ok(self.fit(&store.entries(), renaming)?.1)
    }

    /// The tensors of the file beside those of the model that get their values.
    fn fit<'e>(&'e self, entries: &'e [Entry], renaming: &Renaming) -> Result<(Vec<Pair<'e>>, LoadReport), Error> {
        let mut report = LoadReport::default();
        let mut given = self.given(renaming, &mut report)?;
        let mut mismatch = Mismatch::default();
        let mut other_heads = BTreeSet::new();
        let mut fitting = Vec::with_capacity(entries.len());
        for entry in entries {
            let Some(Given { tensor, reshaped, .. }) = given.remove(&entry.name) else {
                if renaming.is_optional(&entry.name) {
                    report.absent.push(entry.name.clone());
                } else if !is_counter(&entry.name) {
                    mismatch.missing.push(entry.name.clone());
                }
                continue;
            };
            let (model, file) = (entry.tensor.size(), tensor.size());
            let as_many = entry.tensor.numel() == tensor.numel();
            if model == file || as_many && (reshaped || is_counter(&entry.name)) {
                fitting.push((entry, tensor));
            } else if let Some(head) = renaming.head_of(&entry.name) {
                other_heads.insert(head);
                report.head.push((entry.name.clone(), model, file));
            } else {
                mismatch.mismatched.push((entry.name.clone(), model, file));
            }
        }
        mismatch.unexpected =
            given.into_values().map(|given| given.from).filter(|from| !is_counter(from)).cloned().collect();
        mismatch.unexpected.sort();
        if !mismatch.is_empty() {
            return Err(Error::OtherModel { path: self.path.clone(), mismatch });
        }

        // A head is taken whole or not at all.
        fitting.retain(|(entry, tensor)| {
            let (model, file) = (entry.tensor.size(), tensor.size());
            if renaming.head_of(&entry.name).is_some_and(|head| other_heads.contains(head)) {
                report.head.push((entry.name.clone(), model, file));
                return false;
            }
            if model != file {
                report.reshaped.push((entry.name.clone(), model, file));
            }
            true
        });
        report.loaded = fitting.len();
        Ok((fitting, report))
    }

    /// The tensors by the names that `renaming` gives them, without those that it leaves out.
    fn given(&self, renaming: &Renaming, report: &mut LoadReport) -> Result<HashMap<String, Given<'_>>, Error> {
        let mut given: HashMap<String, Given<'_>> = HashMap::new();
        for (from, tensor) in &self.tensors {
            if renaming.drops(from) {
                report.dropped.push(from.clone());
                continue;
            }
            let renamed = renaming.apply(from);
            let new = Given { from, tensor, reshaped: renamed.reshaped };
            if let Some(other) = given.insert(renamed.name.clone(), new) {
                let fault =
                    format!("has two tensors for `{}` by this renaming: `{}` and `{from}`", renamed.name, other.from);
                return Err(Error::Tensors { path: self.path.clone(), fault });
            }
        }
        Ok(given)
    }
}

/// A tensor of the model, and the file's that it gets its values from.
type Pair<'e> = (&'e Entry, &'e Tensor);

/// A tensor of the file for a name of the model.
struct Given<'a> {
    from: &'a String,
    tensor: &'a Tensor,
    reshaped: bool,
}

fn is_counter(name: &str) -> bool {
    name.rsplit('.').next() == Some(COUNTER)
}

impl Store {
    /// Every entry under the name that `renaming` gives it, as [`save_tensors`](crate::save_tensors) takes them: with
    /// [`Renaming::reversed`], under the names of others.
    pub fn renamed_tensors(&self, renaming: &Renaming) -> Vec<(String, Tensor)> {
        self.named_tensors().into_iter().map(|(name, tensor)| (renaming.rename(&name), tensor)).collect()
    }
}
