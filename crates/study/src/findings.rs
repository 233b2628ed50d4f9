//! What the runs of a study show.

use std::collections::BTreeMap;

use mp_routing::figure;
use serde::Serialize;

use crate::Error;
use crate::folder::{Part, StudyFolder, Times};
use crate::plan::Plan;
use crate::record::{Machine, Record};
use crate::statistics::{Difference, Estimate, holm};
use crate::study::Study;

/// What the runs of a study show.
#[derive(Debug, Clone, Serialize)]
pub struct Findings {
    /// The study.
    pub study: String,
    /// The data set, by the name that the study gives it.
    pub data: String,
    /// Which images the figures of single epochs are measured on.
    pub valid_split: String,
    /// Epochs of each run.
    pub epochs: u64,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// The entrant that the others are compared with.
    pub reference: String,
    /// The validation accuracy whose time is told.
    pub target: Option<f64>,
    /// All runs, and those that have ended.
    pub runs: (usize, usize),
    /// What each entrant reached.
    pub entrants: Vec<EntrantFindings>,
    /// What ran the runs.
    pub machines: Vec<Machine>,
    /// How long steps take.
    pub times: Option<Times>,
}

/// What an entrant reached. Accuracies are shares.
#[derive(Debug, Clone, Serialize)]
pub struct EntrantFindings {
    /// Its name.
    pub name: String,
    /// Its network.
    pub model: String,
    /// Numbers that are trained.
    pub parameters: Option<u64>,
    /// Multiply-adds of one image.
    pub multiply_adds: Option<u64>,
    /// Milliseconds of a training step.
    pub ms: Option<f64>,
    /// That over the reference's, from the same rounds.
    pub ms_ratio: Option<f64>,
    /// Its learning rate.
    pub rate: Option<f64>,
    /// Whether that is the least or the greatest that was tried.
    pub rate_is_at_edge: bool,
    /// Seeds whose runs broke off.
    pub diverged: Vec<u64>,
    /// Validation accuracy after the last epoch.
    pub last: Option<Estimate>,
    /// The greatest validation accuracy of any epoch.
    pub best: Option<Estimate>,
    /// Accuracy on the test images after the last epoch.
    pub test: Option<Estimate>,
    /// Test accuracy less that of the reference with the same seed; none for the reference.
    pub difference: Option<Difference>,
    /// Seconds of training steps until the target, the mean of the runs that reach it, and how many do.
    pub to_target: Option<(f64, usize)>,
    /// How it routes.
    pub routes: Option<RoutesFindings>,
    /// Test accuracy of each class, the mean over the seeds.
    pub classes: Vec<(String, f64)>,
    /// Mean validation accuracy of each epoch.
    #[serde(with = "figure")]
    pub curve: Vec<f64>,
}

/// How an entrant routes: means over the seeds.
#[derive(Debug, Clone, Serialize)]
pub struct RoutesFindings {
    /// Each layer: its name, the mutual information of input and route in nats, and the share of the least used path.
    pub layers: Vec<(String, f64, f64)>,
    /// What test accuracy falls by with every gate replaced by its mean.
    pub frozen: Option<Estimate>,
    /// With the routes of other images.
    pub shuffled: Option<Estimate>,
    /// With even routes.
    pub uniform: Option<Estimate>,
}

impl Findings {
    /// Those of the runs that are there.
    ///
    /// # Errors
    /// Records that are of other images than the first.
    pub fn of(study: &Study, folder: &StudyFolder, networks: &[String], plan: &Plan) -> Result<Self, Error> {
        ensure_same_images(study, folder, plan)?;
        let times = folder.times()?;
        let target = study.target.or_else(|| reached_by_all(study, plan));
        let mut entrants: Vec<EntrantFindings> =
            (0..study.entrants.len()).map(|at| entrant(study, networks, plan, times.as_ref(), target, at)).collect();
        let mut differences: Vec<&mut Difference> =
            entrants.iter_mut().filter_map(|entrant| entrant.difference.as_mut()).collect();
        holm(&mut differences);
        let recipe = plan.recipe(study.reference);
        let mut machines: Vec<Machine> = Vec::new();
        let records = (0..study.entrants.len()).flat_map(|at| plan.records(at));
        let mut valid_split = String::new();
        for record in records {
            if record.diverged.is_none() {
                record.valid_split.clone_into(&mut valid_split);
                if !machines.contains(&record.machine) {
                    machines.push(record.machine.clone());
                }
            }
        }
        Ok(Findings {
            study: study.name.clone(),
            data: recipe.data.name.clone(),
            valid_split,
            epochs: recipe.train.epochs,
            seeds: study.seeds.clone(),
            reference: study.entrants[study.reference].name.clone(),
            target,
            runs: plan.count(),
            entrants,
            machines,
            times,
        })
    }
}

/// Which images are held out depends on the seed: runs of one seed have learnt from the same ones.
fn ensure_same_images(study: &Study, folder: &StudyFolder, plan: &Plan) -> Result<(), Error> {
    let mut first: BTreeMap<u64, &Record> = BTreeMap::new();
    for at in 0..study.entrants.len() {
        for record in plan.records(at).filter(|record| record.diverged.is_none()) {
            let expected = *first.entry(record.seed).or_insert(record);
            if record.images != expected.images {
                let path = folder.file(&record.entrant, Part::Seed(record.seed));
                let message = format!(
                    "was trained on other images than entrant `{}` with the same seed: move it away, and run it on the same data",
                    expected.entrant
                );
                return Err(Error::record(&path, message));
            }
        }
    }
    Ok(())
}

