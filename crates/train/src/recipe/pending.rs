//! Stands in for configurations of other crates.

use serde::{Deserialize, Serialize};

/// Random changes to each training image.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AugmentConfig {
    /// Pixels added on each side before a crop of the original size.
    pub pad: usize,
    /// Mirrors every second image.
    pub flip: bool,
    /// Side of the square that is blanked; 0: none.
    pub cutout: usize,
}

/// Where and how paths exchange features.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoutingConfig {}

/// Weights of the auxiliary losses on the gates.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoutingLossConfig {}
