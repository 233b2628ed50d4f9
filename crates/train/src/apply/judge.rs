//! A trained network before the images that it is judged by.

use std::path::Path;
use std::sync::Arc;

use mp_data::{Dataset, Loader};
use tch::Device;

use super::Trained;
use crate::Error;
use crate::checkpoint::Which;
use crate::evaluate::{Each, Evaluation, RouteWorth, Routes, Subject};
use crate::folder::RunFolder;
use crate::images::{Corpus, ensure_there};
use crate::recipe::{Recipe, Spec};
use crate::split::{Split, ValidSplit};
use crate::weights::WeightFile;

/// Evaluates a checkpoint of a run on images of the run's data set, and says which they are; `cache` is the folder of downloaded
/// data sets.
///
/// # Errors
/// As [`Judge::of_run`] and [`Judge::evaluate`].
pub fn of_run(
    folder: &RunFolder,
    which: Which,
    split: Split,
    cache: &Path,
    device: Device,
) -> Result<(ValidSplit, Evaluation), Error> {
    let judge = Judge::of_run(folder, which, None, cache, device)?;
    Ok((judge.images_of(split), judge.evaluate(split, None)?))
}

/// A trained network and the images that it is judged by.
pub struct Judge {
    /// The network.
    pub trained: Trained,
    /// The images.
    pub corpus: Corpus,
    recipe: Recipe,
}

impl Judge {
    /// A checkpoint of a run on the run's data set or, with `data`, on another place of it.
    ///
    /// # Errors
    /// As [`Trained::of_run`]; data that is missing, or of other classes than the run's.
    pub fn of_run(
        folder: &RunFolder,
        which: Which,
        data: Option<&str>,
        cache: &Path,
        device: Device,
    ) -> Result<Self, Error> {
        Self::of_trained(Trained::of_run(folder, which, device)?, folder, data, cache)
    }

    /// A network of the run in `folder`, on the run's data set or, with `data`, on another place of it.
    ///
    /// # Errors
    /// Data that is missing, or of other classes than the run's.
    pub fn of_trained(trained: Trained, folder: &RunFolder, data: Option<&str>, cache: &Path) -> Result<Self, Error> {
        // Which images were held out, and how they are shown, is what the run was trained under; only their place may be another.
        let today = folder.recipe()?;
        let mut recipe = trained.recipe.clone().unwrap_or_else(|| today.clone());
        recipe.data.name = data.map_or(today.data.name, str::to_owned);
        ensure_there(&recipe)?;
        let corpus = Corpus::open_as(&recipe, &trained.identity, cache)?;
        Ok(Self { trained, corpus, recipe })
    }

    /// The network `model` with the weights of `file` on a data set. Plain weights say nothing of their classes: they get the
    /// names of the data set's.
    ///
    /// # Errors
    /// As [`Trained::of_weights`]; data that is missing, or of other classes.
    pub fn of_weights(
        model: &Spec,
        file: &WeightFile,
        data: &str,
        cache: &Path,
        device: Device,
    ) -> Result<Self, Error> {
        let mut recipe = Recipe::default();
        model.name.clone_into(&mut recipe.model.name);
        data.clone_into(&mut recipe.data.name);
        let mut trained = Trained::of_weights(model, file, device)?;
        recipe.data.size = trained.identity.size as usize;
        if !trained.names_classes {
            trained.identity.classes = Corpus::classes_of(&recipe, trained.identity.classes.len(), cache)?;
        }
        let corpus = Corpus::open_as(&recipe, &trained.identity, cache)?;
        Ok(Self { trained, corpus, recipe })
    }

    /// The data set's name, as asked for.
    pub fn data(&self) -> &str {
        &self.recipe.data.name
    }

    /// The images of a split.
    pub fn dataset(&self, split: Split) -> &Arc<dyn Dataset> {
        match split {
            Split::Valid => &self.corpus.valid,
            Split::Test => &self.corpus.test,
        }
    }

    /// Which of the data set's images those of a split are.
    pub fn images_of(&self, split: Split) -> ValidSplit {
        match split {
            Split::Valid => self.corpus.valid_split,
            Split::Test => ValidSplit::Test,
        }
    }

    /// Judges the network by one of the splits.
    ///
    /// # Errors
    /// As [`evaluate`](crate::evaluate::evaluate); [`Error::OtherHoldout`].
    pub fn evaluate(&self, split: Split, each: Each<'_>) -> Result<Evaluation, Error> {
        self.evaluate_with_routes(split, Routes::Own, each)
    }

    /// Judges the network by one of the splits, with these routes in place of its own.
    ///
    /// # Errors
    /// As [`Subject::evaluate_with_routes`]; [`Error::OtherHoldout`].
    pub fn evaluate_with_routes(&self, split: Split, routes: Routes, each: Each<'_>) -> Result<Evaluation, Error> {
        self.subject(&self.loader(split)?).evaluate_with_routes(routes, each)
    }

    /// The accuracy on one of the splits under each of the routes; `seed` decides which image gets whose where they are
    /// shuffled.
    ///
    /// # Errors
    /// As [`Judge::evaluate_with_routes`].
    pub fn worth_of_routes(&self, split: Split, seed: u64) -> Result<RouteWorth, Error> {
        self.subject(&self.loader(split)?).worth_of_routes(seed)
    }

    fn subject<'a>(&'a self, loader: &'a Loader) -> Subject<'a> {
        let Trained { identity, model, precision, .. } = &self.trained;
        let (classes, device) = (identity.classes.len(), self.trained.device());
        Subject { model, loader, classes, precision: *precision, device }
    }

    pub(super) fn loader(&self, split: Split) -> Result<Loader, Error> {
        match split {
            Split::Valid => {
                self.ensure_held_out()?;
                self.corpus.valid_loader(&self.recipe)
            }
            Split::Test => self.corpus.test_loader(&self.recipe),
        }
    }

    /// The draw of a holdout depends on all images: with others, some that were learnt from would be judged.
    fn ensure_held_out(&self) -> Result<(), Error> {
        let (ValidSplit::Holdout, Some(origin)) = (self.corpus.valid_split, &self.trained.origin) else {
            return Ok(());
        };
        let held = &self.corpus.valid;
        if (held.len(), held.fingerprint()?) == (origin.valid.images, origin.valid.fingerprint.clone()) {
            return Ok(());
        }
        Err(Error::OtherHoldout { data: self.recipe.data.name.clone() })
    }
}
