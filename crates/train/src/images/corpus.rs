//! The images that a recipe trains and validates on.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use mp_data::{
    Centred, Dataset, Format, Ignored, ImageShape, Line, Loader, LoaderConfig, Recoloured, Sampler, Share, Sizes,
    Splits, Subset, Transform, holdout, stratified_holdout,
};

use super::Identity;
use crate::recipe::Recipe;
use crate::split::ValidSplit;
use crate::{Error, machine};

/// Classes that are named where a line says what a data set holds.
const NAMED: usize = 5;

/// The images of a recipe, and how they are normalised.
pub struct Corpus {
    /// What is learnt from.
    pub train: Arc<dyn Dataset>,
    /// What the model is judged by.
    pub valid: Arc<dyn Dataset>,
    /// Which of the data set's images these are.
    pub valid_split: ValidSplit,
    /// The test images of the data set, by which the whole run may be judged; none where it has none.
    pub test: Arc<dyn Dataset>,
    /// How the files are written.
    format: Format,
    /// The validation images of the data set where held-out training images stand for them.
    unused: usize,
    /// Training images that `data.limit` leaves out.
    beyond_limit: usize,
    ignored: Ignored,
    /// Of the images that the network sees.
    shape: ImageShape,
    mean: Vec<f32>,
    std: Vec<f32>,
    /// The share of the shorter side that evaluation shows.
    crop: f64,
}

impl Corpus {
    /// Opens the data of a recipe. `cache` is the folder of downloaded data sets.
    ///
    /// With `data.holdout`, so many training images, drawn by the seed, are the validation split; without it the validation
    /// images of the data set are or, as with the classic benchmarks, its test images where it has no others. `data.limit` then
    /// keeps that many training images, evenly spaced over all: folders come class by class. Images are brought to `data.size` or,
    /// where it is not given, to the size that all have, and normalised by `data.mean` and `data.std` or, without these, by
    /// those of the data set.
    ///
    /// # Errors
    /// Data that is missing or broken; a holdout that leaves nothing; [`Error::NoImages`], [`Error::OneClass`],
    /// [`Error::NoValidation`]; without `data.size`, [`Error::NotSquare`] and [`Error::NoSize`]; [`Error::Invalid`] for
    /// statistics of another number of channels.
    pub fn open(recipe: &Recipe, cache: &Path) -> Result<Self, Error> {
        Self::opened(recipe, mp_data::open(&recipe.data.name, cache)?)
    }

    /// Opens the data of a recipe for a network that is trained: what its checkpoint says of size, channels, normalisation and
    /// crop holds, whatever today's files say. Grey images stand for colour images and the other way round, by the rule of
    /// [`mp_data::recolour`].
    ///
    /// # Errors
    /// As [`Corpus::open`]; [`Error::OtherClasses`]; [`Error::OtherData`] where all images are of another size and the recipe
    /// does not say that they may be resized.
    pub fn open_as(recipe: &Recipe, identity: &Identity, cache: &Path) -> Result<Self, Error> {
        let mut splits = mp_data::open(&recipe.data.name, cache)?;
        for images in [&mut splits.train, &mut splits.valid, &mut splits.test] {
            if images.channels() != identity.channels as usize {
                *images = Arc::new(Recoloured::new(Arc::clone(images), identity.channels as usize)?);
            }
        }
        (splits.mean, splits.std) = (identity.mean.clone(), identity.std.clone());
        // A folder of classes alone, such as the `val` of a larger set: all of it is judged.
        let is_whole = splits.valid.is_empty() && splits.test.is_empty() && recipe.data.holdout.is_none();
        if is_whole {
            splits.valid = Arc::clone(&splits.train);
        }
        let mut recipe = recipe.clone();
        (recipe.data.mean, recipe.data.std) = (Vec::new(), Vec::new());
        if recipe.data.size == 0 && splits.train.shape().is_none() {
            recipe.data.size = identity.size as usize;
        }
        let mut corpus = Self { crop: identity.crop(&recipe), ..Self::opened(&recipe, splits)? };
        if is_whole {
            corpus.valid_split = ValidSplit::All;
        }
        corpus.ensure_fits(identity, &recipe)?;
        Ok(corpus)
    }

    /// The names of the classes of a recipe's data, of which there must be so many.
    ///
    /// # Errors
    /// Data that cannot be opened; [`Error::OtherData`].
    pub fn classes_of(recipe: &Recipe, count: usize, cache: &Path) -> Result<Vec<String>, Error> {
        let data = mp_data::open(&recipe.data.name, cache)?;
        let classes = data.train.classes().to_vec();
        if classes.len() == count {
            return Ok(classes);
        }
        let (found, expected) = (format!("{} classes", classes.len()), format!("{count} classes"));
        Err(Error::OtherData { data: recipe.data.name.clone(), found, expected })
    }

