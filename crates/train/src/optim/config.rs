//! The table of optimisers, as recipes name them.

use mp_nn::Entry;
use serde::{Deserialize, Serialize};
use toml::Table;

use super::{AdamConfig, AdamWConfig, Grouped, LambConfig, LionConfig, MaxNorm, Optimiser, RmsPropConfig, SgdConfig};
use crate::Error;
use crate::choice::{self, Choice};

/// The settings of one rule; each rule has them in its own file.
pub(super) trait Settings {
    /// The learning rate where a recipe gives none.
    const LR: f64;

    /// The rule, at its start.
    fn build(&self, parameters: Vec<Entry>) -> Box<dyn Optimiser>;

    /// Fails where settings do not fit each other.
    fn check(&self) -> Result<(), Error> {
        Ok(())
    }
}

macro_rules! rules {
    ($($(#[$about:meta])* $rule:ident($config:ty) = $name:literal,)*) => {
        /// A rule that moves parameters along their gradients, with its settings.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "name")]
        pub enum RuleConfig {
            $($(#[$about])* #[serde(rename = $name)] $rule($config),)*
        }

        impl RuleConfig {
            /// The names of all rules, the default first.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            fn lr(&self) -> f64 {
                match self {
                    $(Self::$rule(_) => <$config as Settings>::LR,)*
                }
            }

            fn settings(&self) -> &dyn SettingsOfAny {
                match self {
                    $(Self::$rule(config) => config,)*
                }
            }
        }
    };
}

rules! {
    /// Stochastic gradient descent with momentum.
    Sgd(SgdConfig) = "sgd",
    /// Adam with decoupled weight decay.
    AdamW(AdamWConfig) = "adamw",
    /// Adam.
    Adam(AdamConfig) = "adam",
    /// Division by the running root mean square.
    RmsProp(RmsPropConfig) = "rmsprop",
    /// Adam with steps as long as the weights.
    Lamb(LambConfig) = "lamb",
    /// The sign of the momentum.
    Lion(LionConfig) = "lion",
}

/// [`Settings`] of whichever rule.
trait SettingsOfAny {
    fn build(&self, parameters: Vec<Entry>) -> Box<dyn Optimiser>;
    fn check(&self) -> Result<(), Error>;
}

impl<S: Settings> SettingsOfAny for S {
    fn build(&self, parameters: Vec<Entry>) -> Box<dyn Optimiser> {
        Settings::build(self, parameters)
    }

    fn check(&self) -> Result<(), Error> {
        Settings::check(self)
    }
}

impl Choice for RuleConfig {
    const NAMES: &'static [&'static str] = Self::NAMES;
    const ONCE_COMPLETE: &'static [&'static str] =
        &["name", "lr", "momentum", "nesterov", "weight_decay", "betas", "eps"];
}

/// How gradients move parameters: `[optimiser]` of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table")]
pub struct OptimiserConfig {
    /// The rule.
    #[serde(flatten)]
    pub rule: RuleConfig,
    /// The learning rate after the warm-up; where none is given, it depends on the rule.
    pub lr: f64,
    /// The greatest norm of the weights of one output of a layer: see [`MaxNorm`]; 0: no limit.
    pub max_norm: f64,
}

impl OptimiserConfig {
    /// The keys that all rules have.
    pub(crate) const COMMON: &'static [&'static str] = &["lr", "max_norm"];

    /// Fails where settings do not fit each other.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check(&self) -> Result<(), Error> {
        self.rule.settings().check()
    }
}

impl From<RuleConfig> for OptimiserConfig {
    fn from(rule: RuleConfig) -> Self {
        Self { lr: rule.lr(), rule, max_norm: 0.0 }
    }
}

impl Default for OptimiserConfig {
    fn default() -> Self {
        RuleConfig::Sgd(SgdConfig::default()).into()
    }
}

#[derive(Deserialize)]
struct Common {
    lr: Option<f64>,
    max_norm: Option<f64>,
}

impl TryFrom<Table> for OptimiserConfig {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let found = Self::from(choice::read::<RuleConfig>(&table, Self::COMMON)?);
        let common: Common = table.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
        Ok(Self { lr: common.lr.unwrap_or(found.lr), max_norm: common.max_norm.unwrap_or(found.max_norm), ..found })
    }
}

/// The optimiser of a recipe, at its start, with parameters that each learn at a multiple of its rate.
pub fn build_at_rates(config: &OptimiserConfig, parameters: Vec<(Entry, f64)>) -> Box<dyn Optimiser> {
    let mut groups: Vec<(f64, Vec<Entry>)> = Vec::new();
    for (entry, factor) in parameters {
        match groups.iter_mut().find(|(of_group, _)| *of_group == factor) {
            Some((_, group)) => group.push(entry),
            None => groups.push((factor, vec![entry])),
        }
    }
    // Most recipes ask for one rate: one pass over all parameters then makes a step.
    if groups.iter().all(|(factor, _)| *factor == 1.0) {
        return build(config, groups.into_iter().flat_map(|(_, group)| group).collect());
    }
    Box::new(Grouped::new(groups.into_iter().map(|(factor, group)| (factor, build(config, group))).collect()))
}

/// The optimiser of a recipe, at its start.
pub fn build(config: &OptimiserConfig, parameters: Vec<Entry>) -> Box<dyn Optimiser> {
    if config.max_norm == 0.0 {
        return config.rule.settings().build(parameters);
    }
    let same =
        |entry: &Entry| Entry { name: entry.name.clone(), tensor: entry.tensor.shallow_clone(), role: entry.role };
    let rule = config.rule.settings().build(parameters.iter().map(same).collect());
    Box::new(MaxNorm::new(rule, &parameters, config.max_norm))
}
