//! Weight files: safetensors, written whole or not at all, read strictly.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use mp_files::{Draft, Existing};
use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};
use tch::{Kind, Tensor};

use crate::foreign::{self, Foreign};
use crate::seal::{self, Seal};
use crate::{Error, Mismatch, Store};

/// The contents of a safetensors file.
#[derive(Debug)]
pub struct TensorFile {
    /// The tensors by name, on the CPU.
    pub tensors: BTreeMap<String, Tensor>,
    /// The text pairs of its header, but for the checksum.
    pub metadata: HashMap<String, String>,
    /// Whether it had a checksum, which was right; files of other programs have none.
    pub checked: bool,
}

/// Writes tensors to a safetensors file, with a checksum. It appears under its name only when it is whole and on the disk.
///
/// # Errors
/// [`Error::Io`], with the former file untouched; [`Error::ElementType`] for complex, boolean and quantised tensors.
pub fn save_tensors(
    path: &Path,
    tensors: &[(String, Tensor)],
    mut metadata: HashMap<String, String>,
) -> Result<(), Error> {
    let mut owned = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let dtype = dtype_of(tensor.kind()).ok_or_else(|| Error::ElementType {
            path: path.to_owned(),
            name: name.clone(),
            found: format!("{:?}", tensor.kind()),
        })?;
        let shape: Vec<usize> = tensor.size().iter().map(|s| *s as usize).collect();
        owned.push((name, dtype, shape, bytes_of(name, tensor)?));
    }
    let format_error = |source| Error::Format { path: path.to_owned(), source };
    let mut views = Vec::with_capacity(owned.len());
    for (name, dtype, shape, bytes) in &owned {
        views.push((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).map_err(format_error)?));
    }
    metadata.remove(seal::KEY);
    let buffer = serialize(views, Some(metadata)).map_err(format_error)?;
    let (head, numbers) = seal::seal(&buffer).ok_or_else(|| format_error(SafeTensorError::InvalidHeaderLength))?;
    write_whole(path, &head, numbers).map_err(|source| Error::Io { action: "write", path: path.to_owned(), source })
}

/// Reads every tensor of a safetensors file, and compares the file with its checksum, where it has one.
///
/// # Errors
/// [`Error::Io`]; [`Error::Foreign`] and [`Error::Format`] for a file of another format or cut short; [`Error::Damaged`];
/// [`Error::ElementType`].
pub fn load_tensors(path: &Path) -> Result<TensorFile, Error> {
    let bytes = mp_files::read(path).map_err(|source| Error::Io { action: "read", path: path.to_owned(), source })?;
    if let Some(Foreign { what, advice }) = foreign::recognise(&bytes) {
        return Err(Error::Foreign { path: path.to_owned(), what, advice });
    }
    let format_error = |source| Error::Format { path: path.to_owned(), source };
    let (_, header) = SafeTensors::read_metadata(&bytes).map_err(format_error)?;
    let mut metadata = header.metadata().clone().unwrap_or_default();
    let damaged = |message: String| Error::Damaged { path: path.to_owned(), message };
    let checked = match (seal::check(&bytes), metadata.remove(seal::KEY)) {
        (Seal::Holds, _) => true,
        (Seal::Absent, None) => false,
        (Seal::Absent, Some(_)) => return Err(damaged("its checksum is not in its place".to_owned())),
        (Seal::Broken(message), _) => return Err(damaged(message)),
    };
    let file = SafeTensors::deserialize(&bytes).map_err(format_error)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let kind = kind_of(view.dtype()).ok_or_else(|| Error::ElementType {
            path: path.to_owned(),
            name: name.to_owned(),
            found: format!("{:?}", view.dtype()),
        })?;
        let shape: Vec<i64> = view.shape().iter().map(|s| *s as i64).collect();
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind)
            .map_err(|e| Error::torch(format!("read `{name}`"), &e))?;
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(TensorFile { tensors, metadata, checked })
}

