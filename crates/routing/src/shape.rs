//! How many paths a routing layer joins.

use crate::Error;

/// The most paths that a layer may have on either side.
pub const MAX_PATHS: i64 = 8;

/// How many paths a routing layer joins, and how wide they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoutingShape {
    /// Source paths `S`, 1 to [`MAX_PATHS`].
    pub sources: i64,
    /// Target paths `T`, 1 to [`MAX_PATHS`].
    pub targets: i64,
    /// Channels `C` of every source (features, where the sources are dense).
    pub channels: i64,
}

impl RoutingShape {
    /// The shape of a layer that routes `paths` paths into as many.
    pub fn square(paths: i64, channels: i64) -> Self {
        RoutingShape { sources: paths, targets: paths, channels }
    }

    pub(crate) fn check(&self, layer: &str) -> Result<(), Error> {
        for (what, value) in [("sources", self.sources), ("targets", self.targets)] {
            if !(1..=MAX_PATHS).contains(&value) {
                let what = format!("{what} of the routing layer `{layer}`");
                return Err(Error::config(what, format!("1 to {MAX_PATHS} paths"), value));
            }
        }
        at_least_one(layer, "channels", self.channels)
    }
}

pub(crate) fn at_least_one(layer: &str, what: &str, value: i64) -> Result<(), Error> {
    if value >= 1 {
        return Ok(());
    }
    Err(Error::config(format!("{what} of the routing layer `{layer}`"), "at least 1", value))
}

pub(crate) fn above_zero(layer: &str, what: &str, value: f64) -> Result<(), Error> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::config(format!("{what} of the routing layer `{layer}`"), "a finite number above 0", value))
}
