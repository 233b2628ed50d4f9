//! The form of a recipe's text: which keys hold tables, how deep these go, and what a table keeps that is written in part.

use std::sync::LazyLock;

use mp_data::AugmentConfig;
use toml::{Table, Value};

use super::Recipe;

/// All tables and keys that are there only if somebody writes them, as text.
pub(super) static COMPLETE: LazyLock<String> = LazyLock::new(|| {
    let within = |name: &str, value: Value| Value::Table(Table::from_iter([(name.to_owned(), value)]));
    let augment = Value::try_from(AugmentConfig::complete()).unwrap_or_else(|_| Value::Table(Table::new()));
    let tables = [
        ("data", within("augment", augment)),
        ("train", within("ema", Value::Table(Table::new()))),
        ("model", within("dropout", Value::Float(0.5))),
    ];
    Table::from_iter(tables.map(|(name, value)| (name.to_owned(), value))).to_string()
});

/// No key of a recipe goes deeper than a few tables; tens of thousands would only exhaust the stack.
const DEEPEST: usize = 100;

/// A recipe that has every table.
static FORM: LazyLock<Table> = LazyLock::new(|| {
    let complete: Option<Recipe> = toml::from_str(&COMPLETE).ok();
    complete.and_then(|recipe| recipe.to_table().ok()).unwrap_or_default()
});

/// Where the text writes a table for a value, or a value for a table: serde would take a list for a table, field by field.
/// The answer is what is wrong.
pub(super) fn misplaced(recipe: &Table) -> Option<String> {
    differs("", recipe, &FORM)
}