    fn opened(recipe: &Recipe, splits: Splits) -> Result<Self, Error> {
        let Splits { format, train, valid, test, mean, std, ignored, .. } = splits;
        let data = recipe.data.name.clone();
        if let [class] = train.classes() {
            return Err(Error::OneClass { data, class: Line(class).to_string() });
        }
        let unused = if recipe.data.holdout.is_none() { 0 } else { valid.len() };
        let (train, valid, valid_split) = if !recipe.data.holdout.is_none() {
            let split = if recipe.data.stratify { stratified_holdout } else { holdout };
            let (left, held) = split(train, recipe.data.holdout, recipe.train.seed)?;
            (Arc::new(left) as Arc<dyn Dataset>, Arc::new(held) as Arc<dyn Dataset>, ValidSplit::Holdout)
        } else if !valid.is_empty() {
            (train, valid, ValidSplit::Valid)
        } else if !test.is_empty() {
            (train, Arc::clone(&test), ValidSplit::Test)
        } else {
            return Err(Error::NoValidation { data });
        };
        let beyond_limit = match recipe.data.limit {
            0 => 0,
            limit => train.len().saturating_sub(limit),
        };
        let train = match recipe.data.limit {
            limit if limit == 0 || limit >= train.len() => train,
            limit => Arc::new(Subset::new(train.name().to_owned(), Arc::clone(&train), evenly(limit, train.len()))?)
                as Arc<dyn Dataset>,
        };
        if train.is_empty() || valid.is_empty() {
            return Err(Error::NoImages { what: data });
        }
        let shape = shape(&[&*train, &*valid, &*test], recipe)?;
        let (mean, std) = match &recipe.data {
            data if data.mean.is_empty() => (mean, std),
            data => (data.mean.clone(), data.std.clone()),
        };
        if mean.len() != shape.channels {
            let expected = format!("{} numbers, one per channel", shape.channels);
            return Err(Error::Invalid { key: "data.mean", value: format!("{mean:?}"), expected });
        }
        Ok(Self {
            train,
            valid,
            valid_split,
            test,
            format,
            unused,
            beyond_limit,
            ignored,
            shape,
            mean,
            std,
            crop: recipe.data.crop_share(),
        })
    }

    /// What was understood, in a line or two: format, classes, images of each split, what validates, what is not used.
    pub fn description(&self, data: &str) -> String {
        let classes = self.train.classes();
        let names: Vec<_> = classes.iter().take(NAMED).map(|class| Line(class).to_string()).collect();
        let more = if classes.len() > NAMED { ", ..." } else { "" };
        let valid = self.valid.len();
        let validation = match self.valid_split {
            ValidSplit::Holdout => format!("{valid} of them held out for validation"),
            ValidSplit::Valid => format!("{valid} validation images"),
            ValidSplit::Test => format!("validated on the {valid} test images"),
            ValidSplit::All => "all of them judged".to_owned(),
        };
        let train = match self.valid_split {
            ValidSplit::Holdout => self.train.len() + self.beyond_limit + valid,
            _ => self.train.len() + self.beyond_limit,
        };
        let test = match self.test.len() {
            0 => ", no test images".to_owned(),
            _ if self.valid_split == ValidSplit::Test => String::new(),
            test => format!(", {test} test images"),
        };
        let mut text = format!(
            "{}: {}, {} classes ({}{more}), {train} training images, {validation}{test}",
            Line(data),
            self.format,
            classes.len(),
            names.join(", "),
        );
        let mut left = Vec::new();
        if self.beyond_limit > 0 {
            left.push(format!("{} training images beyond data.limit", self.beyond_limit));
        }
        if self.unused > 0 {
            left.push(format!("{} validation images, in whose place data.holdout stands", self.unused));
        }
        if !self.ignored.is_empty() {
            left.push(self.ignored.to_string());
        }
        if !left.is_empty() {
            text += &format!("\nnot used: {}", left.join(", "));
        }
        text
    }

