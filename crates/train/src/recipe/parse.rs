//! From TOML text to a recipe, with messages that fit on one line.

use std::fs;
use std::path::Path;

use mp_nn::nearest::nearest;
use mp_zoo::{ModelName, Variant};

use super::{Override, PathGradients, Recipe, embedded, tables};
use crate::Error;

impl Recipe {
    /// The recipe `source` (an embedded name or the path of a `.toml` file; `None`: all defaults), changed by the
    /// overrides in their order, and checked.
    ///
    /// # Errors
    /// [`Error::UnknownRecipe`], [`Error::Recipe`] naming the place and, for an unknown key, the valid ones, or
    /// [`Error::Invalid`].
    pub fn resolve(source: Option<&str>, overrides: &[Override]) -> Result<Self, Error> {
        let recipe = Self::merged(source, overrides)?;
        recipe.check()?;
        Ok(recipe)
    }

    /// As [`Recipe::resolve`], but for the check: neither names nor ranges need be right.
    pub(crate) fn merged(source: Option<&str>, overrides: &[Override]) -> Result<Self, Error> {
        let (origin, text) = source.map(read).transpose()?.unwrap_or_default();
        let recipe = Self::from_toml(&text, &origin)?;
        recipe.changed(parse_table(&text, &origin)?, overrides)
    }

    /// Reads the recipe that a run keeps, changed by the overrides. Ranges are not checked.
    ///
    /// Such a recipe is complete. Where it does not say how much of the gradient paths get, an earlier version wrote it, which
    /// gave them their mean: the run keeps that.
    ///
    /// # Errors
    /// [`Error::Recipe`].
    pub(crate) fn of_run(text: &str, origin: &str, overrides: &[Override]) -> Result<Self, Error> {
        let mut recipe = Self::from_toml(text, origin)?;
        let mut table = parse_table(text, origin)?;
        let is_said = table.get("train").and_then(|train| train.get("path_gradients")).is_some();
        if !is_said && recipe.has_paths() {
            recipe.train.path_gradients = PathGradients::Mean;
            let train = table.entry("train").or_insert_with(|| toml::Table::new().into());
            if let Some(train) = train.as_table_mut() {
                train.insert("path_gradients".to_owned(), "mean".into());
            }
        }
        recipe.changed(table, overrides)
    }

    /// Whether its network has parallel paths or is an ensemble, by its name.
    fn has_paths(&self) -> bool {
        self.model.name.parse::<ModelName>().is_ok_and(|name| name.variant != Variant::Single)
    }

    /// The recipe, which was read from `table`, changed by the overrides.
    fn changed(mut self, mut table: toml::Table, overrides: &[Override]) -> Result<Self, Error> {
        // A key may be of the kind that a later override names.
        let (kinds, others): (Vec<_>, Vec<_>) = overrides.iter().partition(|change| change.names_a_kind());
        for change in kinds.into_iter().chain(others) {
            change.apply(&mut table)?;
            change.drop_other_kinds(&mut table);
            let refuse = |message| Error::Recipe { origin: format!("--set {change}"), message };
            if let Some(message) = tables::misplaced(&table) {
                return Err(refuse(message));
            }
            tables::keep_kinds(&mut table, &self.to_table()?);
            self = table
                .clone()
                .try_into()
                .map_err(|error: toml::de::Error| refuse(in_words(&error, change.number(&table))))?;
        }
        Ok(self)
    }

    /// Reads a recipe from TOML text; `origin` stands before line and column in messages. Ranges are not checked.
    ///
    /// # Errors
    /// [`Error::Recipe`].
    pub fn from_toml(text: &str, origin: &str) -> Result<Self, Error> {
        let mut table = parse_table(text, origin)?;
        if let Some(message) = tables::misplaced(&table) {
            return Err(Error::Recipe { origin: origin.to_owned(), message });
        }
        if tables::keep_kinds(&mut table, &Self::default().to_table()?) {
            // What was added has no place in the text.
            let refuse =
                |error: toml::de::Error| Error::Recipe { origin: origin.to_owned(), message: tidy(error.message()) };
            return table.try_into().map_err(refuse);
        }
        toml::from_str(text).map_err(|error| located(&error, text, origin))
    }