impl Store {
    /// Every entry by name, as [`save_tensors`] takes them.
    pub fn named_tensors(&self) -> Vec<(String, Tensor)> {
        self.entries().into_iter().map(|e| (e.name, e.tensor)).collect()
    }

    /// Writes all parameters and buffers to a safetensors file, whole or not at all.
    ///
    /// # Errors
    /// As [`save_tensors`].
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        save_tensors(path, &self.named_tensors(), HashMap::new())
    }

    /// Reads all parameters and buffers from a safetensors file; element types are converted, shapes are not.
    ///
    /// # Errors
    /// As [`load_tensors`]; [`Error::OtherModel`] with all that is missing, unexpected or of another shape, before
    /// anything is changed.
    pub fn load(&self, path: &Path) -> Result<(), Error> {
        self.copy_from(&load_tensors(path)?.tensors, path)
    }

    /// As [`Store::load`], from tensors already read; `path` is only named in errors.
    ///
    /// # Errors
    /// [`Error::OtherModel`], before anything is changed.
    pub fn copy_from(&self, tensors: &BTreeMap<String, Tensor>, path: &Path) -> Result<(), Error> {
        let mismatch = self.compare(tensors);
        if !mismatch.is_empty() {
            return Err(Error::OtherModel { path: path.to_owned(), mismatch });
        }
        let _no_grad = tch::no_grad_guard();
        for mut entry in self.entries() {
            entry
                .tensor
                .f_copy_(&tensors[&entry.name])
                .map_err(|e| Error::torch(format!("copy `{}`", entry.name), &e))?;
        }
        Ok(())
    }

    /// How `tensors` differ from what this store holds, by names and shapes.
    pub fn compare(&self, tensors: &BTreeMap<String, Tensor>) -> Mismatch {
        let entries = self.entries();
        let mut mismatch = Mismatch::default();
        for entry in &entries {
            match tensors.get(&entry.name) {
                None => mismatch.missing.push(entry.name.clone()),
                Some(t) if t.size() != entry.tensor.size() => {
                    mismatch.mismatched.push((entry.name.clone(), entry.tensor.size(), t.size()));
                }
                Some(_) => {}
            }
        }
        let known: std::collections::HashSet<&str> = entries.iter().map(|e| e.name.as_str()).collect();
        mismatch.unexpected = tensors.keys().filter(|name| !known.contains(name.as_str())).cloned().collect();
        mismatch
    }
}

fn write_whole(path: &Path, head: &[u8], numbers: &[u8]) -> std::io::Result<()> {
    let mut draft = Draft::beside(path)?;
    draft.write_all(head)?;
    draft.write_all(numbers)?;
    draft.publish(Existing::Replace)
}

fn bytes_of(name: &str, tensor: &Tensor) -> Result<Vec<u8>, Error> {
    let copy = || {
        // Channels-last weights are not in row-major order, and the file format knows no strides.
        let plain = tensor.f_detach()?.f_to_device(tch::Device::Cpu)?.f_contiguous()?;
        let count = plain.numel();
        let mut bytes = vec![0; count * plain.kind().elt_size_in_bytes()];
        plain.f_copy_data_u8(&mut bytes, count)?;
        Ok(bytes)
    };
    copy().map_err(|e| Error::torch(format!("copy `{name}`"), &e))
}

fn dtype_of(kind: Kind) -> Option<Dtype> {
    match kind {
        Kind::Float => Some(Dtype::F32),
        Kind::Double => Some(Dtype::F64),
        Kind::Half => Some(Dtype::F16),
        Kind::BFloat16 => Some(Dtype::BF16),
        Kind::Int64 => Some(Dtype::I64),
        Kind::Uint8 => Some(Dtype::U8),
        _ => None,
    }
}

fn kind_of(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F64 => Some(Kind::Double),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        Dtype::I64 => Some(Kind::Int64),
        Dtype::U8 => Some(Kind::Uint8),
        _ => None,
    }
}
