//! How much the images of each class count in the loss.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Error;

/// `"equal"`, `"balanced"` or a list of weights in a recipe.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum ClassWeights {
    /// All alike.
    #[default]
    Equal,
    /// A class of `n` of the `N` training images in `C` classes counts `N / (C n)`, so that all classes weigh the same.
    Balanced,
    /// A number for each class, in the order of the classes.
    Given(Vec<f64>),
}

impl ClassWeights {
    /// A weight for each of `classes`, empty where all count alike; `labels` are those of the training images.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a list of another length, and for balanced weights where a class has no image.
    pub fn resolve(&self, classes: &[String], labels: impl Iterator<Item = usize>) -> Result<Vec<f64>, Error> {
        let refuse = |value: String, expected| Err(Error::Invalid { key: "train.class_weights", value, expected });
        match self {
            Self::Equal => Ok(Vec::new()),
            Self::Given(weights) if weights.len() == classes.len() => Ok(weights.clone()),
            Self::Given(weights) => refuse(
                format!("{} numbers", weights.len()),
                format!("{}, one for each class of the data set", classes.len()),
            ),
            Self::Balanced => {
                let mut counts = vec![0_u64; classes.len()];
                labels
                    .filter_map(|label| Some(label).filter(|&label| label < classes.len()))
                    .for_each(|l| counts[l] += 1);
                if let Some(none) = counts.iter().position(|&count| count == 0) {
                    let expected = format!(
                        "a list of numbers: of the class `{}` there is no training image that could balance it",
                        classes[none]
                    );
                    return refuse("\"balanced\"".to_owned(), expected);
                }
                let each = counts.iter().sum::<u64>() as f64 / classes.len() as f64;
                Ok(counts.iter().map(|&count| each / count as f64).collect())
            }
        }
    }
}

impl Serialize for ClassWeights {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Equal => serializer.serialize_str("equal"),
            Self::Balanced => serializer.serialize_str("balanced"),
            Self::Given(weights) => weights.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ClassWeights {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected \"equal\", \"balanced\" or a list of numbers, one for each class")]
        enum Written {
            Word(String),
            List(Vec<f64>),
        }
        match Written::deserialize(deserializer)? {
            Written::Word(word) if word == "equal" => Ok(Self::Equal),
            Written::Word(word) if word == "balanced" => Ok(Self::Balanced),
            Written::Word(word) => Err(D::Error::unknown_variant(&word, &["equal", "balanced"])),
            Written::List(weights) => Ok(Self::Given(weights)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class{class}")).collect()
    }

    #[test]
    fn balanced_weights_are_inverse_to_the_classes_shares() {
        // Of six images three are of class 0, one of class 1 and two of class 2: 6 / (3 * 3), 6 / (3 * 1), 6 / (3 * 2).
        let weights = ClassWeights::Balanced.resolve(&names(3), [0, 0, 1, 2, 0, 2].into_iter()).unwrap();
        assert_eq!(weights, [2.0 / 3.0, 2.0, 1.0]);
        // Each class then weighs the same.
        assert_eq!([3.0 * weights[0], weights[1], 2.0 * weights[2]], [2.0; 3]);
        assert_eq!(ClassWeights::Balanced.resolve(&names(2), [0, 1, 1, 0].into_iter()).unwrap(), [1.0, 1.0]);
        assert_eq!(ClassWeights::Equal.resolve(&names(2), [0, 1].into_iter()).unwrap(), [0.0; 0]);
    }

    #[test]
    fn what_does_not_fit_the_classes_is_refused() {
        let message = |weights: ClassWeights| weights.resolve(&names(3), [0, 2].into_iter()).unwrap_err().to_string();
        assert_eq!(
            message(ClassWeights::Given(vec![1.0, 2.0])),
            "train.class_weights is 2 numbers, expected 3, one for each class of the data set"
        );
        assert_eq!(
            message(ClassWeights::Given(Vec::new())),
            "train.class_weights is 0 numbers, expected 3, one for each class of the data set"
        );
        assert!(
            message(ClassWeights::Balanced)
                .ends_with("of the class `class1` there is no training image that could balance it")
        );
    }

    #[test]
    fn words_and_lists_are_read_and_written() {
        let read = |text: &str| toml::from_str::<crate::Recipe>(&format!("[train]\nclass_weights = {text}"));
        for (text, expected) in [
            ("\"equal\"", ClassWeights::Equal),
            ("\"balanced\"", ClassWeights::Balanced),
            ("[1, 2.5]", ClassWeights::Given(vec![1.0, 2.5])),
        ] {
            let recipe = read(text).unwrap();
            assert_eq!(recipe.train.class_weights, expected);
            assert_eq!(toml::from_str::<crate::Recipe>(&recipe.to_toml().unwrap()).unwrap(), recipe);
        }
        assert!(read("\"balance\"").unwrap_err().message().contains("unknown variant `balance`"));
        assert!(read("3").unwrap_err().message().contains("expected \"equal\", \"balanced\" or a list of numbers"));
    }
}
