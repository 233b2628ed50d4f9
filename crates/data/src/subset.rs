//! Views of a part of a data set.

use std::sync::Arc;

use rand::seq::SliceRandom;

use crate::random::{Purpose, generator};
use crate::{Dataset, Error, Image, ImageShape, ImageView};

/// Some of the images of another data set, without copying them.
#[derive(Clone)]
pub struct Subset {
    name: String,
    whole: Arc<dyn Dataset>,
    indices: Vec<usize>,
}

impl Subset {
    /// The images of `whole` at `indices`, in that order.
    ///
    /// # Errors
    /// [`Error::Config`] if an index is not below `whole.len()`.
    pub fn new(name: impl Into<String>, whole: Arc<dyn Dataset>, indices: Vec<usize>) -> Result<Self, Error> {
        if let Some(index) = indices.iter().find(|&&index| index >= whole.len()) {
            return Err(Error::Config(format!(
                "image {index} is not in `{}`: expected an index below {}",
                whole.name(),
                whole.len()
            )));
        }
        Ok(Self { name: name.into(), whole, indices })
    }

    /// The positions in the whole data set of the images seen here.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }
}

impl Dataset for Subset {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> usize {
        self.indices.len()
    }

    fn channels(&self) -> usize {
        self.whole.channels()
    }

    fn shape(&self) -> Option<ImageShape> {
        self.whole.shape()
    }

    fn classes(&self) -> &[String] {
        self.whole.classes()
    }

    fn label(&self, index: usize) -> usize {
        self.whole.label(self.indices[index])
    }

    fn image<'a>(&'a self, index: usize, buffer: &'a mut Image) -> Result<ImageView<'a>, Error> {
        self.whole.image(self.indices[index], buffer)
    }
}

/// How much of a training set to hold out for validation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Holdout {
    /// So many images.
    Count(usize),
    /// So much of the whole, between 0 and 1, rounded to whole images.
    Fraction(f64),
}

/// Splits a data set at random into what is left and what is held out, in this order (training, validation).
///
/// The choice depends on nothing but `seed` and the number of images; both parts keep the original order.
///
/// # Errors
/// [`Error::Config`] if either part would be empty.
pub fn holdout(dataset: Arc<dyn Dataset>, size: Holdout, seed: u64) -> Result<(Subset, Subset), Error> {
    let total = dataset.len();
    let count = match size {
        Holdout::Count(count) => count,
        Holdout::Fraction(fraction) => (fraction * total as f64).round() as usize,
    };
    if count == 0 || count >= total {
        return Err(Error::Config(format!(
            "cannot hold out {count} of the {total} images of `{}`: expected 1 to {}",
            dataset.name(),
            total.saturating_sub(1)
        )));
    }
    let mut held: Vec<usize> = (0..total).collect();
    held.shuffle(&mut generator(Purpose::Holdout, seed, 0, 0));
    let mut left = held.split_off(count);
    held.sort_unstable();
    left.sort_unstable();
    let name = dataset.name().to_owned();
    Ok((Subset::new(name.clone(), Arc::clone(&dataset), left)?, Subset::new(name + "/held-out", dataset, held)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Images;

    fn ten() -> Arc<dyn Dataset> {
        let shape = ImageShape { channels: 1, height: 1, width: 1 };
        let classes = (0..10).map(|class| class.to_string()).collect();
        Arc::new(Images::new("ten", shape, classes, (0..10).collect(), (0..10).collect()).unwrap())
    }

    #[test]
    fn the_two_parts_share_nothing_and_miss_nothing() {
        let (train, valid) = holdout(ten(), Holdout::Fraction(0.3), 7).unwrap();
        assert_eq!((train.len(), valid.len()), (7, 3));
        let mut all = [train.indices(), valid.indices()].concat();
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        for (position, &index) in valid.indices().iter().enumerate() {
            let pixels = valid.image(position, &mut Image::empty()).unwrap().pixels().to_vec();
            assert_eq!((valid.label(position), pixels), (index, vec![index as u8]));
        }
    }

    #[test]
    fn the_seed_alone_decides() {
        let held = |seed| holdout(ten(), Holdout::Count(4), seed).unwrap().1.indices().to_vec();
        assert_eq!(held(1), held(1));
        assert!((2..10).any(|seed| held(seed) != held(1)));
    }

    #[test]
    fn an_empty_part_is_refused() {
        for (size, message) in [
            (Holdout::Count(0), "cannot hold out 0 of the 10 images of `ten`: expected 1 to 9"),
            (Holdout::Count(10), "cannot hold out 10 of the 10 images of `ten`: expected 1 to 9"),
            (Holdout::Fraction(0.01), "cannot hold out 0 of the 10 images of `ten`: expected 1 to 9"),
            (Holdout::Fraction(f64::NAN), "cannot hold out 0 of the 10 images of `ten`: expected 1 to 9"),
        ] {
            let error = holdout(ten(), size, 0).map(|_| ()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
