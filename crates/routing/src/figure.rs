//! Figures in files: measured numbers, which may be infinite or none.
//!
//! JSON has no word for these, and what writes `null` for them cannot read its own file. They are the strings `"inf"`, `"-inf"`
//! and `"nan"`; `null` is read as `"nan"`. Fields say `#[serde(with = "figure")]`, whether they hold one figure or a list or
//! a map of them; elsewhere a [`Figure`] stands for the number.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number as files hold it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure(pub f64);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            number if number.is_finite() => serializer.serialize_f64(number),
            number if number.is_nan() => serializer.serialize_str("nan"),
            number if number > 0.0 => serializer.serialize_str("inf"),
            _ => serializer.serialize_str("-inf"),
        }
    }
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Read).map(Self)
    }
}

struct Read;

impl Visitor<'_> for Read {
    type Value = f64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, \"inf\", \"-inf\" or \"nan\"")
    }

    fn visit_f64<E>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_i64<E>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_u64<E>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<f64, E> {
        match word {
            "inf" => Ok(f64::INFINITY),
            "-inf" => Ok(f64::NEG_INFINITY),
            "nan" => Ok(f64::NAN),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_unit<E>(self) -> Result<f64, E> {
        Ok(f64::NAN)
    }
}

/// What holds figures and nothing else.
pub trait Figures: Sized {
    /// The same with a [`Figure`] for each number.
    type InFiles: Serialize + DeserializeOwned;

    /// As files hold it.
    fn to_files(&self) -> Self::InFiles;

    /// Back from a file.
    fn from_files(found: Self::InFiles) -> Self;
}

impl Figures for f64 {
    type InFiles = Figure;

    fn to_files(&self) -> Figure {
        Figure(*self)
    }

    fn from_files(found: Figure) -> f64 {
        found.0
    }
}

impl<T: Figures> Figures for Option<T> {
    type InFiles = Option<T::InFiles>;

    fn to_files(&self) -> Self::InFiles {
        self.as_ref().map(T::to_files)
    }

    fn from_files(found: Self::InFiles) -> Self {
        found.map(T::from_files)
    }
}

impl<T: Figures> Figures for Vec<T> {
    type InFiles = Vec<T::InFiles>;

    fn to_files(&self) -> Self::InFiles {
        self.iter().map(T::to_files).collect()
    }

    fn from_files(found: Self::InFiles) -> Self {
        found.into_iter().map(T::from_files).collect()
    }
}

impl<K: Clone + Ord + Serialize + DeserializeOwned, T: Figures> Figures for BTreeMap<K, T> {
    type InFiles = BTreeMap<K, T::InFiles>;

    fn to_files(&self) -> Self::InFiles {
        self.iter().map(|(key, value)| (key.clone(), value.to_files())).collect()
    }

    fn from_files(found: Self::InFiles) -> Self {
        found.into_iter().map(|(key, value)| (key, T::from_files(value))).collect()
    }
}

/// For `#[serde(with = "figure")]`.
///
/// # Errors
/// The serialiser's.
pub fn serialize<T: Figures, S: Serializer>(figures: &T, serializer: S) -> Result<S::Ok, S::Error> {
    figures.to_files().serialize(serializer)
}

/// For `#[serde(with = "figure")]`.
///
/// # Errors
/// What is neither a number nor one of the three words.
pub fn deserialize<'de, T: Figures, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::InFiles::deserialize(deserializer).map(T::from_files).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Found {
        #[serde(with = "super")]
        loss: f64,
        #[serde(with = "super")]
        rows: Vec<Vec<f64>>,
        #[serde(with = "super")]
        by_name: BTreeMap<String, f64>,
        #[serde(with = "super")]
        maybe: Option<f64>,
    }

    #[test]
    fn what_is_no_finite_number_is_a_word_and_reads_back() {
        let found = Found {
            loss: f64::INFINITY,
            rows: vec![vec![1.5, f64::NEG_INFINITY], Vec::new()],
            by_name: BTreeMap::from([("stage2".to_owned(), 1e300)]),
            maybe: None,
        };
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(text, r#"{"loss":"inf","rows":[[1.5,"-inf"],[]],"by_name":{"stage2":1e+300},"maybe":null}"#);
        assert_eq!(serde_json::from_str::<Found>(&text).unwrap(), found);
    }

    #[test]
    fn every_number_reads_back_to_the_last_bit() {
        for number in [0.1 + 0.2, -0.0, 5e-324, f64::MAX, 3.0, 1e9, f64::INFINITY, f64::NEG_INFINITY] {
            let text = serde_json::to_string(&Figure(number)).unwrap();
            assert_eq!(serde_json::from_str::<Figure>(&text).unwrap().0.to_bits(), number.to_bits(), "{text}");
        }
        for text in ["null", "\"nan\"", &serde_json::to_string(&Figure(f64::NAN)).unwrap()] {
            assert!(serde_json::from_str::<Figure>(text).unwrap().0.is_nan(), "{text}");
        }
    }

    #[test]
    fn other_words_are_refused_with_those_that_are_known() {
        for text in ["\"Infinity\"", "\"\"", "[1]", "true"] {
            let message = serde_json::from_str::<Figure>(text).unwrap_err().to_string();
            assert!(message.contains("expected a number, \"inf\", \"-inf\" or \"nan\""), "{message}");
        }
    }
}
