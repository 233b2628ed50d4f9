//! A trained network, ready to use.

use mp_data::Statistics;
use mp_nn::{Store, load_tensors};
use mp_zoo::{Model, ModelName};
use tch::Device;

use crate::Error;
use crate::checkpoint::{self, Checkpoint, Which};
use crate::folder::RunFolder;
use crate::images::{Identity, Origin};
use crate::learn::Teacher;
use crate::recipe::{Precision, Recipe, Spec};
use crate::weights::{Fit, WeightFile};

/// Which of its weights a checkpoint puts into a model.
type Restore = fn(&Checkpoint, &Store) -> Result<(), Error>;

/// A network with its weights, and what it needs to know about images.
pub struct Trained {
    /// Its name, classes and normalisation.
    pub identity: Identity,
    /// The network.
    pub model: Model,
    /// The recipe that its run was trained under; unknown for plain weights and checkpoints of format 1.
    pub recipe: Option<Recipe>,
    /// The images that its run was made of; unknown for the same.
    pub origin: Option<Origin>,
    /// The number format that it is applied in: the one that it was trained in, or float32 where the device does not have that.
    pub precision: Precision,
    /// Steps of the optimiser that it was trained for; unknown for plain weights.
    pub steps: Option<u64>,
    /// Whether the names of its classes are known; otherwise they are numbers.
    pub names_classes: bool,
    store: Store,
}

impl Trained {
    /// The network of a run, on `device`.
    ///
    /// # Errors
    /// A run without that checkpoint yet; a checkpoint that is not whole, or not of the run's model.
    pub fn of_run(folder: &RunFolder, which: Which, device: Device) -> Result<Self, Error> {
        Self::restored(folder, which, device, Checkpoint::restore_weights)
    }

    /// The network of a run with the averages of its weights, which it has where it was trained with `train.ema`.
    ///
    /// # Errors
    /// As [`Trained::of_run`]; [`Error::NoAverage`].
    pub fn average_of_run(folder: &RunFolder, which: Which, device: Device) -> Result<Self, Error> {
        Self::restored(folder, which, device, Checkpoint::restore_average)
    }

    fn restored(folder: &RunFolder, which: Which, device: Device, restore: Restore) -> Result<Self, Error> {
        let path = folder.checkpoint(which)?;
        let today = folder.recipe()?;
        let mut trained = Self::of_checkpoint(&today.model.name, &Checkpoint::load(&path)?, device, restore)?;
        // Older files leave both to the recipe of the run folder.
        if trained.recipe.is_none() {
            trained.precision = applied(today.train.precision, trained.device())?;
        }
        let crop = trained.identity.crop(trained.recipe.as_ref().unwrap_or(&today));
        trained.identity.crop = Some(crop);
        Ok(trained)
    }

    /// The network `model` with the weights of `file`: a checkpoint, or a file with the names of the model or, for a single
    /// network, of a [scheme](mp_zoo::schemes).
    ///
    /// A checkpoint knows how its model routes. Plain weights do not, and say nothing about images and classes either, but for
    /// their number, which is that of the head's outputs. The model's native size is taken then, numbers for class
    /// names, and for colour images the normalisation of ImageNet.
    ///
    /// # Errors
    /// A name that no model has; a file that is not whole; [`Error::NoFit`] for weights that are not those of the model.
    pub fn of_weights(model: &Spec, file: &WeightFile, device: Device) -> Result<Self, Error> {
        let path = file.path();
        match load_tensors(path) {
            Ok(weights) if checkpoint::is_checkpoint(&weights) => {
                let checkpoint = Checkpoint::of_file(path, weights)?;
                return Self::of_checkpoint(&model.name, &checkpoint, device, Checkpoint::restore_weights);
            }
            // What is of another format is read, or refused, by the next reader.
            Ok(_) | Err(mp_nn::Error::Foreign { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let mut identity = native_identity(model)?;
        let fit = Fit::to_apply(file, &model.name, &identity.options())?;
        if let Some(classes) = fit.classes() {
            identity.classes = numbered(classes);
        }
        let (network, store) = build(&model.name, &identity, device, fit.is_whole())?;
        fit.load(&store)?;
        Ok(Self {
            identity,
            model: network,
            recipe: None,
            origin: None,
            precision: Precision::Fp32,
            steps: None,
            names_classes: false,
            store,
        })
    }

    /// The network as one that another learns from.
    pub fn into_teacher(self) -> Teacher {
        Teacher { model: self.model, store: self.store, precision: self.precision }
    }

    /// Its parameters and buffers.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Where the network is.
    pub fn device(&self) -> Device {
        self.store.device()
    }

    fn of_checkpoint(model: &str, checkpoint: &Checkpoint, device: Device, restore: Restore) -> Result<Self, Error> {
        checkpoint.ensure_model(model)?;
        let identity = checkpoint.header.identity.clone();
        let (network, store) = build(model, &identity, device, true)?;
        restore(checkpoint, &store)?;
        let recipe = checkpoint.header.recipe()?;
        let precision = recipe.as_ref().map_or(Precision::Fp32, |recipe| recipe.train.precision);
        let precision = applied(precision, store.device())?;
        let origin = checkpoint.header.origin().cloned();
        let steps = Some(checkpoint.header.position.step);
        Ok(Self { identity, model: network, recipe, origin, precision, steps, names_classes: true, store })
    }
}

/// The number format in which a network that was trained in `precision` is applied on `device`.
fn applied(precision: Precision, device: Device) -> Result<Precision, Error> {
    let applied = match precision {
        Precision::Tf32 | Precision::Fp16 if !device.is_cuda() => Precision::Fp32,
        precision => precision,
    };
    applied.prepare(device)?;
    Ok(applied)
}

fn numbered(classes: i64) -> Vec<String> {
    (0..classes).map(|class| class.to_string()).collect()
}

/// Drawing the starting values of a large network takes a second, for nothing where all of them will be `replaced`.
fn build(model: &str, identity: &Identity, device: Device, replaced: bool) -> Result<(Model, Store), Error> {
    let store = if replaced { Store::unwritten(device) } else { Store::new(device, 0) };
    let network = mp_zoo::build(model, &identity.options(), &store.root())?;
    Ok((network, store))
}

pub(super) fn native_identity(model: &Spec) -> Result<Identity, Error> {
    let input = model.name.parse::<ModelName>()?.family.native;
    let Statistics { mean, std } = match input.channels {
        3 => Statistics::imagenet(),
        channels => Statistics { mean: vec![0.0; channels as usize], std: vec![1.0; channels as usize] },
    };
    Ok(Identity {
        model: model.name.clone(),
        routing: model.routing.clone(),
        classes: numbered(input.classes),
        channels: input.channels,
        size: input.size,
        mean,
        std,
        // As the public weights of ImageNet are judged.
        crop: Some(if input.size >= 224 { 0.875 } else { 1.0 }),
    })
}
