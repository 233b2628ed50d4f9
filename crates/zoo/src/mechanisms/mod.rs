//! What flows between parallel paths, one mechanism a file, and the table that registers them.

mod cross_connection;
mod cross_prediction;
mod stitch;

use std::fmt;

use mp_blocks::CrossingConfig;
use mp_routing::{Form, MixerConfig, SharedRouter};

/// What flows between parallel paths, with the ending of the names of models that have it.
pub struct Mechanism {
    /// The ending, without its `_`.
    pub suffix: &'static str,
    /// What it is, in a few words.
    pub summary: &'static str,
    /// Where its weights come from, given what the routing's settings say.
    mixer: fn(&MixerConfig) -> MixerConfig,
    /// What stands before a layer.
    crossing: fn(SharedRouter, Form) -> CrossingConfig,
}

/// Every mechanism, in the order in which they are listed.
pub static MECHANISMS: &[Mechanism] = &[cross_connection::MECHANISM, cross_prediction::MECHANISM, stitch::MECHANISM];

impl Mechanism {
    /// The mechanism of an ending.
    pub fn of(suffix: &str) -> Option<&'static Mechanism> {
        MECHANISMS.iter().find(|mechanism| mechanism.suffix == suffix)
    }

    pub(crate) fn mixer(&self, configured: &MixerConfig) -> MixerConfig {
        (self.mixer)(configured)
    }

    pub(crate) fn crossing(&self, mixer: SharedRouter, form: Form) -> CrossingConfig {
        (self.crossing)(mixer, form)
    }
}

impl PartialEq for Mechanism {
    fn eq(&self, other: &Self) -> bool {
        self.suffix == other.suffix
    }
}

impl Eq for Mechanism {}

impl fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "_{}", self.suffix)
    }
}
