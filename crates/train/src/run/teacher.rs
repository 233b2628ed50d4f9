//! The procedure of a recipe, with the network that it learns from.

use std::path::Path;

use tch::Device;

use crate::Error;
use crate::apply::Trained;
use crate::checkpoint::Which;
use crate::folder::RunFolder;
use crate::images::Identity;
use crate::learn::{Distillation, Hints, Learner, Procedure, ScoreFunction, Supervised, Teacher};
use crate::recipe::{ProcedureConfig, Recipe};

/// The procedure that `recipe` names, for a run of `identity` whose epochs have so many steps.
///
/// # Errors
/// A teacher that cannot be read or was trained on other images or classes; a position that a network does not have; a model
/// that the procedure does not fit.
pub(super) fn procedure(
    recipe: &Recipe,
    learner: &Learner,
    identity: &Identity,
    steps_per_epoch: u64,
) -> Result<Box<dyn Procedure>, Error> {
    let device = learner.store().device();
    Ok(match &recipe.procedure {
        ProcedureConfig::Supervised => Box::new(Supervised),
        ProcedureConfig::Distillation(config) => {
            Box::new(Distillation::new(teacher(&config.teacher, identity, device)?, config.clone(), 0))
        }
        ProcedureConfig::Hints(config) => {
            let teacher = teacher(&config.teacher, identity, device)?;
            Box::new(Hints::new(teacher, config, learner, recipe, steps_per_epoch)?)
        }
        ProcedureConfig::ScoreFunction(config) => {
            Box::new(ScoreFunction::new(config.clone(), learner, steps_per_epoch)?)
        }
    })
}

fn teacher(folder: &str, identity: &Identity, device: Device) -> Result<Teacher, Error> {
    let trained = Trained::of_run(&RunFolder::open(Path::new(folder))?, Which::Best, device)?;
    let theirs = &trained.identity;
    let same = theirs.classes == identity.classes
        && (theirs.channels, theirs.size) == (identity.channels, identity.size)
        && (&theirs.mean, &theirs.std) == (&identity.mean, &identity.std);
    if !same {
        return Err(Error::Invalid {
            key: "procedure.teacher",
            value: format!(
                "\"{folder}\", which was trained on images of {}x{2}x{2} and {} classes",
                theirs.channels,
                theirs.classes.len(),
                theirs.size
            ),
            expected: format!(
                "a run on the same classes and images as this one, of {}x{2}x{2} and {} classes, with the same data.mean and \
                 data.std",
                identity.channels,
                identity.classes.len(),
                identity.size
            ),
        });
    }
    Ok(trained.into_teacher())
}
