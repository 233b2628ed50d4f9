//! Weights as a file that other programs read.

use std::path::Path;

use mp_nn::Store;
use mp_zoo::{ModelName, Variant};
use tch::Device;

use super::trained::native_identity;
use crate::Error;
use crate::recipe::Spec;

/// Whose names the tensors of a file get.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Names {
    /// Ours, which every model has.
    #[default]
    Own,
    /// torchvision's.
    Torchvision,
    /// timm's.
    Timm,
}

/// Writes the weights that training `model` would start from under `seed`, for images of the model's native size; returns
/// the number of its parameters.
///
/// # Errors
/// A model that cannot be built; as [`save_weights`].
pub fn save_starting_weights(model: &Spec, seed: u64, names: Names, file: &Path) -> Result<u64, Error> {
    let store = Store::new(Device::Cpu, seed);
    mp_zoo::build(&model.name, &native_identity(model)?.options(), &store.root())?;
    save_weights(&model.name, &store, names, file)
}

/// Writes the weights of the network `model`, without the state of its training; returns the number of its parameters.
///
/// The names of our single networks are torchvision's or, where it has none of them, timm's, so that theirs are only asked for
/// to be sure: no other network has any.
///
/// # Errors
/// [`Error::NotPublic`] for public names of a network that has none; a file that cannot be written.
pub fn save_weights(model: &str, store: &Store, names: Names, file: &Path) -> Result<u64, Error> {
    if names != Names::Own {
        ensure_public(model, store, names)?;
    }
    store.save(file)?;
    Ok(store.parameter_count())
}

fn ensure_public(model: &str, store: &Store, names: Names) -> Result<(), Error> {
    let refuse = |reason: String| Err(Error::NotPublic { model: model.to_owned(), reason });
    let parsed: ModelName = model.parse()?;
    if parsed.variant != Variant::Single {
        let single = ModelName { variant: Variant::Single, ..parsed };
        return refuse(format!(
            "they are those of single networks, such as `{single}`: leave out --as to write the model's own names"
        ));
    }
    // timm keeps the dense layers of VGG as convolutions, with numbers in another shape.
    let has_dense_vgg = store.entries().iter().any(|entry| entry.name.starts_with("classifier.6."));
    if names == Names::Timm && has_dense_vgg {
        return refuse("timm stores its dense layers as convolutions: expected --as torchvision".to_owned());
    }
    Ok(())
}
