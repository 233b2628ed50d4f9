//! Tables of a recipe whose key `name` decides which other keys they have.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Settings of several kinds, each known by its name: an enum with the serde tag `name`, every key of which has a default.
pub(crate) trait Choice: Serialize + DeserializeOwned {
    /// The names; where none is given, the first is meant.
    const NAMES: &'static [&'static str];

    /// The keys that recipes were once written with whatever the name was: where all of them are there, those of another
    /// kind say nothing.
    const ONCE_COMPLETE: &'static [&'static str];
}

/// The choice that a table makes; `common` are its keys that belong to no kind.
///
/// # Errors
/// In serde's words: a name or a key that there is not, a value of another type.
pub(crate) fn read<C: Choice>(table: &Table, common: &[&str]) -> Result<C, String> {
    let mut own = table.clone();
    own.retain(|key, _| !common.contains(&key));
    let name = own.entry("name").or_insert_with(|| C::NAMES[0].into()).clone();
    if let Some(name) = name.as_str().filter(|name| !C::NAMES.contains(name)) {
        return Err(format!("unknown variant `{name}`, expected one of {}", listed(C::NAMES)));
    }
    let keys = keys_of::<C>(&name)?;
    if C::ONCE_COMPLETE.iter().all(|key| table.contains_key(*key)) {
        own.retain(|key, _| keys.iter().any(|known| known == key) || !C::ONCE_COMPLETE.contains(&key));
    }
    if let Some(unknown) = own.keys().find(|key| !keys.contains(key)) {
        let valid: Vec<&str> = common.iter().copied().chain(keys.iter().map(String::as_str)).collect();
        return Err(format!("unknown field `{unknown}`, expected one of {}", listed(&valid)));
    }
    own.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

/// Drops the keys that the kind which a table names has not, as when another name is set on the command line.
pub(crate) fn drop_others<C: Choice>(table: &mut Table, common: &[&str]) {
    let name = table.get("name").cloned().unwrap_or_else(|| C::NAMES[0].into());
    // A name that is none is answered when the table is read.
    if let Ok(keys) = keys_of::<C>(&name) {
        table.retain(|key, _| common.contains(&key) || keys.iter().any(|known| known == key));
    }
}

/// The keys of a kind, `name` first.
fn keys_of<C: Choice>(name: &Value) -> Result<Vec<String>, String> {
    let bare = Table::from_iter([("name".to_owned(), name.clone())]);
    let bare: C = bare.try_into().map_err(|error: toml::de::Error| error.message().to_owned())?;
    let table = Table::try_from(&bare).map_err(|error| error.to_string())?;
    let others = table.keys().filter(|key| *key != "name").cloned();
    Ok(std::iter::once("name".to_owned()).chain(others).collect())
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}
