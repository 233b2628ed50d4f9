//! Where a single network's tensors go in the models that are made of it.

use std::collections::{BTreeMap, BTreeSet};

use mp_nn::Store;
use mp_zoo::{InputSize, ModelOptions, Positions, RoutingConfig, build, families, layer_names, models, upcycling};

fn shapes(name: &str, options: &ModelOptions) -> BTreeMap<String, Vec<i64>> {
    let store = Store::for_counting();
    build(name, options, &store.root()).unwrap();
    store.entries().into_iter().map(|entry| (entry.name, entry.tensor.size())).collect()
}

/// Two routed paths of every family that has them, in a narrow form.
fn routed() -> impl Iterator<Item = (String, InputSize)> {
    let listed: BTreeSet<String> = models().into_iter().map(|model| model.name).collect();
    families().into_iter().flat_map(move |family| {
        let narrow = (family.knob.default / 8).max(family.knob.least);
        let form = |ending: &&str| listed.contains(&format!("{}{ending}", family.name));
        let endings: Vec<&str> = ["_x2_cc", "_x2_cp", "_e2"].into_iter().filter(|ending| form(ending)).collect();
        endings
            .into_iter()
            .map(move |ending| (format!("{}_{}{narrow}{ending}", family.name, family.knob.letter), family.native))
            .collect::<Vec<_>>()
    })
}

/// Every tensor of a routed model or an ensemble has a counterpart in its single network, or belongs to a router.
#[test]
fn every_tensor_of_every_family_is_started() {
    for (name, native) in routed() {
        let options = ModelOptions::new(native);
        let found = upcycling(&name, &options).unwrap();
        let (single, several) = (shapes(&found.single, &options), shapes(&name, &options));
        let names: BTreeSet<&String> = found.tensors.iter().map(|copied| &copied.name).collect();
        assert_eq!(names, single.keys().collect(), "{}", name);
        let mut started: BTreeSet<&String> = found.cleared.iter().collect();
        for copied in &found.tensors {
            for place in &copied.places {
                let (from, to) = (&single[&copied.name], &several[&place.name]);
                match place.source {
                    None => assert_eq!(from, to, "{}: {}", name, place.name),
                    // A weight has its sources side by side, a bias one below the other.
                    Some(_) if from.len() == to.len() => assert_eq!((from[0], to[1] % from[1]), (to[0], 0)),
                    Some(_) => assert_eq!(from[0], to[1], "{}: {}", name, place.name),
                }
                started.insert(&place.name);
            }
        }
        for (name, values) in &found.routers {
            assert_eq!(several[name].iter().product::<i64>(), values.len() as i64, "{}: {name}", name);
        }
        let rest: Vec<&String> = several.keys().filter(|name| !started.contains(name)).collect();
        assert!(rest.iter().all(|name| name.contains(".cross.")), "{}: {rest:?}", name);
    }
}

/// The layers of every chain hold each of its parameters once.
#[test]
fn layers_hold_every_parameter_once() {
    let chains = [
        "base_cnn",
        "resnet20",
        "resnet20_x2_cp",
        "resnet18_x3_cc",
        "vgg13_x2_stitch",
        "resnet20_x2_blind",
        "base_cnn_e2",
    ];
    for name in chains {
        let model = models().into_iter().find(|model| model.name == name).unwrap();
        let options = ModelOptions::new(model.native);
        let layers = layer_names(name, &options).unwrap();
        let mut all: Vec<String> = layers.concat();
        all.sort();
        assert_eq!(all, shapes(name, &options).into_keys().collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn a_prediction_starts_from_the_entry_of_its_own_path() {
    let routing = RoutingConfig { positions: Positions::List(vec!["dense".to_owned()]), ..RoutingConfig::default() };
    let options = ModelOptions::routed(mp_zoo::InputSize { channels: 1, size: 28, classes: 10 }, routing);
    let found = upcycling("base_cnn_w4_x2_cp", &options).unwrap();
    let places = |name: &str| {
        let copied = found.tensors.iter().find(|copied| copied.name == name).unwrap();
        copied.places.iter().map(|place| (place.name.as_str(), place.source)).collect::<Vec<_>>()
    };
    assert_eq!(
        places("dense.0.dense1.weight"),
        [("dense.0.cross.target1.weight", Some(0)), ("dense.0.cross.target2.weight", Some(1))]
    );
    assert_eq!(
        places("stage1.0.conv1.weight"),
        [("stage1.0.path1.conv1.weight", None), ("stage1.0.path2.conv1.weight", None)]
    );
    assert_eq!(places("fc.bias"), [("head.path1.fc.bias", None), ("head.path2.fc.bias", None)]);
    assert_eq!(found.routers, [("dense.0.cross.gate.bias2".to_owned(), vec![6.0, 0.0, 0.0, 6.0])]);
    assert!(found.cleared.is_empty(), "a dense entry has a bias of its own: {:?}", found.cleared);
}