/// The least validation accuracy that any run ends with: every entrant reaches it.
fn reached_by_all(study: &Study, plan: &Plan) -> Option<f64> {
    let best = (0..study.entrants.len()).flat_map(|at| plan.records(at)).filter_map(Record::best);
    best.fold(None, |least: Option<f64>, found| Some(least.map_or(found, |least| least.min(found))))
}

fn entrant(
    study: &Study,
    networks: &[String],
    plan: &Plan,
    times: Option<&Times>,
    target: Option<f64>,
    at: usize,
) -> EntrantFindings {
    let name = &study.entrants[at].name;
    let ended: Vec<&Record> = plan.records(at).filter(|record| record.diverged.is_none()).collect();
    let estimate = |figure: &dyn Fn(&Record) -> Option<f64>| {
        Estimate::of(&ended.iter().filter_map(|record| figure(record)).collect::<Vec<f64>>())
    };
    let test = |record: &Record| record.test.as_ref().map(|test| test.accuracy);
    let differences: Vec<f64> = ended
        .iter()
        .filter_map(|record| {
            let other = plan.records(study.reference).find(|other| other.seed == record.seed)?;
            Some(test(record)? - test(other)?)
        })
        .collect();
    let rate = plan.rate(at);
    let curve = (0..ended.iter().map(|record| record.epochs.len()).max().unwrap_or(0)).map(|epoch| {
        let accuracies: Vec<f64> =
            ended.iter().filter_map(|record| record.epochs.get(epoch)).map(|epoch| epoch.valid_accuracy).collect();
        accuracies.iter().sum::<f64>() / accuracies.len() as f64
    });
    EntrantFindings {
        name: name.clone(),
        model: networks[at].clone(),
        parameters: ended.first().map(|record| record.parameters),
        multiply_adds: ended.first().map(|record| record.multiply_adds),
        ms: times.and_then(|times| times.ms.get(name).copied()),
        ms_ratio: times.and_then(|times| times.ratio.get(name).copied()),
        rate: rate.map(|rate| rate.factor * plan.recipe(at).optimiser.lr),
        rate_is_at_edge: rate.is_some_and(|rate| rate.is_at_edge),
        diverged: plan.records(at).filter(|record| record.diverged.is_some()).map(|record| record.seed).collect(),
        last: estimate(&Record::last),
        best: estimate(&Record::best),
        test: estimate(&test),
        difference: (at != study.reference).then(|| Difference::of(&differences)).flatten(),
        to_target: target.and_then(|target| to_target(&ended, target)),
        routes: routes(&ended),
        classes: classes(&ended),
        curve: curve.collect(),
    }
}

/// Seconds until a validation accuracy: the mean of those runs that reach it.
fn to_target(ended: &[&Record], target: f64) -> Option<(f64, usize)> {
    let seconds: Vec<f64> = ended
        .iter()
        .filter_map(|record| {
            let epochs = record.epochs.iter().position(|epoch| epoch.valid_accuracy >= target)? + 1;
            Some(record.train_seconds * epochs as f64 / record.epochs.len() as f64)
        })
        .collect();
    (!seconds.is_empty()).then(|| (seconds.iter().sum::<f64>() / seconds.len() as f64, seconds.len()))
}

fn routes(ended: &[&Record]) -> Option<RoutesFindings> {
    let of: Vec<(f64, &crate::record::RoutesRecord)> =
        ended.iter().filter_map(|record| Some((record.test.as_ref()?.accuracy, record.routes.as_ref()?))).collect();
    let (_, first) = of.first()?;
    let mean = |figure: &dyn Fn(&crate::record::RoutesRecord) -> f64| {
        of.iter().map(|(_, routes)| figure(routes)).sum::<f64>() / of.len() as f64
    };
    let layers = (0..first.layers.len()).map(|at| {
        let information = mean(&|routes| routes.layers[at].mutual_information);
        let least = mean(&|routes| routes.layers[at].least_share());
        (first.layers[at].name.clone(), information, least)
    });
    let falls = |figure: fn(&crate::record::RoutesRecord) -> Option<f64>| {
        Estimate::of(&of.iter().filter_map(|(own, routes)| Some(own - figure(routes)?)).collect::<Vec<f64>>())
    };
    Some(RoutesFindings {
        layers: layers.collect(),
        frozen: falls(|routes| routes.frozen),
        shuffled: falls(|routes| routes.shuffled),
        uniform: falls(|routes| routes.uniform),
    })
}

fn classes(ended: &[&Record]) -> Vec<(String, f64)> {
    let tests: Vec<_> = ended.iter().filter_map(|record| record.test.as_ref()).collect();
    let Some(first) = tests.first() else { return Vec::new() };
    let mean = |(at, (name, _)): (usize, &(String, Option<f64>))| {
        let of: Vec<f64> = tests.iter().filter_map(|test| test.classes.get(at)?.1).collect();
        (!of.is_empty()).then(|| (name.clone(), of.iter().sum::<f64>() / of.len() as f64))
    };
    first.classes.iter().enumerate().filter_map(mean).collect()
}
