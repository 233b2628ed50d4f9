//! The images that a recipe trains and validates on.

use std::path::Path;
use std::sync::Arc;

use mp_data::{
    Dataset, Holdout, ImageShape, Loader, LoaderConfig, Sampler, Splits, Subset, Transform, centred, holdout,
    stratified_holdout,
};

use crate::checkpoint::Identity;
use crate::recipe::Recipe;
use crate::{Error, machine};

/// Training and validation images, and how both are normalised.
pub struct Corpus {
    /// What is learnt from.
    pub train: Arc<dyn Dataset>,
    /// What the model is judged by.
    pub valid: Arc<dyn Dataset>,
    /// What the whole run is judged by; the validation images where none are held out.
    pub test: Arc<dyn Dataset>,
    /// Of the images that the network sees.
    shape: ImageShape,
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Corpus {
    /// Opens the data of a recipe. `cache` is the folder of downloaded data sets.
    ///
    /// With `data.holdout`, as many training images, drawn by the seed, are the validation split; without it the test
    /// split is. `data.limit` then keeps that many training images,
    /// evenly spaced over all: folders come class by class. Images are brought to `data.size`, where it is
    /// given, and normalised by `data.mean` and `data.std` or, without these, by those of the data set.
    ///
    /// # Errors
    /// Data that is missing or broken; a holdout that leaves nothing; [`Error::NoImages`]; without `data.size`,
    /// [`Error::NotSquare`] and [`Error::NoSize`]; [`Error::Invalid`] for statistics of another number of channels.
    pub fn open(recipe: &Recipe, cache: &Path) -> Result<Self, Error> {
        let Splits { train, test, mean, std, .. } = mp_data::open(&recipe.data.name, cache)?;
        let (train, valid) = match recipe.data.holdout {
            0 => (train, Arc::clone(&test)),
            count => {
                let split = if recipe.data.stratify { stratified_holdout } else { holdout };
                let (left, held) = split(train, Holdout::Count(count), recipe.train.seed)?;
                (Arc::new(left) as Arc<dyn Dataset>, Arc::new(held) as Arc<dyn Dataset>)
            }
        };
        let train = match recipe.data.limit {
            limit if limit == 0 || limit >= train.len() => train,
            limit => Arc::new(Subset::new(train.name().to_owned(), Arc::clone(&train), evenly(limit, train.len()))?)
                as Arc<dyn Dataset>,
        };
        if train.is_empty() || valid.is_empty() {
            return Err(Error::NoImages { what: recipe.data.name.clone() });
        }
        let shape = shape(&*train, recipe)?;
        let (mean, std) = match &recipe.data {
            data if data.mean.is_empty() => (mean, std),
            data => (data.mean.clone(), data.std.clone()),
        };
        if mean.len() != shape.channels {
            let expected = format!("{} numbers, one per channel", shape.channels);
            return Err(Error::Invalid { key: "data.mean", value: format!("{mean:?}"), expected });
        }
        Ok(Self { train, valid, test, shape, mean, std })
    }

    /// The size of the images that the network sees.
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
            sampler: recipe.data.sampler(),
            drop_last: self.train.len() >= recipe.train.batch_size,
            transforms: recipe.data.augment.transforms(size_of(&*self.train), self.resized(recipe)),
            mix: recipe.train.mix(),
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
        let config = LoaderConfig {
            sampler: Sampler::Sequential,
            drop_last: false,
            transforms: self.middle(&**images, recipe),
            ..self.loader_config(recipe)
        };
        Ok(Loader::new(Arc::clone(images), config)?)
    }

    /// How the images of an evaluation are brought to the network's size.
    fn middle(&self, images: &dyn Dataset, recipe: &Recipe) -> Vec<Transform> {
        let size = self.shape.height;
        if size_of(images) == Some((size, size)) {
            return Vec::new();
        }
        let ratio = match recipe.data.crop {
            0.0 if recipe.data.augment.random_resized_crop.is_some() => 0.875,
            0.0 => 1.0,
            ratio => ratio,
        };
        centred(size, ratio)
    }

    /// The size that training images are brought to; `None` where they have it.
    fn resized(&self, recipe: &Recipe) -> Option<usize> {
        (recipe.data.size > 0).then_some(self.shape.height)
    }

    fn loader_config(&self, recipe: &Recipe) -> LoaderConfig {
        LoaderConfig {
            batch_size: recipe.train.batch_size,
            seed: recipe.train.seed,
            mean: self.mean.clone(),
            std: self.std.clone(),
            damaged: recipe.data.damaged,
            threads: match recipe.data.workers {
                0 => machine::processors(),
                workers => workers,
            },
            prefetch: recipe.data.prefetch,
            ..LoaderConfig::default()
        }
    }
}

/// The size of the images that the network sees: `data.size`, or that of all images.
fn shape(train: &dyn Dataset, recipe: &Recipe) -> Result<ImageShape, Error> {
    let (data, channels) = (recipe.data.name.clone(), train.channels());
    match (recipe.data.size, train.shape()) {
        (0, None) => Err(Error::NoSize { data }),
        (0, Some(ImageShape { height, width, .. })) if height != width => Err(Error::NotSquare { data, height, width }),
        (0, Some(shape)) => Ok(shape),
        (size, _) => Ok(ImageShape { channels, height: size, width: size }),
    }
}

/// `count` of `total` positions, evenly spaced.
fn evenly(count: usize, total: usize) -> Vec<usize> {
    (0..count).map(|k| (k as u128 * total as u128 / count as u128) as usize).collect()
}

/// Height and width, where all images have the same.
fn size_of(images: &dyn Dataset) -> Option<(usize, usize)> {
    images.shape().map(|shape| (shape.height, shape.width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_leaves_no_class_out() {
        // Three classes of four images, one after the other.
        assert_eq!(evenly(6, 12), [0, 2, 4, 6, 8, 10]);
        assert_eq!(evenly(5, 12), [0, 2, 4, 7, 9]);
        assert_eq!(evenly(12, 12), (0..12).collect::<Vec<_>>());
    }
}
