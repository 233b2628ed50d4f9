//! What a model costs.

use mp_nn::Store;
use serde::{Deserialize, Serialize};

use crate::{Error, Model, ModelOptions, build};

/// Multiply-adds of one image, whatever it shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Those of an image that runs everything: convolutions, dense layers, gates and mixing.
    pub multiply_adds: u64,
    /// Those of them that run for every image, whatever it chooses: all of them where nothing is chosen.
    pub always: u64,
    /// Those of an image that makes the cheapest choice everywhere.
    pub least: u64,
    /// Whether there are layers that images skip, so that a threshold decides how many they are.
    pub skips: bool,
}

/// Numbers that depend neither on the machine nor on the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Numbers that are trained.
    pub parameters: u64,
    /// Multiply-adds of one image that runs everything: convolutions, dense layers, gates and mixing.
    pub multiply_adds: u64,
    /// Those of them that run for every image: see [`Work::always`].
    pub always: u64,
}

/// The cost of a model whose parameters are those of `store`.
pub fn cost(store: &Store, model: &Model) -> Cost {
    let Work { multiply_adds, always, .. } = model.work();
    Cost { parameters: store.parameter_count(), multiply_adds, always }
}

/// The cost of the model of a name, without drawing its starting values.
///
/// # Errors
/// As [`build`].
pub fn cost_of(name: &str, options: &ModelOptions) -> Result<Cost, Error> {
    let store = Store::for_counting();
    let model = build(name, options, &store.root())?;
    Ok(cost(&store, &model))
}
