//! What can go wrong when a layer is built or weights are read and written.

use std::fmt;
use std::path::PathBuf;

/// An error of this crate. Every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two parameters were given one name; tch would silently rename the second.
    #[error("the parameter name `{0}` is taken: every parameter of a store needs its own name")]
    DuplicateName(String),
    /// A name that would be ambiguous in a weight file.
    #[error("`{0}` is no parameter name: expected one non-empty part without dots or spaces")]
    BadName(String),
    /// A value of a config is outside its range.
    #[error("{what}: expected {expected}, found {found}")]
    Config {
        /// What was configured, with its place in the model.
        what: String,
        /// The range or form expected.
        expected: String,
        /// The value that came.
        found: String,
    },
    /// The weights of a file are not the weights of this model.
    #[error("{path}: weights of another model: {mismatch}")]
    OtherModel {
        /// The file.
        path: PathBuf,
        /// Where the two differ.
        mismatch: Mismatch,
    },
    /// A file could not be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A file of another kind that is often mistaken for weights.
    #[error("{path} is {what}, expected a safetensors file: {advice}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: &'static str,
        /// What its owner can do.
        advice: &'static str,
    },
    /// The tensors of a file cannot be read, or are not what a renaming expects.
    #[error("{path} {fault}")]
    Tensors {
        /// The file.
        path: PathBuf,
        /// The rest of the sentence: `holds ...`, `is cut short: ...`.
        fault: String,
    },
    /// A file is cut short, or not a safetensors file.
    #[error("{path} is not a whole safetensors file")]
    Format {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: safetensors::SafeTensorError,
    },
    /// A file is not as it was written: its checksum says so.
    #[error("{path} is damaged: {message}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// In what way.
        message: String,
    },
    /// A tensor has an element type that is neither read nor written.
    #[error("{path}: tensor `{name}` holds {found}: expected a float, i64 or u8 type")]
    ElementType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its element type.
        found: String,
    },
    /// libtorch refused an operation.
    #[error("libtorch cannot {action}: {reason}")]
    Torch {
        /// What was tried.
        action: String,
        /// The first line of what libtorch said; the rest is a C++ trace.
        reason: String,
    },
}

impl Error {
    /// A config value outside its range.
    pub fn config(what: impl Into<String>, expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Error::Config { what: what.into(), expected: expected.into(), found: found.to_string() }
    }

    pub(crate) fn torch(action: impl Into<String>, source: &tch::TchError) -> Self {
        let text = source.to_string();
        Error::Torch { action: action.into(), reason: text.lines().next().unwrap_or_default().to_owned() }
    }
}

/// How the tensors of a file differ from those of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mismatch {
    /// Names that the model has and the file lacks.
    pub missing: Vec<String>,
    /// Names that the file has and the model lacks.
    pub unexpected: Vec<String>,
    /// Name, shape in the model, shape in the file.
    pub mismatched: Vec<(String, Vec<i64>, Vec<i64>)>,
}

impl Mismatch {
    /// Whether the two agree.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.unexpected.is_empty() && self.mismatched.is_empty()
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.missing.is_empty() {
            parts.push(format!("{} missing ({})", self.missing.len(), some_of(&self.missing)));
        }
        if !self.unexpected.is_empty() {
            parts.push(format!("{} unexpected ({})", self.unexpected.len(), some_of(&self.unexpected)));
        }
        if !self.mismatched.is_empty() {
            let shapes: Vec<String> = self
                .mismatched
                .iter()
                .map(|(name, model, file)| format!("{name}: model {model:?}, file {file:?}"))
                .collect();
            parts.push(format!("{} of another shape ({})", self.mismatched.len(), some_of(&shapes)));
        }
        f.write_str(&parts.join("; "))
    }
}

/// The first three, so that the message stays one line whatever the model's size.
fn some_of(names: &[String]) -> String {
    let shown = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 3 { format!("{shown}, ...") } else { shown }
}
