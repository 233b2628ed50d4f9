//! What of a network is trained, and at which multiple of the learning rate.

use std::collections::{BTreeSet, HashMap};

use mp_nn::nearest::nearest;
use mp_nn::{Entry, Role, Store};
use mp_zoo::ModelOptions;

use crate::Error;
use crate::recipe::FinetuneConfig;

/// Freezes what the recipe freezes; gives the other parameters, each with the factor of its learning rate. Those that are not
/// to decay come as biases, to which no rule does more than to move them along their gradients.
///
/// # Errors
/// [`Error::Invalid`] for a pattern that matches nothing, and where nothing is left to train; a network that is no chain of
/// blocks where the rate is to fall with depth.
pub(super) fn apply(
    config: &FinetuneConfig,
    name: &str,
    options: &ModelOptions,
    store: &Store,
) -> Result<Vec<(Entry, f64)>, Error> {
    let names: Vec<String> = store.parameters().into_iter().map(|entry| entry.name).collect();
    ensure_known("finetune.freeze", config.freeze.iter(), &names)?;
    ensure_known("finetune.rates", config.rates.keys(), &names)?;
    ensure_known("finetune.no_decay", config.no_decay.iter(), &names)?;
    if !config.freeze.is_empty() {
        store.freeze(|name| config.freeze.iter().any(|pattern| matches(pattern, name)));
    }
    let by_depth = match config.decay_by_depth {
        1.0 => HashMap::new(),
        decay => by_depth(&mp_zoo::layer_names(name, options)?, decay),
    };
    let factor = |name: &str| {
        let by_pattern = config.rates.iter().filter(|(pattern, _)| matches(pattern, name)).map(|(_, rate)| rate);
        by_pattern.product::<f64>() * by_depth.get(name).copied().unwrap_or(1.0)
    };
    let undecayed = |name: &str| config.no_decay.iter().any(|pattern| matches(pattern, name));
    let role = |entry: &Entry| if undecayed(&entry.name) { Role::Bias } else { entry.role };
    let trained: Vec<_> =
        trained(store).into_iter().map(|entry| (factor(&entry.name), Entry { role: role(&entry), ..entry })).collect();
    if trained.is_empty() {
        let value = format!("{:?}", config.freeze);
        let expected = format!("patterns that leave some parameters of `{name}` to be trained");
        return Err(Error::Invalid { key: "finetune.freeze", value, expected });
    }
    Ok(trained.into_iter().map(|(factor, entry)| (entry, factor)).collect())
}

/// The parameters that are not frozen.
pub(super) fn trained(store: &Store) -> Vec<Entry> {
    store.parameters().into_iter().filter(|entry| entry.tensor.requires_grad()).collect()
}

/// `decay` to the number of layers that come after a parameter's own.
fn by_depth(layers: &[Vec<String>], decay: f64) -> HashMap<String, f64> {
    let of_layer = |(after, names): (i32, &Vec<String>)| {
        names.iter().map(move |name| (name.clone(), decay.powi(after))).collect::<Vec<_>>()
    };
    (0..).zip(layers.iter().rev()).flat_map(of_layer).collect()
}

fn ensure_known<'p>(
    key: &'static str,
    patterns: impl Iterator<Item = &'p String>,
    names: &[String],
) -> Result<(), Error> {
    let known = |pattern: &&String| names.iter().any(|name| matches(pattern, name));
    let mut patterns = patterns;
    let Some(unknown) = patterns.find(|pattern| !known(pattern)) else { return Ok(()) };
    let mut places = BTreeSet::new();
    for name in names {
        places.extend(name.match_indices('.').map(|(dot, _)| &name[..dot]).chain([name.as_str()]));
    }
    let mut near = nearest(unknown, &places, 3);
    if near.is_empty() {
        near = places.iter().filter(|place| !place.contains('.')).take(6).map(|place| (*place).to_owned()).collect();
    }
    let expected = format!("a pattern that matches a parameter of the network, such as {}", near.join(", "));
    Err(Error::Invalid { key, value: format!("\"{unknown}\""), expected })
}

/// Whether a pattern is of a name, or of a place above it.
fn matches(pattern: &str, name: &str) -> bool {
    let places = name.match_indices('.').map(|(dot, _)| &name[..dot]);
    places.chain([name]).any(|place| is_like(pattern.as_bytes(), place.as_bytes()))
}

/// Whether a text is as a pattern says, in which `*` stands for any characters and `?` for one.
fn is_like(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut place) = (0, 0);
    // Behind the last star, and the first place that it may stop at.
    let mut star = None;
    while place < text.len() {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                at += 1;
                star = Some((at, place));
            }
            (Some(one), _) if *one == b'?' || *one == text[place] => (at, place) = (at + 1, place + 1),
            (_, Some((behind, stop))) => {
                (at, place) = (behind, stop + 1);
                star = Some((behind, stop + 1));
            }
            _ => return false,
        }
    }
    pattern[at..].iter().all(|rest| *rest == b'*')
}

