//! How the weights of a single network start a model that is made of it, and which parameters its layers have.

use std::collections::HashSet;

use mp_blocks::CrossingConfig;
use mp_nn::{Params, Store};
use mp_routing::{RoutingShape, Split};

use crate::chain::chain_of;
use crate::network::{Wiring, below, heads, layer};
use crate::plan::{Plan, PlannedBlock};
use crate::wiring::wiring;
use crate::{Error, Interface, Make, ModelName, ModelOptions, Variant, build};

/// How the weights of a single network start a model: paths of it, or an ensemble.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Upcycling {
    /// The name of the single network.
    pub single: String,
    /// Where each of its tensors goes, in its own order.
    pub tensors: Vec<Copied>,
    /// Tensors of the model that start at zero: biases of predictions that the single network does not have.
    pub cleared: Vec<String>,
    /// Tensors of the model's routers with the values that put them near the identity, in row-major order. Routers of other
    /// crates are as near as [`mp_routing::RouterConfig::near_identity`] says.
    pub routers: Vec<(String, Vec<f64>)>,
}

/// A tensor of the single network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub name: String,
    /// Its places in the model.
    pub places: Vec<Place>,
}

/// A place of a single network's tensor in a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name of the tensor there.
    pub name: String,
    /// It is what source `i`, counted from 0, predicts by: the slice of a weight `[C', S · C, ...]`, or a row of a bias
    /// `[S, C']`. Otherwise it is the whole tensor.
    pub source: Option<usize>,
}

/// How the weights of the single network of `name` start the model of that name.
///
/// The tensors of a block go to the same block of every path, those of the head to every path's head, and all of them to every
/// member of an ensemble. Where a cross-prediction stands for a block's entry, the entry's tensors go to what path `j` predicts
/// itself by. A model that is a single network gets its own tensors.
///
/// ```
/// use mp_zoo::{InputSize, ModelOptions, upcycling};
/// let options = ModelOptions::new(InputSize { channels: 3, size: 32, classes: 10 });
/// let found = upcycling("resnet20_x2_cc", &options)?;
/// let conv = found.tensors.iter().find(|copied| copied.name == "layer1.0.conv1.weight").unwrap();
/// let places: Vec<&str> = conv.places.iter().map(|place| place.name.as_str()).collect();
/// assert_eq!(places, ["stage1.0.path1.conv1.weight", "stage1.0.path2.conv1.weight"]);
/// # Ok::<(), mp_zoo::Error>(())
/// ```
///
/// # Errors
/// As [`build`].
pub fn upcycling(name: &str, options: &ModelOptions) -> Result<Upcycling, Error> {
    let parsed: ModelName = name.parse()?;
    let single = ModelName { variant: Variant::Single, ..parsed }.to_string();
    let mut found = Upcycling { single, ..Upcycling::default() };
    match parsed.variant {
        Variant::Single | Variant::Ensemble { .. } => {
            let members = if let Variant::Ensemble { members } = parsed.variant { members } else { 0 };
            for own in names(|params| build(&found.single, options, params))? {
                let place = |name: String| Place { name, source: None };
                let places = match members {
                    0 => vec![place(own.clone())],
                    members => (1..=members).map(|member| place(format!("member{member}.{own}"))).collect(),
                };
                found.tensors.push(Copied { name: own, places });
            }
        }
        Variant::Paths { paths, mechanism } => {
            let plan = chain_of(&parsed, options)?;
            let wiring = wiring(name, &plan, paths, mechanism, options)?;
            if wiring.split == Split::Gated {
                let shape =
                    RoutingShape { sources: 1, targets: paths as i64, channels: options.interface.input.channels() };
                found.near_identity("split", wiring.mixer.near_identity(shape));
            }
            found.of_chain(&plan, &wiring, &options.interface, "")?;
        }
    }
    Ok(found)
}

impl Upcycling {
    /// Adds the tensors of a plan at a place.
    fn of_chain(&mut self, plan: &Plan, wiring: &Wiring, interface: &Interface, at: &str) -> Result<(), Error> {
        let alone = Wiring::single(plan);
        for (number, planned) in plan.blocks.iter().enumerate() {
            let single = names(|params| layer(plan, &alone, number, &below(params, at)))?;
            self.of_block(planned, &single, wiring, number, at)?;
        }
        for auxiliary in &plan.auxiliaries {
            let at = dotted(at, &auxiliary.name);
            self.of_chain(&auxiliary.plan, &wiring.beside(&auxiliary.plan), interface, &at)?;
        }
        let single = names(|params| heads(plan, 1, interface, &below(params, at)))?;
        let several = names(|params| heads(plan, wiring.paths, interface, &below(params, at)))?;
        let of_path = |path: usize| {
            let place = format!("{}.", dotted(at, &format!("head.path{path}")));
            several.iter().filter(move |name| name.starts_with(&place)).cloned().collect::<Vec<_>>()
        };
        let paths: Vec<Vec<String>> = (1..=wiring.paths).map(of_path).collect();
        for (index, name) in single.into_iter().enumerate() {
            let place = |path: &Vec<String>| Place { name: path[index].clone(), source: None };
            self.tensors.push(Copied { name, places: paths.iter().map(place).collect() });
        }
        Ok(())
    }

