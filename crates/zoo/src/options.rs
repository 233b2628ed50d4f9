//! What a model's name leaves open: its input, its classes, how it routes, and what it drops in training.

use std::collections::BTreeMap;

use mp_blocks::Execution;
use mp_routing::{Form, Merge, MixerConfig, Split};
use serde::{Deserialize, Serialize};

use crate::{Drops, Interface};

/// What a model's name leaves open.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOptions {
    /// Its images and what it tells of them.
    pub interface: Interface,
    /// How it routes; ignored by models without routing.
    pub routing: RoutingConfig,
    /// What it drops at random while it trains.
    pub drops: Drops,
}

impl ModelOptions {
    /// Default routing for the given images and classes.
    pub fn new(interface: impl Into<Interface>) -> Self {
        ModelOptions::routed(interface, RoutingConfig::default())
    }

    /// The given routing for the given images and classes.
    pub fn routed(interface: impl Into<Interface>, routing: RoutingConfig) -> Self {
        ModelOptions { interface: interface.into(), routing, drops: Drops::default() }
    }
}

/// How a routed model (`_cc`, `_cp`, `_stitch`, `_blind`) routes. Only `merge` and `execution` also concern paths without routing
/// (`_xP`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoutingConfig {
    /// Before which blocks features cross between the paths.
    pub positions: Positions,
    /// How the image becomes the paths' inputs.
    pub split: Split,
    /// How the paths' logits become the network's.
    pub merge: Merge,
    /// How a cross-prediction is computed; both ways give the same numbers.
    pub form: Form,
    /// How the paths' entry convolutions are computed, by the position of their block; separately where nothing stands here.
    pub execution: BTreeMap<String, Execution>,
    /// Where the mixing weights come from. `_stitch` always mixes by learned weights and `_blind` by gates, whatever stands here.
    pub mixer: MixerConfig,
}

/// Before which blocks features cross between the paths: `"stages"`, `"blocks"`, or a list such as
/// `["stage2", "stage3.1"]`. Before the very first block there is one image and nothing to cross.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Positions {
    /// Before the first block of every stage.
    #[default]
    Stages,
    /// Before every block.
    Blocks,
    /// Before the named blocks; the first block of a stage goes by the stage's name.
    List(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PositionsForm {
    Word(String),
    List(Vec<String>),
}

impl<'de> Deserialize<'de> for Positions {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const EXPECTED: &str = "expected \"stages\", \"blocks\" or a list of positions such as [\"stage2\"]";
        match PositionsForm::deserialize(deserializer) {
            Ok(PositionsForm::Word(word)) if word == "stages" => Ok(Positions::Stages),
            Ok(PositionsForm::Word(word)) if word == "blocks" => Ok(Positions::Blocks),
            Ok(PositionsForm::List(names)) => Ok(Positions::List(names)),
            Ok(PositionsForm::Word(word)) => Err(serde::de::Error::custom(format!("`{word}`: {EXPECTED}"))),
            Err(_) => Err(serde::de::Error::custom(EXPECTED)),
        }
    }
}

impl Serialize for Positions {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Positions::Stages => serializer.serialize_str("stages"),
            Positions::Blocks => serializer.serialize_str("blocks"),
            Positions::List(names) => names.serialize(serializer),
        }
    }
}