    /// The recipe as TOML text, complete: what [`Recipe::from_toml`] reads back unchanged.
    ///
    /// # Errors
    /// [`Error::Recipe`] where a value has no TOML form.
    pub fn to_toml(&self) -> Result<String, Error> {
        toml::to_string(self).map_err(no_toml_form)
    }

    /// The recipe as a TOML table, complete.
    pub(super) fn to_table(&self) -> Result<toml::Table, Error> {
        toml::Table::try_from(self).map_err(no_toml_form)
    }
}

fn no_toml_form(error: toml::ser::Error) -> Error {
    Error::Recipe { origin: "recipe".to_owned(), message: tidy(&error.to_string()) }
}

/// Where a recipe's text stands, and the text.
fn read(source: &str) -> Result<(String, String), Error> {
    if let Some(found) = embedded().iter().find(|recipe| recipe.name == source) {
        return Ok((format!("recipe {source}"), found.text.to_owned()));
    }
    let path = Path::new(source);
    if path.is_file() {
        let text = fs::read_to_string(path).map_err(Error::io("read the recipe", path))?;
        return Ok((source.to_owned(), text));
    }
    let known = embedded().iter().map(|recipe| recipe.name.to_owned()).collect();
    Err(Error::UnknownRecipe { name: source.to_owned(), known })
}

fn parse_table(text: &str, origin: &str) -> Result<toml::Table, Error> {
    if tables::is_too_deep(text) {
        let message = "keys or lists within each other more than 100 times, expected tables such as [data.augment]";
        return Err(Error::Recipe { origin: origin.to_owned(), message: message.to_owned() });
    }
    text.parse().map_err(|error| located(&error, text, origin))
}

fn located(error: &toml::de::Error, text: &str, origin: &str) -> Error {
    let origin = match error.span() {
        Some(span) => {
            let before = text.get(..start_of_key(text, span.start, error.message())).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
            format!("{origin}:{line}:{column}")
        }
        None => origin.to_owned(),
    };
    Error::Recipe { origin, message: tidy(error.message()) }
}

/// Where the unknown key stands that a message is about: a table that is read as a whole is located by its beginning.
fn start_of_key(text: &str, start: usize, message: &str) -> usize {
    let key = message.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
    let (Some(key), Some(rest)) = (key, text.get(start..)) else { return start };
    let begins_a_line = |at: usize| rest[..at].rsplit('\n').next().is_some_and(|before| before.trim().is_empty());
    let is_set = |at: usize| rest[at + key.len()..].trim_start().starts_with('=');
    let found = rest.match_indices(key).find(|(at, _)| begins_a_line(*at) && is_set(*at));
    found.map_or(start, |(at, _)| start + at)
}

/// What is wrong with a value: its range, where it is a number out of it, otherwise what serde says.
fn in_words(error: &toml::de::Error, number: Result<(), Error>) -> String {
    match number {
        Err(error) => error.to_string(),
        Ok(()) => tidy(error.message()),
    }
}

