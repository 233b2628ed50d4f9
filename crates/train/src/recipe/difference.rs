//! Where two recipes differ.

use toml::{Table, Value};

use super::Recipe;
use crate::Error;

impl Recipe {
    /// The first key whose values differ, with its value here and there.
    ///
    /// # Errors
    /// [`Error::Recipe`] where a value has no TOML form.
    pub fn first_difference(&self, other: &Self) -> Result<Option<(String, String, String)>, Error> {
        Ok(differ("", &self.to_table()?, &other.to_table()?))
    }
}

fn differ(prefix: &str, here: &Table, there: &Table) -> Option<(String, String, String)> {
    let keys = here.keys().chain(there.keys().filter(|key| !here.contains_key(*key)));
    for name in keys {
        let key = format!("{prefix}{name}");
        let found = match (here.get(name), there.get(name)) {
            (Some(Value::Table(a)), Some(Value::Table(b))) => differ(&format!("{key}."), a, b),
            (a, b) if a == b => None,
            (a, b) => Some((key, show(a), show(b))),
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_key_and_both_values() {
        let first = Recipe::default();
        let mut second = first.clone();
        assert_eq!(first.first_difference(&second).unwrap(), None);
        second.schedule.milestones = vec![2.0];
        let expected = ("schedule.milestones".to_owned(), "[]".to_owned(), "[2.0]".to_owned());
        assert_eq!(first.first_difference(&second).unwrap(), Some(expected));
    }
}
