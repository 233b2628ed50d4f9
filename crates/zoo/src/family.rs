//! What a family is, and where those of other crates are added.

use std::sync::{PoisonError, RwLock};

use mp_nn::Params;

use crate::families::TABLE;
use crate::{Error, InputSize, Interface, Knob, Network, Plan, Size};

/// A network by a name, of which wider and multi-path ones are made.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// The base of the models' names: lower-case letters, digits and `_`.
    pub name: &'static str,
    /// What it is, with its source.
    pub summary: &'static str,
    /// The input that it was made for; others are taken where they are large enough.
    pub native: InputSize,
    /// The number that a name may set.
    pub knob: Knob,
    /// How it is made.
    pub make: Make,
}

/// How a network is made.
#[derive(Clone, Copy, Debug)]
pub enum Make {
    /// As a chain of blocks, each with one tensor in and one out: parallel paths and the routing between them are made of
    /// it without more ado (`_xP`, `_xP_cc`, ...).
    Chain(fn(&Size, &Interface) -> Result<Plan, Error>),
    /// By code of its own. Only ensembles (`_eP`) are made of it.
    Whole(fn(&Size, &Interface, &Params) -> Built),
}

type Built = Result<Box<dyn Network>, Error>;

static REGISTERED: RwLock<Vec<&'static Family>> = RwLock::new(Vec::new());

/// Every family: those of this crate, then those that were [registered](register).
pub fn families() -> Vec<&'static Family> {
    let registered = REGISTERED.read().unwrap_or_else(PoisonError::into_inner);
    TABLE.iter().copied().flatten().chain(registered.iter().copied()).collect()
}

/// Adds a family of another crate, so that its names are built, listed and trained as ours are. Call it before anything
/// else is done.
///
/// ```
/// use mp_blocks::{ConvBlockConfig, Pool};
/// use mp_zoo::{Family, InputSize, Knob, Make, Plan};
///
/// static TWO_CONVOLUTIONS: Family = Family {
///     name: "two_convolutions",
///     summary: "two convolutions",
///     native: InputSize { channels: 1, size: 28, classes: 10 },
///     knob: Knob::width(8),
///     make: Make::Chain(|size, interface| {
///         let mut plan = Plan::new(interface);
///         let halve = Pool::Max { kernel: 2, stride: 2, padding: 0 };
///         plan.push("stage1", ConvBlockConfig { pool: halve, ..ConvBlockConfig::new(size.value) })?;
///         plan.push("stage2", ConvBlockConfig::new(2 * size.value))?;
///         Ok(plan)
///     }),
/// };
/// mp_zoo::register(&TWO_CONVOLUTIONS)?;
/// assert!(mp_zoo::models().iter().any(|model| model.name == "two_convolutions_x2_cc"));
/// # Ok::<(), mp_zoo::Error>(())
/// ```
///
/// # Errors
/// A name that is taken or malformed.
pub fn register(family: &'static Family) -> Result<(), Error> {
    let refuse = |problem: &str| Err(Error::Family { name: family.name.to_owned(), problem: problem.to_owned() });
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if family.name.is_empty() || !family.name.bytes().all(plain) {
        return refuse("a name has lower-case letters, digits and `_` only");
    }
    if families().iter().any(|other| other.name == family.name) {
        return refuse("the name is taken");
    }
    REGISTERED.write().unwrap_or_else(PoisonError::into_inner).push(family);
    Ok(())
}
