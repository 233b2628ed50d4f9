//! What a study consists of, what is there, and what is missing.

use mp_train::Recipe;

use crate::Error;
use crate::folder::{Part, StudyFolder};
use crate::record::Record;
use crate::study::{Study, at_rate};

/// All runs of a study.
#[derive(Debug)]
pub struct Plan {
    entrants: Vec<EntrantPlan>,
}

#[derive(Debug)]
struct EntrantPlan {
    /// Each factor with its recipe.
    rates: Vec<(f64, Recipe, Option<Record>)>,
    /// Each seed with its recipe at the study's own rate.
    seeds: Vec<(u64, Recipe, Option<Record>)>,
}

/// A run that is missing.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The place of its entrant.
    pub entrant: usize,
    /// Which of its runs.
    pub part: Part,
    /// The factor of the learning rate.
    pub factor: f64,
    /// Its recipe.
    pub recipe: Recipe,
    /// Whether it can begin: runs that count wait for those that find their learning rate.
    pub is_ready: bool,
}

/// The learning rate that an entrant is trained with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Its factor of the recipe's rate.
    pub factor: f64,
    /// Whether it is the least or the greatest that was tried, so that one beyond may be better.
    pub is_at_edge: bool,
}

impl Plan {
    /// The plan of a study whose entrants have these networks, with the records that its folder holds.
    ///
    /// # Errors
    /// Records that are of another study or version, or belong to none of its runs.
    pub fn of(study: &Study, folder: &StudyFolder, networks: &[String]) -> Result<Self, Error> {
        let mut known = Vec::new();
        let mut entrants = Vec::new();
        for (place, (entrant, network)) in study.entrants.iter().zip(networks).enumerate() {
            let mut plan = EntrantPlan { rates: Vec::new(), seeds: Vec::new() };
            for &factor in study.rates.iter().flat_map(|rates| &rates.factors) {
                let Some(rates) = &study.rates else { continue };
                let recipe = study.trial_of(place, network, rates, factor)?;
                let part = Part::Rate(factor);
                known.push((entrant.name.clone(), part));
                let record = folder.record(&study.name, &entrant.name, part, &recipe)?;
                plan.rates.push((factor, recipe, record));
            }
            for &seed in &study.seeds {
                let part = Part::Seed(seed);
                known.push((entrant.name.clone(), part));
                let recipe = study.recipe_of(place, network, seed)?;
                let factor = plan.rate().map_or(1.0, |rate| rate.factor);
                let record = folder.record(&study.name, &entrant.name, part, &at_rate(&recipe, factor))?;
                plan.seeds.push((seed, recipe, record));
            }
            entrants.push(plan);
        }
        folder.ensure_known(&known)?;
        Ok(Plan { entrants })
    }

    /// Adds the record of a run that has ended.
    pub fn add(&mut self, entrant: usize, part: Part, record: Record) {
        let plan = &mut self.entrants[entrant];
        let place = match part {
            Part::Rate(factor) => plan.rates.iter_mut().find(|(of, ..)| *of == factor).map(|(.., record)| record),
            Part::Seed(seed) => plan.seeds.iter_mut().find(|(of, ..)| *of == seed).map(|(.., record)| record),
        };
        if let Some(place) = place {
            *place = Some(record);
        }
    }

    /// What is missing of these entrants (of all, where none is named), in the order in which it is run: first what finds the
    /// learning rates, then seed by seed, so that a study that is broken off has as many of each entrant.
    pub fn missing(&self, only: &[usize]) -> Vec<Planned> {
        let mut found = Vec::new();
        let chosen = || self.entrants.iter().enumerate().filter(|(place, _)| only.is_empty() || only.contains(place));
        for (entrant, plan) in chosen() {
            for (factor, recipe, record) in &plan.rates {
                if record.is_none() {
                    let (part, recipe) = (Part::Rate(*factor), recipe.clone());
                    found.push(Planned { entrant, part, factor: *factor, recipe, is_ready: true });
                }
            }
        }
        let seeds = self.entrants.first().map_or(0, |plan| plan.seeds.len());
        for at in 0..seeds {
            for (entrant, plan) in chosen() {
                let (seed, recipe, record) = &plan.seeds[at];
                if record.is_some() {
                    continue;
                }
                let rate = plan.rate();
                let factor = rate.map_or(1.0, |rate| rate.factor);
                let (part, recipe) = (Part::Seed(*seed), at_rate(recipe, factor));
                found.push(Planned { entrant, part, factor, recipe, is_ready: rate.is_some() });
            }
        }
        found
    }

    /// The learning rate of an entrant, once it is found.
    pub fn rate(&self, entrant: usize) -> Option<Rate> {
        self.entrants[entrant].rate()
    }

    /// The records of an entrant's runs that count, by seed.
    pub fn records(&self, entrant: usize) -> impl Iterator<Item = &Record> {
        self.entrants[entrant].seeds.iter().filter_map(|(.., record)| record.as_ref())
    }

    /// The recipe of an entrant with the study's first seed.
    pub fn recipe(&self, entrant: usize) -> &Recipe {
        &self.entrants[entrant].seeds[0].1
    }

    /// How many runs there are, and how many of them have ended.
    pub fn count(&self) -> (usize, usize) {
        let mut all = 0;
        let mut there = 0;
        for plan in &self.entrants {
            let records =
                plan.rates.iter().map(|(.., record)| record).chain(plan.seeds.iter().map(|(.., record)| record));
            for record in records {
                all += 1;
                there += usize::from(record.is_some());
            }
        }
        (all, there)
    }
}

impl EntrantPlan {
    /// The factor whose run is the most accurate on the validation images, the lower one of equals; none while one is missing.
    fn rate(&self) -> Option<Rate> {
        if self.rates.is_empty() {
            return Some(Rate { factor: 1.0, is_at_edge: false });
        }
        let mut tried = Vec::new();
        for (factor, _, record) in &self.rates {
            // What broke off is worse than anything.
            tried.push((*factor, record.as_ref()?.last().unwrap_or(-1.0)));
        }
        tried.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut best = 0;
        for (at, (_, accuracy)) in tried.iter().enumerate() {
            if *accuracy > tried[best].1 {
                best = at;
            }
        }
        let is_at_edge = tried.len() > 1 && (best == 0 || best == tried.len() - 1);
        Some(Rate { factor: tried[best].0, is_at_edge })
    }
}