    /// Opens the data of a run again, normalised as the network of `identity` learnt it: training images that were added
    /// since, or others in their place, change neither mean nor deviation.
    ///
    /// # Errors
    /// As [`Corpus::open`]; [`Error::DataGone`] where the data is no longer where the recipe says.
    pub fn of_run(recipe: &Recipe, cache: &Path, identity: &Identity) -> Result<Self, Error> {
        ensure_there(recipe)?;
        let mut corpus = Self::open(recipe, cache)?;
        if corpus.mean.len() == identity.mean.len() {
            (corpus.mean, corpus.std) = (identity.mean.clone(), identity.std.clone());
        }
        corpus.crop = identity.crop(recipe);
        Ok(corpus)
    }

    /// Steps of the optimiser in each epoch.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn steps_per_epoch(&self, recipe: &Recipe) -> Result<u64, Error> {
        Ok(recipe.train.steps(self.train_loader(recipe)?.batches_per_epoch()))
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
            crop: Some(self.crop),
        }
    }

    /// The weight of each class in the loss, empty where all count alike.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a list of another length than there are classes, and for balanced weights where a class has no
    /// training image.
    pub fn class_weights(&self, recipe: &Recipe) -> Result<Vec<f64>, Error> {
        let labels = (0..self.train.len()).map(|index| self.train.label(index));
        recipe.train.class_weights.resolve(self.train.classes(), labels)
    }

    /// Fails unless a network of `identity` can be judged by these images.
    ///
    /// # Errors
    /// [`Error::OtherData`] where channels or size differ, [`Error::OtherClasses`] with the classes that do.
    pub fn ensure_fits(&self, identity: &Identity, recipe: &Recipe) -> Result<(), Error> {
        let here = self.identity(recipe);
        let data = recipe.data.name.clone();
        if (here.size, here.channels) != (identity.size, identity.channels) {
            let describe = |of: &Identity| format!("{0}x{0}x{1}", of.size, of.channels);
            return Err(Error::OtherData { data, found: describe(&here), expected: describe(identity) });
        }
        match difference(&here.classes, &identity.classes) {
            None => Ok(()),
            Some(difference) => Err(Error::OtherClasses { data, difference }),
        }
    }

    /// Shuffled, augmented batches of the training images. A last part of a batch is dropped where there is a whole one:
    /// a batch of a few images would have poor statistics.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn train_loader(&self, recipe: &Recipe) -> Result<Loader, Error> {
        self.train_part(recipe, Share::default())
    }

    /// The same, of the part that falls to one of several processes: of every batch an equal part, so that together they serve the
    /// batches of a process by itself (of files, `data.sampler = "shards"`, each has its own).
    ///
    /// # Errors
    /// As [`Loader::new`]; [`Error::Invalid`] where a batch cannot be shared out equally.
    pub fn train_part(&self, recipe: &Recipe, share: Share) -> Result<Loader, Error> {
        let (batch, images) = (recipe.train.batch_size, self.train.len());
        let refuse = |expected: String| Error::Invalid { key: "train.batch_size", value: batch.to_string(), expected };
        if !batch.is_multiple_of(share.world) {
            return Err(refuse(format!("a multiple of {}, the processes that share a batch out equally", share.world)));
        }
        if share.world > 1 && images < batch {
            return Err(refuse(format!(
                "at most {images}, the training images, which {} processes share out",
                share.world
            )));
        }
        let config = LoaderConfig {
            batch_size: batch / share.world,
            share,
            sampler: recipe.data.sampler(),
            drop_last: images >= batch,
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

    /// The part of them that falls to one of several processes; where there are fewer images than processes, each has all of them.
    ///
    /// # Errors
    /// As [`Loader::new`].
    pub fn valid_part(&self, recipe: &Recipe, share: Share) -> Result<Loader, Error> {
        let share = if self.valid.len() < share.world { Share::default() } else { share };
        self.plain_part(&self.valid, recipe, share)
    }

    /// The test images in their order, unchanged.
    ///
    /// # Errors
    /// [`Error::NoTest`] where the data set has none; as [`Loader::new`].
    pub fn test_loader(&self, recipe: &Recipe) -> Result<Loader, Error> {
        if self.test.is_empty() {
            return Err(Error::NoTest { data: recipe.data.name.clone(), valid: self.valid_split });
        }
        self.plain_loader(&self.test, recipe)
    }

    fn plain_loader(&self, images: &Arc<dyn Dataset>, recipe: &Recipe) -> Result<Loader, Error> {
        self.plain_part(images, recipe, Share::default())
    }

    fn plain_part(&self, images: &Arc<dyn Dataset>, recipe: &Recipe, share: Share) -> Result<Loader, Error> {
        let config = LoaderConfig {
            batch_size: recipe.train.batch_size.div_ceil(share.world),
            share,
            sampler: Sampler::Sequential,
            drop_last: false,
            transforms: judging(self.shape, self.crop),
            ..self.loader_config(recipe)
        };
        Ok(Loader::new(Arc::clone(images), config)?)
    }

    /// The size that training images are brought to; `None` where they are known to have it.
    fn resized(&self, recipe: &Recipe) -> Option<usize> {
        (recipe.data.size > 0 || self.train.shape().is_none()).then_some(self.shape.height)
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

/// Fails where the data of a run is no longer in its place.
///
/// # Errors
/// [`Error::DataGone`].
pub(crate) fn ensure_there(recipe: &Recipe) -> Result<(), Error> {
    let name = &recipe.data.name;
    if mp_data::Manifest::find(name).is_ok() || Path::new(name).exists() {
        return Ok(());
    }
    Err(Error::DataGone { path: name.into() })
}

/// What is done to an image before a network judges it, wherever the image is read: one of the network's size is taken as it
/// is, of any other the middle is resized.
pub(crate) fn judging(shape: ImageShape, crop: f64) -> Vec<Transform> {
    vec![Transform::Centred(Centred { size: shape.height, share: crop })]
}

/// The size of the images that the network sees: `data.size`, or that of all images.
fn shape(parts: &[&dyn Dataset; 3], recipe: &Recipe) -> Result<ImageShape, Error> {
    let (data, channels) = (recipe.data.name.clone(), parts[0].channels());
    if recipe.data.size > 0 {
        return Ok(ImageShape { channels, height: recipe.data.size, width: recipe.data.size });
    }
    let found = match parts[0].shape() {
        Some(shape) => Sizes::One(shape),
        None => Sizes::of(parts),
    };
    match found {
        Sizes::One(ImageShape { height, width, .. }) if height != width => {
            Err(Error::NotSquare { data, height, width })
        }
        Sizes::One(shape) => Ok(shape),
        Sizes::Several(one, other) => {
            let of = |shape: ImageShape| format!("{}x{}", shape.height, shape.width);
            Err(Error::NoSize { data, found: format!("of several sizes ({}, {}, ...)", of(one), of(other)) })
        }
        Sizes::Unknown => Err(Error::NoSize { data, found: "that cannot be read".to_owned() }),
    }
}

/// Which classes are here and not there, and the other way round; `None` where all are the same, in the same order.
fn difference(here: &[String], there: &[String]) -> Option<String> {
    if here == there {
        return None;
    }
    let list = |of: &[String], but: &[String]| -> Option<String> {
        let known: HashSet<&String> = but.iter().collect();
        let only: Vec<_> = of.iter().filter(|class| !known.contains(class)).collect();
        let names: Vec<_> = only.iter().take(NAMED).map(|class| format!("`{}`", Line(class))).collect();
        let more = if only.len() > NAMED { format!(" and {} more", only.len() - NAMED) } else { String::new() };
        (!only.is_empty()).then(|| names.join(", ") + &more)
    };
    Some(match (list(here, there), list(there, here)) {
        (Some(new), Some(gone)) => format!("{new} in place of {gone}"),
        (Some(new), None) => format!("{new} beside the {} it knows", there.len()),
        (None, Some(gone)) => format!("no {gone}"),
        (None, None) => "the same ones in another order".to_owned(),
    })
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
    fn classes_that_differ_are_named() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let difference = |here: &[&str], there: &[&str]| difference(&names(here), &names(there));
        assert_eq!(difference(&["cat", "dog"], &["cat", "dog"]), None);
        assert_eq!(difference(&["cat", "wolf"], &["cat", "dog"]).unwrap(), "`wolf` in place of `dog`");
        assert_eq!(difference(&["cat", "dog", "eel"], &["cat", "dog"]).unwrap(), "`eel` beside the 2 it knows");
        assert_eq!(difference(&["dog"], &["cat", "dog"]).unwrap(), "no `cat`");
        assert_eq!(difference(&["dog", "cat"], &["cat", "dog"]).unwrap(), "the same ones in another order");
        let many: Vec<String> = (0..9).map(|class| format!("c{class}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(difference(&["a"], &many).unwrap(), "`a` in place of `c0`, `c1`, `c2`, `c3`, `c4` and 4 more");
    }

    #[test]
    fn a_limit_leaves_no_class_out() {
        // Three classes of four images, one after the other.
        assert_eq!(evenly(6, 12), [0, 2, 4, 6, 8, 10]);
        assert_eq!(evenly(5, 12), [0, 2, 4, 7, 9]);
        assert_eq!(evenly(12, 12), (0..12).collect::<Vec<_>>());
    }
}
