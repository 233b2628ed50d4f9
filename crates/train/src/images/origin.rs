//! What a run was made of.

use mp_data::Dataset;
use serde::{Deserialize, Serialize};

use super::Corpus;
use crate::{Error, Recipe};

/// What a run was made of, beside its model: what must not change in silence while it goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The complete recipe, as TOML.
    pub recipe: String,
    /// Steps of the optimiser in each epoch.
    pub steps_per_epoch: u64,
    /// The images that are learnt from.
    pub train: Part,
    /// The images that the model is judged by.
    pub valid: Part,
    /// The images that the whole run is judged by; none where the data has no such images.
    pub test: Part,
}

/// Some images, as far as they can be told from others without being read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// How many.
    pub images: usize,
    /// Of their names, labels and sizes: see [`Dataset::fingerprint`].
    pub fingerprint: String,
}

impl Origin {
    /// What a run of `recipe` on these images is made of.
    ///
    /// # Errors
    /// A recipe without a TOML form; images that cannot be listed.
    pub fn of(recipe: &Recipe, corpus: &Corpus, steps_per_epoch: u64) -> Result<Self, Error> {
        Ok(Self {
            recipe: recipe.to_toml()?,
            steps_per_epoch,
            train: Part::of(&*corpus.train)?,
            valid: Part::of(&*corpus.valid)?,
            test: Part::of(&*corpus.test)?,
        })
    }
}

impl Origin {
    /// The images, a line each for those that are learnt from, judged by and tested on.
    pub(crate) fn images(&self) -> String {
        let line = |(name, part): (&str, &Part)| format!("{} {name} images {}", part.images, part.fingerprint);
        [("training", &self.train), ("validation", &self.valid), ("test", &self.test)].map(line).join("\n")
    }
}

impl Part {
    fn of(images: &dyn Dataset) -> Result<Self, Error> {
        Ok(Self { images: images.len(), fingerprint: images.fingerprint()? })
    }
}
