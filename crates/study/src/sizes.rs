//! Which network an entrant with a family alone gets: the size whose cost matches.

use std::collections::BTreeMap;

use mp_train::bench::{self, Benchmark};
use mp_train::recipe::Spec;
use mp_train::{Corpus, Recipe};
use mp_zoo::{ModelOptions, cost_of, families, nearest_size};

use crate::folder::{Sizes, StudyFolder, Times};
use crate::study::{MatchBy, Network, Study};
use crate::{Error, NoMatch};

/// Rounds of a measurement, in each of which every network takes its turn.
const ROUNDS: usize = 7;

/// The networks of all entrants, by their places: those that are matched as they were found before, or found now and kept.
/// `images` gives the images that the networks see, and is asked only where sizes must be found.
///
/// # Errors
/// [`Error::NoMatch`]; sizes that were found for another match; what `images` returns.
pub fn networks(
    study: &Study,
    folder: &StudyFolder,
    images: impl FnOnce(&Recipe) -> Result<Corpus, Error>,
) -> Result<Vec<String>, Error> {
    let named = |network: &Network| match network {
        Network::Model(name) => Some(name.clone()),
        Network::Family(_) => None,
    };
    let Some(matched) = &study.matched else {
        return Ok(study.entrants.iter().filter_map(|entrant| named(&entrant.network)).collect());
    };
    let place = study.place(&matched.to, "match.to")?;
    let to = named(&study.entrants[place].network).unwrap_or_default();
    let kept = folder.sizes()?.filter(|sizes| sizes.matched == *matched && sizes.to == to);
    let mut models = kept.map(|sizes| sizes.models).unwrap_or_default();
    let missing = |models: &BTreeMap<String, String>| {
        let is_missing = |entrant: &&crate::Entrant| match &entrant.network {
            Network::Family(family) => models.get(&entrant.name).is_none_or(|model| !is_size_of(model, family)),
            Network::Model(_) => false,
        };
        study.entrants.iter().filter(is_missing).cloned().collect::<Vec<_>>()
    };
    let to_find = missing(&models);
    if !to_find.is_empty() {
        let recipe = study.recipe_of(place, &to, study.seeds[0])?;
        let options = images(&recipe)?.identity(&recipe).options();
        let reference = cost_of(&to, &options)?;
        let spec = Spec::new(&to, recipe.model.routing.clone());
        for entrant in to_find {
            let Network::Family(family) = &entrant.network else { continue };
            let plain = ModelOptions::new(options.interface.clone());
            let (name, ratio) = match matched.by {
                MatchBy::Parameters => by_count(family, reference.parameters, &plain, |cost| cost.parameters)?,
                MatchBy::MultiplyAdds => by_count(family, reference.multiply_adds, &plain, |cost| cost.multiply_adds)?,
                MatchBy::Ms => by_time(family, &spec, &recipe)?,
            };
            if (ratio - 1.0).abs() > matched.tolerance {
                return Err(Error::NoMatch(Box::new(NoMatch {
                    entrant: entrant.name,
                    family: family.clone(),
                    to,
                    by: matched.by.name(),
                    tolerance: 100.0 * matched.tolerance,
                    nearest: name,
                    ratio,
                })));
            }
            models.insert(entrant.name, name);
        }
        folder.keep_sizes(&Sizes { matched: matched.clone(), to, models: models.clone() })?;
    }
    let of = |entrant: &crate::Entrant| named(&entrant.network).or_else(|| models.get(&entrant.name).cloned());
    Ok(study.entrants.iter().filter_map(of).collect())
}

fn is_size_of(model: &str, family: &str) -> bool {
    model.parse::<mp_zoo::ModelName>().is_ok_and(|name| name.family.name == family)
}

fn by_count(
    family: &str,
    goal: u64,
    options: &ModelOptions,
    count: impl Fn(&mp_zoo::Cost) -> u64,
) -> Result<(String, f64), Error> {
    let (name, cost) =
        nearest_size(family_of(family)?, goal as f64, |name| Ok(count(&cost_of(name, options)?) as f64))?;
    Ok((name, cost / goal as f64))
}

fn by_time(family: &str, to: &Spec, recipe: &Recipe) -> Result<(String, f64), Error> {
    let mut failed = None;
    let found = nearest_size(family_of(family)?, 1.0, |name| {
        let routing = mp_zoo::RoutingConfig::default();
        let ratio =
            measured(&[to.clone(), Spec::new(name, routing)], recipe).map(|report| report.models[1].ratio_to_first);
        // After a failure the search only has to end.
        Ok(ratio.unwrap_or_else(|error| {
            failed.get_or_insert(error);
            1.0
        }))
    })?;
    failed.map_or(Ok(found), Err)
}

fn family_of(name: &str) -> Result<&'static mp_zoo::Family, Error> {
    let found = families().into_iter().find(|family| family.name == name);
    found.ok_or_else(|| {
        mp_zoo::Error::UnknownModel { name: name.to_owned(), hint: "`mp-train models` lists them".to_owned() }.into()
    })
}

/// How long a training step of each network takes, in turns, with the recipe's batch and number format.
fn measured(models: &[Spec], recipe: &Recipe) -> Result<bench::Report, Error> {
    let benchmark = Benchmark {
        models: models.to_vec(),
        batch: recipe.train.batch_size,
        precision: recipe.train.precision,
        rounds: ROUNDS,
        device: recipe.train.device,
        ..Benchmark::default()
    };
    Ok(bench::run(&benchmark, &mut |_| {})?)
}

/// Measures a training step of every entrant, with the networks' routing as their recipes have it. Networks are given the images
/// that they were published for.
///
/// # Errors
/// Those of the bench.
pub fn times(study: &Study, networks: &[String]) -> Result<Times, Error> {
    let recipes = (0..networks.len()).map(|at| study.recipe_of(at, &networks[at], study.seeds[0]));
    let recipes = recipes.collect::<Result<Vec<Recipe>, Error>>()?;
    // The first is what the others are measured against.
    let mut order: Vec<usize> = (0..networks.len()).collect();
    order.swap(0, study.reference);
    let specs: Vec<Spec> =
        order.iter().map(|at| Spec::new(&networks[*at], recipes[*at].model.routing.clone())).collect();
    let report = measured(&specs, &recipes[study.reference])?;
    let named = |figure: fn(&bench::Timed) -> f64| {
        order.iter().zip(&report.models).map(|(at, timed)| (study.entrants[*at].name.clone(), figure(timed))).collect()
    };
    Ok(Times {
        processor: mp_train::machine::processor(),
        threads: report.threads,
        batch: report.batch,
        rounds: ROUNDS,
        ms: named(|timed| timed.ms_median),
        ratio: named(|timed| timed.ratio_to_first),
    })
}
