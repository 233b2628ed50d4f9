//! Keeping a part of a data set aside.

use std::cmp::Reverse;
use std::sync::Arc;

use rand::seq::SliceRandom;

use crate::random::{Purpose, generator};
use crate::{Dataset, Error, Subset};

/// How much of a training set to hold out for validation. As a whole number in a recipe it is so many images, as a number with a
/// point a share.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
#[serde(untagged)]
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
    let count = size.count(&*dataset)?;
    let mut images: Vec<usize> = (0..dataset.len()).collect();
    images.shuffle(&mut generator(Purpose::Holdout, seed, 0, 0));
    images.truncate(count);
    split(dataset, images)
}

/// Splits a data set as [`holdout`] does, with the classes in both parts as frequent as in the whole.
///
/// Of each class its share of the images held out is drawn, rounded down; the images still due then come from the classes
/// whose shares lost most by that, one from each. The choice depends on nothing but `seed` and the labels.
///
/// # Errors
/// [`Error::Config`] if either part would be empty; [`Error::Inconsistent`] for a label without a class.
pub fn stratified_holdout(dataset: Arc<dyn Dataset>, size: Holdout, seed: u64) -> Result<(Subset, Subset), Error> {
    let (count, total) = (size.count(&*dataset)? as u128, dataset.len() as u128);
    let mut classes = vec![Vec::new(); dataset.classes().len()];
    for index in 0..dataset.len() {
        let (label, number) = (dataset.label(index), classes.len());
        let class = classes.get_mut(label).ok_or_else(|| Error::Inconsistent {
            name: dataset.name().to_owned(),
            index,
            expected: format!("a label below {number}"),
            found: label.to_string(),
        })?;
        class.push(index);
    }
    let mut shares: Vec<usize> = classes.iter().map(|class| (class.len() as u128 * count / total) as usize).collect();
    let due = count as usize - shares.iter().sum::<usize>();
    let mut by_loss: Vec<usize> = (0..classes.len()).collect();
    by_loss.sort_by_key(|&class| Reverse(classes[class].len() as u128 * count % total));
    by_loss.iter().take(due).for_each(|&class| shares[class] += 1);

    let mut held = Vec::with_capacity(count as usize);
    for (label, (mut class, share)) in classes.into_iter().zip(shares).enumerate() {
        // A stream for each class: images added to one do not change what is drawn of another.
        class.shuffle(&mut generator(Purpose::Holdout, seed, 1, label as u64));
        held.extend_from_slice(&class[..share]);
    }
    split(dataset, held)
}

impl Default for Holdout {
    /// Nothing.
    fn default() -> Self {
        Self::Count(0)
    }
}

impl<'de> serde::Deserialize<'de> for Holdout {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numbers;

        impl serde::de::Visitor<'_> for Numbers {
            type Value = Holdout;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of images, such as 500, or a share of them, such as 0.1")
            }

            fn visit_u64<E: serde::de::Error>(self, count: u64) -> Result<Holdout, E> {
                usize::try_from(count)
                    .map(Holdout::Count)
                    .map_err(|_| self.unfit(serde::de::Unexpected::Unsigned(count)))
            }

            fn visit_i64<E: serde::de::Error>(self, count: i64) -> Result<Holdout, E> {
                usize::try_from(count).map(Holdout::Count).map_err(|_| self.unfit(serde::de::Unexpected::Signed(count)))
            }

            fn visit_f64<E: serde::de::Error>(self, share: f64) -> Result<Holdout, E> {
                Ok(Holdout::Fraction(share))
            }
        }

        impl Numbers {
            fn unfit<E: serde::de::Error>(&self, found: serde::de::Unexpected<'_>) -> E {
                E::invalid_value(found, self)
            }
        }

        deserializer.deserialize_any(Numbers)
    }
}

impl std::fmt::Display for Holdout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Fraction(share) => write!(f, "{share:?}"),
        }
    }
}

impl Holdout {
    /// Whether nothing is to be held out.
    pub fn is_none(self) -> bool {
        self == Self::Count(0) || self == Self::Fraction(0.0)
    }

    fn count(self, dataset: &dyn Dataset) -> Result<usize, Error> {
        let total = dataset.len();
        let count = match self {
            Self::Count(count) => count,
            Self::Fraction(fraction) => (fraction * total as f64).round() as usize,
        };
        if count == 0 || count >= total {
            return Err(Error::Config(format!(
                "cannot hold out {count} of the {total} images of `{}`: expected 1 to {}",
                dataset.name(),
                total.saturating_sub(1)
            )));
        }
        Ok(count)
    }
}

/// What is left and what is held out, each in the order of the whole.
fn split(dataset: Arc<dyn Dataset>, mut held: Vec<usize>) -> Result<(Subset, Subset), Error> {
    held.sort_unstable();
    let left = (0..dataset.len()).filter(|index| held.binary_search(index).is_err()).collect();
    let name = dataset.name().to_owned();
    Ok((Subset::new(name.clone(), Arc::clone(&dataset), left)?, Subset::new(name + "/held-out", dataset, held)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Image, ImageShape, Images};

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
    fn strata_by_hand() {
        // 50, 30 and 15 images of three classes; 19 of 95 are a fifth of each. Of 20, the shares are 10.53, 6.32 and 3.16:
        // 19 after rounding down, and the one still due is the first class'.
        let labels: Vec<u32> = (0..95)
            .map(|k| {
                if k < 50 {
                    2
                } else if k < 80 {
                    0
                } else {
                    5
                }
            })
            .collect();
        let shape = ImageShape { channels: 1, height: 1, width: 1 };
        let classes = (0..6).map(|class| class.to_string()).collect();
        let whole: Arc<dyn Dataset> = Arc::new(Images::new("three", shape, classes, labels, vec![0; 95]).unwrap());
        let held = |count, seed| {
            let (left, held) = stratified_holdout(Arc::clone(&whole), Holdout::Count(count), seed).unwrap();
            let of = |class| (0..held.len()).filter(|&index| held.label(index) == class).count();
            assert_eq!(left.len() + held.len(), 95);
            assert!(left.indices().iter().all(|index| !held.indices().contains(index)));
            ([2, 0, 5].map(of), held.indices().to_vec())
        };
        assert_eq!((held(19, 1).0, held(20, 1).0, held(1, 1).0), ([10, 6, 3], [11, 6, 3], [1, 0, 0]));
        assert_eq!(held(19, 1), held(19, 1));
        assert_ne!(held(19, 1).1, held(19, 2).1);
    }

    #[test]
    fn a_recipe_gives_a_number_or_a_share() {
        let read = |text: &str| toml::from_str::<std::collections::BTreeMap<String, Holdout>>(text).map(|all| all["n"]);
        for (text, size, again) in [
            ("n = 500", Holdout::Count(500), "n = 500\n"),
            ("n = 0.1", Holdout::Fraction(0.1), "n = 0.1\n"),
            ("n = 1.0", Holdout::Fraction(1.0), "n = 1.0\n"),
        ] {
            let found = read(text).unwrap();
            assert_eq!(found, size);
            assert_eq!(toml::to_string(&std::collections::BTreeMap::from([("n", found)])).unwrap(), again);
        }
        assert!(read("n = 0").unwrap().is_none() && read("n = 0.0").unwrap().is_none());
        for text in ["n = -5", "n = \"0.1\"", "n = true", "n = [1]"] {
            let error = read(text).unwrap_err().message().to_owned();
            assert!(error.contains("expected a number of images, such as 500, or a share"), "{error}");
        }
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
