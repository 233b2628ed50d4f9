//! Which class was taken for which.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How often the images of each class were taken for each class: the confusion matrix, without its zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// Number N of classes.
    pub classes: usize,
    /// `(class, predicted, images)`: the pairs that occurred, in order.
    pub counts: Vec<(u32, u32, u64)>,
}

/// How the images of one class were classified.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassResult {
    /// The name of the class.
    pub class: String,
    /// Its images.
    pub images: u64,
    /// How many of them were classified right.
    pub correct: u64,
    /// Their share; none where the class has no images.
    pub accuracy: Option<f64>,
}

/// Images of one class that were taken for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confused {
    /// The class that they are of.
    pub class: String,
    /// The class that they were taken for.
    pub predicted: String,
    /// How many.
    pub images: u64,
}

impl Confusion {
    /// Counts pairs of a class and what was predicted, both below `classes`.
    pub fn of(classes: usize, pairs: impl Iterator<Item = (i64, i64)>) -> Self {
        let mut counts = BTreeMap::<(u32, u32), u64>::new();
        for (class, predicted) in pairs {
            *counts.entry((class as u32, predicted as u32)).or_default() += 1;
        }
        Self {
            classes,
            counts: counts.into_iter().map(|((class, predicted), count)| (class, predicted, count)).collect(),
        }
    }

    /// Adds the counts of other images of the same classes.
    pub fn add(&mut self, other: &Self) {
        let mut counts: BTreeMap<(u32, u32), u64> =
            self.counts.iter().map(|&(class, predicted, count)| ((class, predicted), count)).collect();
        for &(class, predicted, count) in &other.counts {
            *counts.entry((class, predicted)).or_default() += count;
        }
        self.counts = counts.into_iter().map(|((class, predicted), count)| (class, predicted, count)).collect();
    }

    /// How many images were classified right.
    pub fn correct(&self) -> u64 {
        self.counts.iter().filter(|(class, predicted, _)| class == predicted).map(|(_, _, count)| count).sum()
    }

    /// Every class with its accuracy, in the order of the logits.
    pub fn by_class(&self, names: &[String]) -> Vec<ClassResult> {
        let mut totals = vec![(0, 0); self.classes];
        for &(class, predicted, count) in &self.counts {
            if let Some((images, correct)) = totals.get_mut(class as usize) {
                *images += count;
                *correct += if class == predicted { count } else { 0 };
            }
        }
        let result = |(class, (images, correct)): (usize, (u64, u64))| ClassResult {
            class: name(names, class),
            images,
            correct,
            accuracy: (images > 0).then(|| correct as f64 / images as f64),
        };
        totals.into_iter().enumerate().map(result).collect()
    }

    /// The pairs of different classes that occurred, the most frequent first.
    pub fn confused(&self, names: &[String]) -> Vec<Confused> {
        let mut wrong: Vec<_> = self.counts.iter().filter(|(class, predicted, _)| class != predicted).collect();
        wrong.sort_by_key(|(class, predicted, count)| (std::cmp::Reverse(*count), *class, *predicted));
        let pair = |&(class, predicted, images): &(u32, u32, u64)| Confused {
            class: name(names, class as usize),
            predicted: name(names, predicted as usize),
            images,
        };
        wrong.into_iter().map(pair).collect()
    }

    /// The whole matrix, `[N][N]`: a row a class, a column a prediction.
    pub fn matrix(&self) -> Vec<Vec<u64>> {
        let mut matrix = vec![vec![0; self.classes]; self.classes];
        for &(class, predicted, count) in &self.counts {
            if let Some(cell) = matrix.get_mut(class as usize).and_then(|row| row.get_mut(predicted as usize)) {
                *cell = count;
            }
        }
        matrix
    }
}

fn name(names: &[String], class: usize) -> String {
    names.get(class).cloned().unwrap_or_else(|| class.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["cat", "dog", "eel"].map(str::to_owned).to_vec()
    }

    /// Two cats right and one taken for a dog, one dog taken for a cat, two dogs for eels; no eels.
    fn confusion() -> Confusion {
        Confusion::of(3, [(0, 0), (0, 1), (1, 2), (0, 0), (1, 0), (1, 2)].into_iter())
    }

    #[test]
    fn pairs_are_counted_in_order() {
        assert_eq!(confusion().counts, [(0, 0, 2), (0, 1, 1), (1, 0, 1), (1, 2, 2)]);
        assert_eq!(confusion().matrix(), [[2, 1, 0], [1, 0, 2], [0, 0, 0]]);
        assert_eq!(confusion().correct(), 2);
    }

    #[test]
    fn counts_of_parts_add_up() {
        let mut sum = Confusion::of(3, [(0, 0), (0, 1), (1, 2)].into_iter());
        sum.add(&Confusion::of(3, [(0, 0), (1, 0), (1, 2)].into_iter()));
        assert_eq!(sum, confusion());
    }

    #[test]
    fn a_class_without_images_has_no_accuracy() {
        let found = confusion().by_class(&names());
        let figures: Vec<_> = found.iter().map(|class| (class.images, class.correct, class.accuracy)).collect();
        assert_eq!(figures, [(3, 2, Some(2.0 / 3.0)), (3, 0, Some(0.0)), (0, 0, None)]);
        assert_eq!(found[2].class, "eel");
    }

    #[test]
    fn the_most_confused_come_first() {
        let found = confusion().confused(&names());
        let pairs: Vec<_> = found.iter().map(|c| (c.class.as_str(), c.predicted.as_str(), c.images)).collect();
        assert_eq!(pairs, [("dog", "eel", 2), ("cat", "dog", 1), ("dog", "cat", 1)]);
    }
}