#[cfg(test)]
mod tests {
    use mp_nn::Device;
    use mp_zoo::InputSize;

    use super::*;

    #[test]
    fn patterns_are_of_names_or_of_places() {
        for (pattern, name, expected) in [
            ("fc", "fc.weight", true),
            ("fc", "fc1.weight", false),
            ("layer1.*", "layer1.0.conv1.weight", true),
            ("layer1.*", "layer10.0.conv1.weight", false),
            ("*.bn?", "layer1.0.bn2.bias", true),
            ("*.bias", "layer1.0.bn2.bias", true),
            ("*.path2", "stage1.0.path2.conv1.weight", true),
            ("bias", "fc.bias", false),
            ("", "fc.bias", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    fn applied(config: &FinetuneConfig, name: &str) -> Result<HashMap<String, f64>, Error> {
        let options = ModelOptions::new(InputSize { channels: 1, size: 28, classes: 10 });
        let store = Store::new(Device::Cpu, 0);
        mp_zoo::build(name, &options, &store.root()).unwrap();
        let found = apply(config, name, &options, &store)?;
        Ok(found.into_iter().map(|(entry, factor)| (entry.name, factor)).collect())
    }

    #[test]
    fn factors_fall_from_the_last_layer_back_and_those_of_patterns_are_multiplied() {
        // stage1, stage2, stage3, dense and the head: 0.5 to the fourth for the first, 1 for the last.
        let rates = [("fc".to_owned(), 10.0), ("*.bias".to_owned(), 2.0)].into_iter().collect();
        let config = FinetuneConfig {
            decay_by_depth: 0.5,
            rates,
            freeze: vec!["stage2".to_owned()],
            ..FinetuneConfig::default()
        };
        let found = applied(&config, "base_cnn_w4").unwrap();
        assert!(!found.keys().any(|name| name.starts_with("stage2")));
        for (name, factor) in [
            ("stage1.0.conv1.weight", 0.0625),
            ("stage1.0.bn1.bias", 0.125),
            ("stage3.0.conv1.weight", 0.25),
            ("dense.0.dense1.weight", 0.5),
            ("fc.weight", 10.0),
            ("fc.bias", 20.0),
        ] {
            assert_eq!(found[name], factor, "{name}");
        }
        let routed = applied(&FinetuneConfig { decay_by_depth: 0.5, ..FinetuneConfig::default() }, "base_cnn_w4_x2_cc");
        let routed = routed.unwrap();
        assert_eq!((routed["dense.0.cross.gate.bias2"], routed["head.path2.fc.bias"]), (0.5, 1.0));
    }

    #[test]
    fn gates_may_learn_faster_and_without_decay() {
        let options = ModelOptions::new(InputSize { channels: 1, size: 28, classes: 10 });
        let store = Store::new(Device::Cpu, 0);
        mp_zoo::build("base_cnn_w4_x2_cc", &options, &store.root()).unwrap();
        let config = FinetuneConfig {
            rates: [("*.gate".to_owned(), 10.0)].into(),
            no_decay: vec!["*.gate".to_owned()],
            ..FinetuneConfig::default()
        };
        for (entry, factor) in apply(&config, "base_cnn_w4_x2_cc", &options, &store).unwrap() {
            let is_gate = entry.name.contains(".gate.");
            assert_eq!(factor, if is_gate { 10.0 } else { 1.0 }, "{}", entry.name);
            let decays = entry.name.ends_with(".weight") && !entry.name.contains(".bn");
            assert_eq!(entry.role == Role::Weight, decays && !is_gate, "{}", entry.name);
        }
        let unknown = FinetuneConfig { no_decay: vec!["gates".to_owned()], ..FinetuneConfig::default() };
        let message = apply(&unknown, "base_cnn_w4_x2_cc", &options, &store).unwrap_err().to_string();
        assert!(message.starts_with("finetune.no_decay is \"gates\", expected a pattern that matches"), "{message}");
    }

    #[test]
    fn a_pattern_that_matches_nothing_is_answered_with_the_nearest_names() {
        let frozen = |pattern: &str| FinetuneConfig { freeze: vec![pattern.to_owned()], ..FinetuneConfig::default() };
        let message = |pattern: &str| applied(&frozen(pattern), "base_cnn_w4").unwrap_err().to_string();
        let expected = "a pattern that matches a parameter of the network, such as";
        assert_eq!(
            message("stag1"),
            format!("finetune.freeze is \"stag1\", expected {expected} stage1, stage2, stage3")
        );
        assert_eq!(
            message("nonesuch"),
            format!("finetune.freeze is \"nonesuch\", expected {expected} dense, fc, stage1, stage2, stage3")
        );
        assert!(message("*").starts_with("finetune.freeze is [\"*\"], expected patterns that leave some parameters"));
    }
}
