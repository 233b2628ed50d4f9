//! The shape of what flows through a network, without the batch.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Error;

/// The shape of one image's features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A map `[C, H, W]`.
    Map {
        /// Channels.
        channels: i64,
        /// Height.
        height: i64,
        /// Width.
        width: i64,
    },
    /// A vector `[C]`.
    Vector(i64),
    /// A sequence `[count, C]`.
    Tokens {
        /// How many.
        count: i64,
        /// Features of each.
        channels: i64,
    },
}

impl Shape {
    /// A square map.
    pub fn square(channels: i64, size: i64) -> Self {
        Shape::Map { channels, height: size, width: size }
    }

    /// Channels, or features of a vector or of each token.
    pub fn channels(&self) -> i64 {
        match *self {
            Shape::Map { channels, .. } | Shape::Vector(channels) | Shape::Tokens { channels, .. } => channels,
        }
    }

    /// Height and width of a map; 1 and 1 of a vector; the tokens of a sequence count as its height.
    pub fn extent(&self) -> (i64, i64) {
        match *self {
            Shape::Map { height, width, .. } => (height, width),
            Shape::Vector(_) => (1, 1),
            Shape::Tokens { count, .. } => (count, 1),
        }
    }

    /// Channels, height and width of a map.
    ///
    /// # Errors
    /// [`Error::Shape`] naming `block`, where it is no map.
    pub fn map(&self, block: &'static str) -> Result<(i64, i64, i64), Error> {
        match *self {
            Shape::Map { channels, height, width } => Ok((channels, height, width)),
            other => Err(Error::Shape { block, expected: "a map", found: other }),
        }
    }

    /// Features of a vector.
    ///
    /// # Errors
    /// [`Error::Shape`] naming `block`, where it is no vector.
    pub fn vector(&self, block: &'static str) -> Result<i64, Error> {
        match *self {
            Shape::Vector(features) => Ok(features),
            other => Err(Error::Shape { block, expected: "a vector", found: other }),
        }
    }

    /// The size of a batch of them.
    pub fn batch(&self, images: i64) -> Vec<i64> {
        match *self {
            Shape::Map { channels, height, width } => vec![images, channels, height, width],
            Shape::Vector(channels) => vec![images, channels],
            Shape::Tokens { count, channels } => vec![images, count, channels],
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dimensions: Vec<String> = self.batch(0)[1..].iter().map(i64::to_string).collect();
        f.write_str(&dimensions.join("x"))
    }
}