fn differs(prefix: &str, found: &Table, form: &Table) -> Option<String> {
    found.iter().find_map(|(name, value)| {
        let key = format!("{prefix}{name}");
        match (value, form.get(name)?) {
            (Value::Table(found), Value::Table(form)) => differs(&format!("{key}."), found, form),
            (value, Value::Table(_)) => {
                Some(format!("`{key}` is {}, expected a table such as [{key}] with keys of its own", kind(value)))
            }
            (Value::Table(_), _) => Some(format!("`{key}` is a table, expected a value")),
            _ => None,
        }
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "a list",
        Value::String(_) => "text",
        Value::Boolean(_) => "true or false",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Datetime(_) => "a date",
        Value::Table(_) => "a table",
    }
}

/// Gives each table that lacks its `kind` the one that it has at `present`, so that one of its keys can be written alone.
/// Whether any did.
pub(super) fn keep_kinds(recipe: &mut Table, present: &Table) -> bool {
    let mut kept = false;
    if let (Some(kind), false) = (present.get("kind"), recipe.contains_key("kind")) {
        recipe.insert("kind".to_owned(), kind.clone());
        kept = true;
    }
    for (name, value) in recipe.iter_mut() {
        if let (Value::Table(table), Some(Value::Table(present))) = (value, present.get(name)) {
            kept |= keep_kinds(table, present);
        }
    }
    kept
}

/// Whether keys or lists of the text are nested deeper than any recipe's. Looked for before it is parsed.
pub(super) fn is_too_deep(text: &str) -> bool {
    let (mut dots, mut brackets, mut last) = (0, 0_usize, ' ');
    for character in text.chars() {
        match character {
            // A dot that does not follow another, as those of `../..` do.
            '.' if last != '.' => dots += 1,
            '[' | '{' => brackets += 1,
            ']' | '}' => brackets = brackets.saturating_sub(1),
            ',' | '=' | '\n' | '#' | '"' | '\'' => dots = 0,
            _ => {}
        }
        if dots > DEEPEST || brackets > DEEPEST {
            return true;
        }
        if !character.is_whitespace() {
            last = character;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Option<String> {
        misplaced(&text.parse().unwrap())
    }

    #[test]
    fn a_list_is_no_table_anywhere() {
        for (text, expected) in [
            ("model = [\"base_cnn\"]", "`model` is a list, expected a table such as [model] with keys of its own"),
            ("train = [1, 32]", "`train` is a list"),
            ("[model]\nrouting = [\"blocks\"]", "`model.routing` is a list"),
            ("[model.routing]\nmixer = [16, 0.5]", "`model.routing.mixer` is a list"),
            ("[data]\naugment = []", "`data.augment` is a list"),
            ("[data.augment]\nrandom_resized_crop = [[0.5, 1.0]]", "`data.augment.random_resized_crop` is a list"),
            ("[data.augment]\nrand_augment = [2, 9]", "`data.augment.rand_augment` is a list"),
            ("[routing_loss]\ntarget_rate = [0.1, 0.5]", "`routing_loss.target_rate` is a list"),
            ("optimiser = \"sgd\"", "`optimiser` is text"),
            ("schedule = 3", "`schedule` is a number"),
            ("[train]\nepochs = { count = 3 }", "`train.epochs` is a table, expected a value"),
            ("[train]\nprecision = { fp32 = {} }", "`train.precision` is a table, expected a value"),
        ] {
            let found = message(text).unwrap_or_else(|| panic!("{text} is taken"));
            assert!(found.starts_with(expected), "{text}: {found}");
        }
        assert_eq!(message(&COMPLETE), None);
    }

    /// Every table lists its valid keys when it meets an unknown one; the form must have them all.
    #[test]
    fn the_form_has_every_key() {
        fn tables(prefix: &str, table: &Table, found: &mut Vec<(String, Vec<String>)>) {
            found.push((prefix.to_owned(), table.keys().cloned().collect()));
            for (name, value) in table {
                if let Value::Table(inner) = value {
                    tables(&format!("{prefix}{name}."), inner, found);
                }
            }
        }
        let mut found = Vec::new();
        tables("", &FORM, &mut found);
        assert!(found.len() > 15, "{found:?}");
        // Their keys are names of the network's.
        let free = ["model.routing.execution.", "finetune.rates."];
        for (prefix, keys) in found.into_iter().filter(|(prefix, _)| !free.contains(&prefix.as_str())) {
            let text = format!("{}\n[model.routing.mixer]\nkind = \"gate\"\n", *COMPLETE);
            let mut recipe: Table = text.parse().unwrap();
            let mut table = &mut recipe;
            for name in prefix.split('.').filter(|name| !name.is_empty()) {
                table = table.entry(name).or_insert_with(|| Value::Table(Table::new())).as_table_mut().unwrap();
            }
            table.insert("nonesuch".to_owned(), Value::Boolean(true));
            let error = recipe.try_into::<Recipe>().unwrap_err().message().to_owned();
            let valid: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
            assert!(!valid.is_empty(), "{prefix}: {error}");
            for key in valid {
                assert!(keys.iter().any(|found| found == key), "{prefix}{key} is not in the form: {error}");
            }
        }
    }

    #[test]
    fn a_kind_is_kept_where_none_is_written() {
        let present: Table = "[a.mixer]\nkind = \"learned\"\ndiagonal = 1.0".parse().unwrap();
        let mut written: Table = "[a.mixer]\ntemperature = 0.5".parse().unwrap();
        assert!(keep_kinds(&mut written, &present));
        assert_eq!(written, "[a.mixer]\ntemperature = 0.5\nkind = \"learned\"".parse().unwrap());
        assert!(!keep_kinds(&mut written, &"[a.mixer]\nkind = \"gate\"".parse().unwrap()));
    }

    #[test]
    fn depth_is_bounded_before_anything_is_parsed() {
        let deep = 50_000;
        for text in [
            format!("{}=1", "a.".repeat(deep)),
            format!("a = {}1{}", "[".repeat(deep), "]".repeat(deep)),
            format!("a = {}1{}", "{b=".repeat(deep), "}".repeat(deep)),
            format!("[{}a]", "a . ".repeat(deep)),
            format!("a = {{ {}a = 1 }}", "a.".repeat(deep)),
        ] {
            assert!(is_too_deep(&text), "{}", &text[..40]);
        }
        for text in [
            COMPLETE.as_str(),
            "name = \"../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../../x\"",
            "# ......................................................................",
            &format!("list = [{}]", "0.5, ".repeat(1000)),
            &"a = 1.5\n".repeat(1000),
        ] {
            assert!(!is_too_deep(text), "{text}");
        }
    }
}
