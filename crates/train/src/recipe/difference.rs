//! Where two recipes differ.

use toml::{Table, Value};

use super::Recipe;
use crate::Error;

/// A key whose value is not the same in two recipes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key, with its tables: `train.epochs`.
    pub key: String,
    /// Its value in the first, as TOML.
    pub here: String,
    /// Its value in the second.
    pub there: String,
}

impl Recipe {
    /// Every key whose values differ, in alphabetical order.
    ///
    /// # Errors
    /// [`Error::Recipe`] where a value has no TOML form.
    pub fn differences(&self, other: &Self) -> Result<Vec<Difference>, Error> {
        let mut found = Vec::new();
        differ("", &self.to_table()?, &other.to_table()?, &mut found);
        Ok(found)
    }
}

fn differ(prefix: &str, here: &Table, there: &Table, found: &mut Vec<Difference>) {
    let keys = here.keys().chain(there.keys().filter(|key| !here.contains_key(*key)));
    for name in keys {
        let key = format!("{prefix}{name}");
        match (here.get(name), there.get(name)) {
            (Some(Value::Table(a)), Some(Value::Table(b))) => differ(&format!("{key}."), a, b, found),
            (a, b) if a == b => {}
            (a, b) => found.push(Difference { key, here: show(a), there: show(b) }),
        }
    }
}

fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_key_and_both_values() {
        let first = Recipe::default();
        let mut second = first.clone();
        assert_eq!(first.differences(&second).unwrap(), []);
        second.schedule.warmup_epochs = 2.0;
        second.train.seed = 9;
        second.data.augment.cutout = mp_data::CutoutSide(3);
        let difference = |key: &str, here: &str, there: &str| Difference {
            key: key.to_owned(),
            here: here.to_owned(),
            there: there.to_owned(),
        };
        let expected = [
            difference("data.augment.cutout", "0", "3"),
            difference("schedule.warmup_epochs", "0.0", "2.0"),
            difference("train.seed", "1", "9"),
        ];
        assert_eq!(first.differences(&second).unwrap(), expected);
    }

    #[test]
    fn a_table_that_is_there_in_one_only_is_one_difference() {
        let first = Recipe::default();
        let mut second = first.clone();
        second.data.augment.trivial_augment = Some(Default::default());
        let found = first.differences(&second).unwrap();
        assert_eq!((found.len(), found[0].here.as_str()), (1, "nothing"), "{found:?}");
    }
}
