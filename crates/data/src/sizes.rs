//! The sizes of the images of a data set that does not know them before they are read.

use rayon::prelude::*;

use crate::{Dataset, ImageShape};

/// What the headers of images say about their sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// All that can be read have this size.
    One(ImageShape),
    /// Two of different size.
    Several(ImageShape, ImageShape),
    /// None can be read.
    Unknown,
}

impl Sizes {
    /// Looks at the header of one image after another, up to the first that has another size than the first. Images that cannot
    /// be read are left to those who will read them.
    pub fn of(parts: &[&dyn Dataset]) -> Self {
        let shapes = || parts.iter().flat_map(|part| (0..part.len()).map(|index| (*part, index)));
        let Some(first) = shapes().find_map(|(part, index)| part.stored_shape(index).ok()) else {
            return Self::Unknown;
        };
        let other = parts.iter().find_map(|part| {
            let shapes = (0..part.len()).into_par_iter().filter_map(|index| part.stored_shape(index).ok());
            shapes.find_first(|shape| *shape != first)
        });
        other.map_or(Self::One(first), |other| Self::Several(first, other))
    }
}