/// Serde's message on one line; where it knows the valid words, the nearest of them comes first.
pub(super) fn tidy(message: &str) -> String {
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let what = if message.starts_with("unknown field") {
        "key"
    } else if message.starts_with("unknown variant") {
        "value"
    } else {
        return message;
    };
    let mut words = message.split('`').skip(1).step_by(2);
    let unknown = words.next().unwrap_or_default();
    let valid: Vec<&str> = words.collect();
    let hint = nearest(unknown, &valid, 1).pop().map(|near| format!(", did you mean `{near}`?")).unwrap_or_default();
    format!("unknown {what} `{unknown}`{hint} (valid: {})", valid.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{AdamWConfig, LionConfig, RuleConfig, SgdConfig};
    use crate::schedule::{CosineConfig, PolynomialConfig};

    fn message(text: &str) -> String {
        Recipe::from_toml(text, "my.toml").unwrap_err().to_string()
    }

    #[test]
    fn a_misspelt_key_is_answered_with_place_nearest_and_valid_keys() {
        assert_eq!(
            message("[model]\nname = \"resnet20\"\n\n[schedule]\nwarmup_epoch = 1\n"),
            "my.toml:5:1: unknown key `warmup_epoch`, did you mean `warmup_epochs`? \
             (valid: warmup_epochs, name, min_lr)"
        );
    }

    #[test]
    fn a_misspelt_value_is_answered_with_the_valid_ones() {
        assert_eq!(
            message("[train]\nprecision = \"fp-32\"\n"),
            "my.toml:2:13: unknown value `fp-32`, did you mean `fp32`? (valid: fp32, tf32, bf16, fp16)"
        );
    }

    #[test]
    fn a_key_of_the_optimiser_is_located_too() {
        let message = message("[optimiser]\nlearning_rate = 1\n");
        assert!(message.starts_with("my.toml:"), "{message}");
        assert!(
            message.contains("unknown key `learning_rate`") && message.contains("valid: lr, max_norm, name,"),
            "{message}"
        );
    }

    #[test]
    fn broken_toml_is_one_line() {
        let message = message("[train\nepochs = 1\n");
        assert!(message.starts_with("my.toml:1:"), "{message}");
        assert!(!message.contains('\n'), "{message}");
    }

    #[test]
    fn an_unknown_recipe_lists_the_embedded_ones() {
        let message = Recipe::resolve(Some("quickstrat"), &[]).unwrap_err().to_string();
        assert!(message.starts_with("no recipe named \"quickstrat\" and no such file; recipes: "), "{message}");
        assert!(message.contains("quickstart"), "{message}");
    }

    #[test]
    fn what_is_missing_for_an_optimiser_depends_on_its_rule() {
        let sgd = Recipe::from_toml("", "").unwrap().optimiser;
        let adamw = Recipe::from_toml("[optimiser]\nname = \"adamw\"", "").unwrap().optimiser;
        assert_eq!((sgd.lr, sgd.rule), (0.1, RuleConfig::Sgd(SgdConfig::default())));
        assert_eq!((adamw.lr, adamw.rule), (1e-3, RuleConfig::AdamW(AdamWConfig::default())));
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        assert_eq!(
            message("[optimiser]\nname = \"adamw\"\nmomentum = 0.9\n"),
            "my.toml:3:1: unknown key `momentum` (valid: lr, max_norm, name, betas, eps, weight_decay)"
        );
        assert_eq!(
            message("[schedule]\nname = \"cosin\"\n"),
            "my.toml:1:1: unknown value `cosin`, did you mean `cosine`? (valid: cosine, step, constant, polynomial, \
             exponential, plateau, one_cycle, cosine_restarts)"
        );
    }

    /// As run folders and checkpoints hold them.
    #[test]
    fn a_recipe_that_was_once_written_complete_is_read() {
        let old = "[optimiser]\nname = \"sgd\"\nlr = 0.2\nmomentum = 0.8\nnesterov = false\nweight_decay = 0.001\n\
                   betas = [0.9, 0.999]\neps = 1e-8\n\
                   [schedule]\nname = \"cosine\"\nwarmup_epochs = 1.0\nmilestones = []\ngamma = 0.1\nmin_lr = 0.01\n";
        let Recipe { optimiser, schedule, .. } = Recipe::from_toml(old, "").unwrap();
        let sgd = SgdConfig { momentum: 0.8, nesterov: false, weight_decay: 0.001 };
        assert_eq!((optimiser.lr, optimiser.rule), (0.2, RuleConfig::Sgd(sgd)));
        assert_eq!((schedule.warmup_epochs, schedule.course), (1.0, CosineConfig { min_lr: 0.01 }.into()));
    }

    #[test]
    fn another_kind_on_the_command_line_takes_the_place_of_the_former() {
        let sets = ["schedule.power=2", "optimiser.name=lion", "schedule.name=polynomial"];
        let sets = sets.map(|set| set.parse().unwrap());
        let recipe = Recipe::merged(Some("quickstart"), &sets).unwrap();
        assert_eq!(
            (recipe.optimiser.lr, recipe.optimiser.rule),
            (0.1, RuleConfig::Lion(LionConfig { weight_decay: 1e-4, ..LionConfig::default() }))
        );
        assert_eq!(recipe.schedule.course, PolynomialConfig { power: 2.0, min_lr: 0.0 }.into());
    }
}
