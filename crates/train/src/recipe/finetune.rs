//! What of a network stays as it is, and what learns faster or slower than the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

/// `[finetune]` of a recipe. Patterns are of names of parameters, or of places, which stand for all below them: `fc`,
/// `layer1.*`, `*.bn?`. `*` stands for any characters, dots among them, and `?` for one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FinetuneConfig {
    /// What is not trained: patterns. A batch norm whose scale is frozen keeps its running statistics too, and applies them.
    pub freeze: Vec<String>,
    /// What the learning rate is multiplied with for each block, once for each that comes after it; 1: nothing.
    pub decay_by_depth: f64,
    /// Factors of the learning rate by pattern. Where several match a name, all of their factors count.
    pub rates: BTreeMap<String, f64>,
    /// What weight decay and `optimiser.max_norm` leave alone, as they do biases: patterns.
    pub no_decay: Vec<String>,
}

impl Default for FinetuneConfig {
    fn default() -> Self {
        Self { freeze: Vec::new(), decay_by_depth: 1.0, rates: BTreeMap::new(), no_decay: Vec::new() }
    }
}

impl FinetuneConfig {
    /// Fails for a factor out of range. Whether patterns match is known only with the network.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub(super) fn check(&self) -> Result<(), Error> {
        let fits = |rate: &f64| (1e-6..=1e6).contains(rate);
        let Some((pattern, rate)) = self.rates.iter().find(|(_, rate)| !fits(rate)) else { return Ok(()) };
        Err(Error::Invalid {
            key: "finetune.rates",
            value: format!("{rate} for `{pattern}`"),
            expected: "a factor, 1e-6 to 1000000; finetune.freeze is for what does not learn".to_owned(),
        })
    }
}
