//! Weights as a file that other programs read.

use std::collections::HashMap;
use std::path::Path;

use mp_nn::{Store, save_tensors};
use mp_zoo::{ModelName, Variant};
use tch::{Device, Tensor};

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
        ensure_public(model, names)?;
    }
    match names {
        Names::Timm if model.starts_with("vgg") => save_tensors(file, &as_timm_vgg(store), HashMap::new())?,
        _ => store.save(file)?,
    }
    Ok(store.parameter_count())
}

/// Height and width of the maps that the first dense layer of VGG reads.
const VGG_MAP: i64 = 7;

/// timm keeps the dense layers of VGG as convolutions of the last maps, with the same numbers, under names of its own.
fn as_timm_vgg(store: &Store) -> Vec<(String, Tensor)> {
    let places =
        [("classifier.0.", "pre_logits.fc1."), ("classifier.3.", "pre_logits.fc2."), ("classifier.6.", "head.fc.")];
    let renamed = |(name, tensor): (String, Tensor)| {
        let place = places.iter().find_map(|(ours, timms)| Some((*ours, *timms, name.strip_prefix(ours)?)));
        let Some((ours, timms, rest)) = place else { return (name, tensor) };
        let tensor = match (ours, rest) {
            ("classifier.0.", "weight") => tensor.reshape([tensor.size()[0], -1, VGG_MAP, VGG_MAP]),
            ("classifier.3.", "weight") => tensor.unsqueeze(2).unsqueeze(3),
            _ => tensor,
        };
        (format!("{timms}{rest}"), tensor)
    };
    store.named_tensors().into_iter().map(renamed).collect()
}

fn ensure_public(model: &str, names: Names) -> Result<(), Error> {
    let refuse = |reason: String| Err(Error::NotPublic { model: model.to_owned(), reason });
    let parsed: ModelName = model.parse()?;
    if parsed.variant != Variant::Single {
        let single = ModelName { variant: Variant::Single, ..parsed };
        return refuse(format!(
            "they are those of single networks, such as `{single}`: leave out --as to write the model's own names"
        ));
    }
    let family = parsed.family.name;
    if names == Names::Timm && family == "alexnet" {
        return refuse("timm has no AlexNet: expected --as torchvision".to_owned());
    }
    if names == Names::Timm && family.starts_with("vgg") && family.ends_with("_cifar") {
        return refuse("timm has the VGGs for 224x224 only, such as `vgg16_bn`: leave out --as".to_owned());
    }
    Ok(())
}
