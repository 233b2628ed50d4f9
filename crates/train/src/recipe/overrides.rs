//! `--set key=value`: one key of a recipe, changed on the command line.

use std::fmt;
use std::str::FromStr;

use toml::{Table, Value};

use super::ProcedureConfig;
use super::{numbers, tables};
use crate::optim::{OptimiserConfig, RuleConfig};
use crate::schedule::{CourseConfig, ScheduleConfig};
use crate::{Error, choice};

/// A key of a recipe is far shorter; what is longer is no key, and not worth repeating.
const LONGEST_KEY: usize = 200;

/// One key of a recipe and its new value.
///
/// The value is TOML where it reads as TOML and a string otherwise: `train.epochs=3`, `schedule.milestones=[2, 4]`,
/// `train.precision=bf16` and `train.precision="bf16"` all do what they seem to.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    key: String,
    value: Value,
    text: String,
}

impl Override {
    /// Sets `key` to the string `value`, whatever it reads as.
    pub fn string(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), value: Value::String(value.to_owned()), text: format!("{key}={value}") }
    }

    /// Writes the value into the table, creating the tables on its way.
    pub(super) fn apply(&self, table: &mut Table) -> Result<(), Error> {
        let mut table = table;
        let mut parts: Vec<&str> = self.key.split('.').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let entry = table.entry(part).or_insert_with(|| Value::Table(Table::new()));
            table = entry.as_table_mut().ok_or_else(|| Error::Recipe {
                origin: format!("--set {self}"),
                message: format!("`{part}` is a value, not a table; expected a key such as train.epochs"),
            })?;
        }
        table.insert(last.to_owned(), self.value.clone());
        Ok(())
    }

    /// Whether it names an optimiser, a schedule or a procedure, on which the keys beside it depend.
    pub(super) fn names_a_kind(&self) -> bool {
        ["optimiser.name", "schedule.name", "procedure.name"].contains(&self.key.as_str())
    }

    /// Where it names another optimiser or schedule, what the table says to the former one alone is dropped.
    pub(super) fn drop_other_kinds(&self, table: &mut Table) {
        let Some((of, table)) =
            self.key.strip_suffix(".name").and_then(|of| Some((of, table.get_mut(of)?.as_table_mut()?)))
        else {
            return;
        };
        match of {
            "optimiser" => choice::drop_others::<RuleConfig>(table, OptimiserConfig::COMMON),
            "procedure" => ProcedureConfig::drop_others(table),
            "schedule" => choice::drop_others::<CourseConfig>(table, ScheduleConfig::COMMON),
            _ => {}
        }
    }

    /// Whether the number that it sets, if it is one, is in its range.
    pub(super) fn number(&self, table: &Table) -> Result<(), Error> {
        numbers::check_one(table, &self.key)
    }
}

impl FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected table.key=value, for example train.epochs=3";
        let (key, value) = text.split_once('=').ok_or_else(|| format!("it has no \"=\"; {expected}"))?;
        let (key, value) = (key.trim(), value.trim());
        if key.len() > LONGEST_KEY {
            return Err(format!("a key of {} characters; {expected}", key.len()));
        }
        if !key.contains('.') || key.split('.').any(str::is_empty) {
            return Err(format!("\"{key}\" is not a key; {expected}"));
        }
        let parsed = if tables::is_too_deep(value) { None } else { format!("value = {value}").parse::<Table>().ok() };
        let value = parsed
            .filter(|table| table.len() == 1)
            .and_then(|mut table| table.remove("value"))
            .unwrap_or_else(|| Value::String(value.to_owned()));
        Ok(Self { key: key.to_owned(), value, text: text.to_owned() })
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Precision, Recipe};
    use crate::schedule::StepConfig;

    fn resolve(sets: &[&str]) -> Result<Recipe, Error> {
        let mut overrides = vec![Override::string("model.name", "resnet20"), Override::string("data.name", "digits")];
        overrides.extend(sets.iter().map(|set| set.parse::<Override>().unwrap()));
        Recipe::resolve(None, &overrides)
    }

    #[test]
    fn values_read_as_toml_and_otherwise_as_strings() {
        for set in ["train.precision=bf16", "train.precision=\"bf16\"", "train.precision = 'bf16'"] {
            assert_eq!(resolve(&[set]).unwrap().train.precision, Precision::Bf16, "{set}");
        }
        let recipe =
            resolve(&["schedule.name=step", "schedule.milestones=[2, 4.5]", "data.augment.flip=true"]).unwrap();
        assert_eq!(recipe.schedule.course, StepConfig { milestones: vec![2.0, 4.5], gamma: 0.1 }.into());
        assert_eq!(recipe.data.augment.flip, mp_data::FlipRule::Random);
    }

    #[test]
    fn the_last_of_two_overrides_wins() {
        assert_eq!(resolve(&["train.epochs=2", "train.epochs=5"]).unwrap().train.epochs, 5);
    }

    #[test]
    fn a_fault_is_reported_under_the_override_that_has_it() {
        let message = |set| resolve(&["train.epochs=2", set]).unwrap_err().to_string();
        assert!(
            message("train.epoch=3").starts_with("--set train.epoch=3: unknown key `epoch`, did you mean `epochs`?"),
            "{}",
            message("train.epoch=3")
        );
        assert!(message("trian.epochs=3").contains("unknown key `trian`, did you mean `train`?"));
        assert!(message("train.epochs=many").contains("invalid type: string \"many\", expected u64"));
        assert!(message("model.name.first=x").contains("`name` is a value, not a table"));
    }

    #[test]
    fn what_is_not_an_override_says_what_one_looks_like() {
        for text in ["train.epochs", "epochs=3", "train.=3", "=3"] {
            let error = text.parse::<Override>().unwrap_err();
            assert!(error.ends_with("expected table.key=value, for example train.epochs=3"), "{text}: {error}");
        }
    }

    #[test]
    fn a_value_cannot_smuggle_in_other_keys() {
        let recipe = resolve(&["data.name=a\nvalue2 = 1"]).unwrap();
        assert_eq!(recipe.data.name, "a\nvalue2 = 1");
    }
}
