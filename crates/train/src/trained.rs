//! A trained network, ready to use.

use std::path::Path;

use mp_nn::{Store, load_tensors};
use mp_zoo::{Model, ModelName};
use tch::Device;

use crate::checkpoint::{self, Checkpoint, Identity};
use crate::run_folder::RunFolder;
use crate::{Error, Recipe, Spec};

/// Mean and deviation of ImageNet's channels, by which public weights expect colour images to be normalised.
const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Which {
    /// After the most accurate epoch.
    #[default]
    Best,
    /// After the last step that was saved.
    Last,
}

/// A network with its weights, and what it needs to know about images.
pub struct Trained {
    /// Its name, classes and normalisation.
    pub identity: Identity,
    /// The network.
    pub model: Model,
    /// The recipe that its run was trained under; unknown for plain weights and checkpoints of format 1.
    pub recipe: Option<Recipe>,
    store: Store,
}

impl Trained {
    /// The network of a run, on the CPU or, where libtorch has one, the GPU.
    ///
    /// # Errors
    /// A run without that checkpoint yet; a checkpoint that is not whole, or not of the run's model.
    pub fn of_run(folder: &RunFolder, which: Which) -> Result<Self, Error> {
        let checkpoints = folder.checkpoints();
        let (path, missing) = match which {
            Which::Best => (checkpoint::best(&checkpoints), "checkpoints/best.safetensors"),
            Which::Last => (checkpoint::last(&checkpoints), "checkpoints/last.safetensors"),
        };
        if !path.is_file() {
            return Err(Error::NoCheckpoint { path: folder.path().to_owned(), missing });
        }
        Self::of_checkpoint(&folder.recipe()?.model.name, &Checkpoint::load(&path)?)
    }

    /// The network `model` with the weights of `file`: a checkpoint, or any safetensors file with the names of the model.
    ///
    /// A checkpoint knows how its model routes. Plain weights do not, and say nothing about images and classes either. The model's native size is taken then, numbers for class
    /// names, and for colour images the normalisation of ImageNet.
    ///
    /// # Errors
    /// A name that no model has; a file that is not whole, or whose weights are not those of the model.
    pub fn of_weights(model: &Spec, file: &Path) -> Result<Self, Error> {
        let weights = load_tensors(file)?;
        if checkpoint::is_checkpoint(&weights) {
            return Self::of_checkpoint(&model.name, &Checkpoint::of_file(file, weights)?);
        }
        let identity = native_identity(model)?;
        let (network, store) = build(&model.name, &identity)?;
        store.copy_from(&weights.tensors, file)?;
        Ok(Self { identity, model: network, recipe: None, store })
    }

    /// Where the network is.
    pub fn device(&self) -> Device {
        self.store.device()
    }

    fn of_checkpoint(model: &str, checkpoint: &Checkpoint) -> Result<Self, Error> {
        checkpoint.ensure_model(model)?;
        let identity = checkpoint.header.identity.clone();
        let (network, store) = build(model, &identity)?;
        checkpoint.restore_weights(&store)?;
        Ok(Self { identity, model: network, recipe: checkpoint.header.recipe()?, store })
    }
}

/// Writes the weights that training `model` would start from under `seed`, for images of the model's native size; returns
/// the number of its parameters.
///
/// # Errors
/// A model that cannot be built; a file that cannot be written.
pub fn save_starting_weights(model: &Spec, seed: u64, file: &Path) -> Result<u64, Error> {
    let store = Store::new(Device::Cpu, seed);
    mp_zoo::build(&model.name, &native_identity(model)?.options(), &store.root())?;
    store.save(file)?;
    Ok(store.parameter_count())
}

/// The seed does not matter: all starting values are replaced.
fn build(model: &str, identity: &Identity) -> Result<(Model, Store), Error> {
    let store = Store::new(Device::cuda_if_available(), 0);
    let network = mp_zoo::build(model, &identity.options(), &store.root())?;
    Ok((network, store))
}

fn native_identity(model: &Spec) -> Result<Identity, Error> {
    let input = model.name.parse::<ModelName>()?.family.native;
    let (mean, std) = match input.channels {
        3 => (IMAGENET.0.to_vec(), IMAGENET.1.to_vec()),
        channels => (vec![0.0; channels as usize], vec![1.0; channels as usize]),
    };
    Ok(Identity {
        model: model.name.clone(),
        routing: model.routing.clone(),
        classes: (0..input.classes).map(|class| class.to_string()).collect(),
        channels: input.channels,
        size: input.size,
        mean,
        std,
    })
}
