//! PyTorch's own files (`.pth`, `.pt`, `.th`), of which only the tensors are read: nothing is ever executed.
//!
//! Such a file is a Python pickle that describes tensors, and the storages that hold their numbers: in a zip archive since
//! PyTorch 1.6, one after the other before it. Memory is bounded by the file's size: beside the file itself, its tensors
//! together take at most [`MOST_COPIES`] times as much, since several may share one storage, and the pickle's values at most
//! some 64 MB.

mod archive;
mod entries;
mod legacy;
mod storage;
mod tensor;

use mp_pickle::{Name, Pickle};
use tch::Tensor;

pub(crate) use entries::strip_prefixes;
use storage::Storages;
use tensor::Rebuilder;

/// How many times as many bytes as the file has its tensors may have together.
const MOST_COPIES: usize = 4;

/// What is wrong with a file, as the rest of a sentence about it: `holds ...`, `is ...`.
type Fault = String;

/// What a file holds.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    /// Its tensors with their names, in its order.
    pub(crate) tensors: Vec<(String, Tensor)>,
    /// The names of what is no tensor, and of what stands beside the tensors.
    pub(crate) others: Vec<String>,
}

/// Reads the tensors of a file of either form.
pub(crate) fn read(bytes: &[u8]) -> Result<Contents, Fault> {
    if bytes.starts_with(b"PK") {
        let archive = archive::Archive::open(bytes)?;
        let pickle = pickle(archive.pickle()?)?;
        return contents(&pickle, &archive, bytes.len());
    }
    let (pickle, storages) = legacy::open(bytes)?;
    contents(&pickle, &storages, bytes.len())
}

fn contents(pickle: &Pickle<'_>, storages: &dyn Storages, length: usize) -> Result<Contents, Fault> {
    entries::read(pickle.root(), &mut Rebuilder::new(storages, length.saturating_mul(MOST_COPIES)))
}

fn pickle(bytes: &[u8]) -> Result<Pickle<'_>, Fault> {
    Pickle::parse(bytes, is_known).map_err(|error| fault(&error))
}

/// The few functions and classes of which a file of tensors is made.
fn is_known(name: Name<'_>) -> bool {
    name.is("collections", "OrderedDict") || tensor::is_rebuilding(name) || storage::kind(name).is_some()
}

/// A name of a file as it is named in messages.
fn shown(name: &str) -> String {
    name.chars().take(80).flat_map(char::escape_debug).collect()
}

fn fault(error: &mp_pickle::Error) -> Fault {
    match error {
        mp_pickle::Error::Refused { name, .. } if name.contains("__torch__") => archive::SCRIPT.to_owned(),
        mp_pickle::Error::Refused { name, .. } => {
            format!("holds `{name}`, which would be executed by Python: refused")
        }
        other => format!("is damaged or cut short: its pickle, {other}"),
    }
}
