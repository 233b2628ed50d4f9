//! The images that a recipe trains and validates on.

use std::path::Path;
use std::sync::Arc;

use mp_data::{Dataset, Holdout, ImageShape, Loader, LoaderConfig, Splits, Subset};

use crate::Error;
use crate::checkpoint::Identity;
use crate::recipe::Recipe;

/// Training and validation images, and how both are normalised.
pub struct Corpus {
    /// What is learnt from.
    pub train: Arc<dyn Dataset>,
    /// What the model is judged by.
    pub valid: Arc<dyn Dataset>,
    /// What the whole run is judged by; the validation images where none are held out.
    pub test: Arc<dyn Dataset>,
    shape: ImageShape,
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Corpus {
    /// Opens the data of a recipe. `cache` is the folder of downloaded data sets.
    ///
    /// With `data.holdout`, as many training images, drawn by the seed, are the validation split; without it the test
    /// split is. `data.limit` then keeps the first training images only.
    ///
    /// # Errors
    /// Data that is missing or broken; a holdout that leaves nothing; [`Error::NoImages`]; [`Error::NotSquare`]; [`Error::NoSize`].
    pub fn open(recipe: &Recipe, cache: &Path) -> Result<Self, Error> {
        let Splits { train, test, mean, std, .. } = mp_data::open(&recipe.data.name, cache)?;
        let (train, valid) = match recipe.data.holdout {
            0 => (train, Arc::clone(&test)),
            count => {
                let (left, held) = mp_data::holdout(train, Holdout::Count(count), recipe.train.seed)?;
                (Arc::new(left) as Arc<dyn Dataset>, Arc::new(held) as Arc<dyn Dataset>)
            }
        };
        let train = match recipe.data.limit {
            limit if limit == 0 || limit >= train.len() => train,
            limit => Arc::new(Subset::new(train.name().to_owned(), train, (0..limit).collect())?) as Arc<dyn Dataset>,
        };
        if train.is_empty() || valid.is_empty() {
            return Err(Error::NoImages { what: recipe.data.name.clone() });
        }
        let data = || recipe.data.name.clone();
        let shape = train.shape().ok_or_else(|| Error::NoSize { data: data() })?;
        let ImageShape { height, width, .. } = shape;
        if height != width {
            return Err(Error::NotSquare { data: data(), height, width });
        }
        Ok(Self { train, valid, test, shape, mean, std })
    }

    /// The size of every image.
    pub fn shape(&self) -> ImageShape {
        self.shape
    }

    /// What identifies a model of the recipe on these images.
    pub fn identity(&self, recipe: &Recipe) -> Identity {
        Identity {
            model: recipe.model.name.clone(),
            routing: recipe.model.routing.clone(),
            classes: self.train.classes().to_vec(),
            channels: self.shape().channels as i64,
            size: self.shape().height as i64,
            mean: self.mean.clone(),
            std: self.std.clone(),
        }
    }

    /// Fails unless a network of `identity` can be judged by these images.
    ///
    /// # Errors
    /// [`Error::OtherData`] where channels, size or classes differ.
    pub fn ensure_fits(&self, identity: &Identity, recipe: &Recipe) -> Result<(), Error> {
        let here = self.identity(recipe);
        let describe = |of: &Identity| format!("{0}x{0}x{1}, {2} classes", of.size, of.channels, of.classes.len());
        if (here.size, here.channels, &here.classes) == (identity.size, identity.channels, &identity.classes) {
            return Ok(());
        }
        let (found, expected) = (describe(&here), describe(identity));
        Err(Error::OtherData { data: recipe.data.name.clone(), found, expected })
    }

    /// Shuffled, augmented batches of the training images. A last part of a batch is dropped where there is a whole one:
    /// a batch of a few images would have poor statistics.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn train_loader(&self, recipe: &Recipe) -> Result<Loader, Error> {
        let config = LoaderConfig {
            shuffle: true,
            drop_last: self.train.len() >= recipe.train.batch_size,
            transforms: recipe.data.augment.transforms(self.size(), None),
            ..self.loader_config(recipe)
        };
        Ok(Loader::new(Arc::clone(&self.train), config)?)
    }

    /// The validation images in their order, unchanged.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn valid_loader(&self, recipe: &Recipe) -> Result<Loader, Error> {
        self.plain_loader(&self.valid, recipe)
    }

    /// The test images in their order, unchanged.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn test_loader(&self, recipe: &Recipe) -> Result<Loader, Error> {
        self.plain_loader(&self.test, recipe)
    }

    fn plain_loader(&self, images: &Arc<dyn Dataset>, recipe: &Recipe) -> Result<Loader, Error> {
        let config = LoaderConfig { shuffle: false, drop_last: false, ..self.loader_config(recipe) };
        Ok(Loader::new(Arc::clone(images), config)?)
    }

    fn size(&self) -> Option<(usize, usize)> {
        Some((self.shape.height, self.shape.width))
    }

    fn loader_config(&self, recipe: &Recipe) -> LoaderConfig {
        LoaderConfig {
            batch_size: recipe.train.batch_size,
            seed: recipe.train.seed,
            mean: self.mean.clone(),
            std: self.std.clone(),
            threads: match recipe.data.workers {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                workers => workers,
            },
            prefetch: recipe.data.prefetch,
            ..LoaderConfig::default()
        }
    }
}
