//! From what a file holds to named tensors: the dictionary of tensors is found among what people put around it.

use std::collections::HashMap;

use mp_pickle::Item;

use super::tensor::Rebuilder;
use super::{Contents, Fault, shown};

/// Under which keys training scripts put the tensors, the first that is there first.
const WRAPPERS: [&str; 4] = ["state_dict", "model", "net", "model_state_dict"];
/// What wrappers of networks put before every name: `DataParallel`, `torch.compile`.
const PREFIXES: [&str; 2] = ["module.", "_orig_mod."];
/// How many dictionaries may lie around that of the tensors.
const MOST_WRAPPERS: usize = 3;
/// How many entries such a dictionary may have; the largest networks have some thousands.
const MOST_ENTRIES: usize = 100_000;

/// Reads the tensors of the dictionary that a file is, or that it holds under one of the usual keys.
pub(super) fn read(root: Item<'_, '_>, rebuilder: &mut Rebuilder<'_>) -> Result<Contents, Fault> {
    let mut contents = Contents::default();
    let mut pairs =
        dictionary(root).ok_or_else(|| format!("holds {}, expected a dictionary of tensors", root.kind()))?;
    for _ in 0..MOST_WRAPPERS {
        check_count(pairs.len())?;
        let wrapped = |wrapper: &'static str| {
            let (_, item) = pairs.iter().rfind(|(key, _)| key.text() == Some(wrapper))?;
            Some((wrapper, dictionary(*item)?))
        };
        let Some((wrapper, inner)) = WRAPPERS.into_iter().find_map(wrapped) else { break };
        contents.others.extend(pairs.iter().map(|(key, _)| key_shown(*key)).filter(|key| key != wrapper));
        pairs = inner;
    }
    check_count(pairs.len())?;
    let mut places = HashMap::new();
    for (key, item) in pairs {
        let tensor = match key.text() {
            Some(name) => rebuilder.tensor(name, item)?.map(|tensor| (name.to_owned(), tensor)),
            None => None,
        };
        match tensor {
            None => contents.others.push(key_shown(key)),
            Some(named) => match places.get(&named.0) {
                // As in Python, the last value of a key stays.
                Some(&place) => contents.tensors[place] = named,
                None => {
                    places.insert(named.0.clone(), contents.tensors.len());
                    contents.tensors.push(named);
                }
            },
        }
    }
    if contents.tensors.is_empty() {
        let found = match contents.others.is_empty() {
            true => "nothing at all".to_owned(),
            false => contents.others.iter().take(6).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "),
        };
        let keys = WRAPPERS.join("`, `");
        return Err(format!("holds no tensors by name, alone or under `{keys}`: it holds {found}"));
    }
    strip_prefixes(&mut contents.tensors);
    Ok(contents)
}

/// Names and handles take far more memory than the pickle that describes them.
fn check_count(entries: usize) -> Result<(), Fault> {
    match entries <= MOST_ENTRIES {
        true => Ok(()),
        false => Err(format!("holds {entries} entries, expected at most {MOST_ENTRIES}")),
    }
}

/// Takes away what stands before all names.
pub(crate) fn strip_prefixes<T>(tensors: &mut [(String, T)]) {
    while let Some(prefix) = PREFIXES.iter().find(|prefix| {
        !tensors.is_empty() && tensors.iter().all(|(name, _)| name.len() > prefix.len() && name.starts_with(**prefix))
    }) {
        tensors.iter_mut().for_each(|(name, _)| drop(name.drain(..prefix.len())));
    }
}

/// A key as it is named in messages and reports.
fn key_shown(key: Item<'_, '_>) -> String {
    match (key.text(), key.int()) {
        (Some(text), _) => shown(text),
        (_, Some(number)) => number.to_string(),
        _ => format!("under {}", key.kind()),
    }
}

/// The keys and values of a dictionary, or of an ordered one: what it is filled with, or, as Python 2 wrote it, a list of pairs
/// that it is made of.
fn dictionary<'p, 'a>(item: Item<'p, 'a>) -> Option<Vec<(Item<'p, 'a>, Item<'p, 'a>)>> {
    if let Some(pairs) = item.pairs() {
        return Some(pairs.collect());
    }
    let object = item.object().filter(|object| object.name().is("collections", "OrderedDict"))?;
    let mut pairs = Vec::new();
    if let Some(made_of) = object.arguments().next() {
        for pair in made_of.list()? {
            let mut pair: Vec<_> = match pair.list() {
                Some(pair) => pair.take(2).collect(),
                None => pair.tuple()?.take(2).collect(),
            };
            let (value, key) = (pair.pop()?, pair.pop()?);
            pairs.push((key, value));
        }
    }
    pairs.extend(object.pairs());
    Some(pairs)
}