    /// Adds the tensors of a block; `single` are its names in the single network.
    fn of_block(
        &mut self,
        planned: &PlannedBlock,
        single: &[String],
        wiring: &Wiring,
        number: usize,
        at: &str,
    ) -> Result<(), Error> {
        let place = dotted(at, &format!("{}.{}", planned.stage, planned.index));
        let shape = RoutingShape::square(wiring.paths as i64, planned.input.channels());
        // In the same order as those of the single network, which only has other names for them.
        let own = names(|params| Ok(planned.block.build(planned.input, params)?))?;
        let mut kept: HashSet<String> = own.iter().cloned().collect();
        match &wiring.crossings[number] {
            CrossingConfig::None => {}
            CrossingConfig::Connection(mixer) => {
                self.near_identity(&dotted(&place, "cross"), mixer.near_identity(shape));
            }
            CrossingConfig::Prediction(mixer, _) => {
                self.near_identity(&dotted(&place, "cross"), mixer.near_identity(shape));
                if let Some(crossable) = planned.block.crossable() {
                    let predicted = names(|params| Ok(crossable.build_predicted(planned.input, params)?))?;
                    kept = predicted.into_iter().collect();
                    let all = names(|params| layer_alone(planned, wiring, number, params))?;
                    let has_bias = own.iter().any(|name| !kept.contains(name) && last(name) == "bias");
                    let biases =
                        all.into_iter().filter(|name| name.starts_with("cross.target") && last(name) == "bias");
                    if !has_bias {
                        self.cleared.extend(biases.map(|name| dotted(&place, &name)));
                    }
                }
            }
        }
        for (single, own) in single.iter().zip(&own) {
            let of_path = |path: usize| match kept.contains(own) {
                true => Place { name: dotted(&place, &format!("path{path}.{own}")), source: None },
                false => {
                    Place { name: dotted(&place, &format!("cross.target{path}.{}", last(own))), source: Some(path - 1) }
                }
            };
            let places = (1..=wiring.paths).map(of_path).collect();
            self.tensors.push(Copied { name: single.clone(), places });
        }
        Ok(())
    }

    fn near_identity(&mut self, place: &str, values: Vec<(String, Vec<f64>)>) {
        self.routers.extend(values.into_iter().map(|(name, values)| (dotted(place, &name), values)));
    }
}

/// The names of the parameters of every layer of a chain, from the image on: a list for each block with what flows before it,
/// then one for the heads. The members of an ensemble have their layers in common, and so have an auxiliary classifier and the
/// head.
///
/// # Errors
/// As [`build`]; [`Error::NotAChain`].
pub fn layer_names(name: &str, options: &ModelOptions) -> Result<Vec<Vec<String>>, Error> {
    let parsed: ModelName = name.parse()?;
    if matches!(parsed.family.make, Make::Whole(_)) {
        return Err(Error::NotAChain { name: name.to_owned(), base: parsed.family.name.to_owned() });
    }
    let plan = chain_of(&parsed, options)?;
    let (wiring, members) = match parsed.variant {
        Variant::Single => (Wiring::single(&plan), 0),
        Variant::Ensemble { members } => (Wiring::single(&plan), members),
        Variant::Paths { paths, mechanism } => (wiring(name, &plan, paths, mechanism, options)?, 0),
    };
    let mut layers = (0..plan.blocks.len())
        .map(|at| names(|params| layer(&plan, &wiring, at, params)))
        .collect::<Result<Vec<_>, _>>()?;
    let of_blocks: HashSet<&String> = layers.iter().flatten().collect();
    let all = names(|params| match parsed.variant {
        Variant::Ensemble { .. } => {
            build(&ModelName { variant: Variant::Single, ..parsed }.to_string(), options, params)
        }
        _ => build(name, options, params),
    })?;
    let (first, rest): (Vec<_>, Vec<_>) =
        all.into_iter().filter(|name| !of_blocks.contains(name)).partition(|name| name.starts_with("split."));
    if let Some(stem) = layers.first_mut() {
        stem.splice(..0, first);
    }
    layers.push(rest);
    if members > 0 {
        for layer in &mut layers {
            let of_member = |member| layer.iter().map(move |name| format!("member{member}.{name}"));
            *layer = (1..=members).flat_map(of_member).collect();
        }
    }
    Ok(layers)
}

/// The places of a model's auxiliary classifiers, which only help to train: files of trained networks may lack them. None are
/// known of networks that are no chains.
///
/// # Errors
/// As [`build`].
pub fn auxiliaries(name: &str, options: &ModelOptions) -> Result<Vec<String>, Error> {
    let parsed: ModelName = name.parse()?;
    if matches!(parsed.family.make, Make::Whole(_)) {
        return Ok(Vec::new());
    }
    let places = chain_of(&parsed, options)?.auxiliaries.into_iter().map(|auxiliary| auxiliary.name);
    Ok(match parsed.variant {
        Variant::Ensemble { members } => {
            places.flat_map(|place| (1..=members).map(move |member| format!("member{member}.{place}"))).collect()
        }
        _ => places.collect(),
    })
}

/// A block's layer at the root, whatever its public place.
fn layer_alone(
    planned: &PlannedBlock,
    wiring: &Wiring,
    number: usize,
    params: &Params,
) -> Result<mp_blocks::Paths, Error> {
    let layer = mp_blocks::PathsConfig {
        crossing: wiring.crossings[number].clone(),
        ..mp_blocks::PathsConfig::new(planned.block.clone(), wiring.paths)
    };
    Ok(layer.build(planned.input, params, "layer")?)
}

/// The names of what is built, in order.
fn names<T>(build: impl FnOnce(&Params) -> Result<T, Error>) -> Result<Vec<String>, Error> {
    let store = Store::for_counting();
    build(&store.root())?;
    Ok(store.entries().into_iter().map(|entry| entry.name).collect())
}

fn dotted(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn last(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or_default()
}
