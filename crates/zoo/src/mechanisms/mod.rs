//! What flows between parallel paths, one mechanism a file, and the table that registers them.

mod blind;
mod cross_connection;
mod cross_prediction;
mod stitch;

use std::fmt;
use std::sync::{PoisonError, RwLock};

use mp_blocks::CrossingConfig;
use mp_routing::{Form, MixerConfig, SharedRouter};

use crate::{Error, Plan};

/// What flows between parallel paths, with the ending of the names of models that have it.
pub struct Mechanism {
    /// The ending, without its `_`.
    pub suffix: &'static str,
    /// What it is, in a few words.
    pub summary: &'static str,
    /// Where its weights come from, given what the routing's settings say.
    pub mixer: fn(&MixerConfig) -> SharedRouter,
    /// What stands before a layer.
    pub crossing: fn(SharedRouter, Form) -> CrossingConfig,
}

/// The mechanisms of this crate, in the order in which they are listed.
static TABLE: &[Mechanism] =
    &[cross_connection::MECHANISM, cross_prediction::MECHANISM, stitch::MECHANISM, blind::MECHANISM];

static REGISTERED: RwLock<Vec<&'static Mechanism>> = RwLock::new(Vec::new());

/// Every mechanism: those of this crate, then those that were [registered](register_mechanism).
pub fn mechanisms() -> Vec<&'static Mechanism> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    TABLE.iter().chain(registered.iter().copied()).collect()
}

/// Adds a mechanism of another crate, such as one with a [router](mp_routing::RouterConfig) of its own: every chain then has
/// a form by its ending. Call it before anything else is done.
///
/// # Errors
/// An ending that is taken or malformed.
pub fn register_mechanism(mechanism: &'static Mechanism) -> Result<(), Error> {
    let suffix = mechanism.suffix;
    let refuse =
        |problem: &str| Err(Error::Register { what: format!("mechanism `_{suffix}`"), problem: problem.to_owned() });
    if suffix.is_empty() || !suffix.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return refuse("an ending has lower-case letters only");
    }
    if Mechanism::of(suffix).is_some() {
        return refuse("the ending is taken");
    }
    REGISTERED.write().unwrap_or_else(PoisonError::into_inner).push(mechanism);
    Ok(())
}

impl Mechanism {
    /// Whether a chain has what the mechanism needs where stages begin: a cross-prediction needs blocks with a single first
    /// layer, for which it stands.
    pub fn fits(&self, plan: &Plan) -> bool {
        let crossing = (self.crossing)(MixerConfig::IDENTITY.into(), Form::Auto);
        let mut entered = plan.blocks.iter().skip(1).filter(|planned| planned.index == 0);
        !matches!(crossing, CrossingConfig::Prediction(..)) || entered.all(|p| p.block.crossable().is_some())
    }

    /// The mechanism of an ending.
    pub fn of(suffix: &str) -> Option<&'static Mechanism> {
        mechanisms().into_iter().find(|mechanism| mechanism.suffix == suffix)
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
