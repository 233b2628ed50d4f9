//! How the paths of a chain are wired: what flows before which block, and how each block's entries are computed.

use mp_blocks::{CrossingConfig, EntryShape, Execution};
use mp_routing::{MixerConfig, SharedRouter, Split};

use crate::network::Wiring;
use crate::plan::{Plan, PlannedBlock};
use crate::{Error, Mechanism, ModelOptions, Positions, RoutingConfig};

/// The wiring of `paths` paths of a plan.
pub(crate) fn wiring(
    name: &str,
    plan: &Plan,
    paths: usize,
    mechanism: Option<&'static Mechanism>,
    options: &ModelOptions,
) -> Result<Wiring, Error> {
    let routing = &options.routing;
    let mixer: SharedRouter =
        mechanism.map_or_else(|| MixerConfig::IDENTITY.into(), |mechanism| (mechanism.mixer)(&routing.mixer));
    let crossing = mechanism.map(|mechanism| (mechanism.crossing)(mixer.clone(), routing.form)).unwrap_or_default();
    let crossings: Vec<CrossingConfig> = routed(name, plan, &routing.positions)?
        .into_iter()
        .map(|here| if here { crossing.clone() } else { CrossingConfig::None })
        .collect();
    if let Some(block) = plan.blocks.iter().find(|block| mixer.is_hard() && block.block.decides()) {
        let problem = "its blocks decide by themselves which images they run for: use another network";
        return Err(mp_blocks::Error::Hard { layer: block.position(), problem }.into());
    }
    let executions = executions(name, plan, &crossings, routing)?;
    Ok(Wiring { paths, split: routing.split, mixer, crossings, executions, merge: routing.merge })
}

/// For every block of the plan, whether features cross before it.
fn routed(name: &str, plan: &Plan, positions: &Positions) -> Result<Vec<bool>, Error> {
    let first = plan.blocks.first().map(PlannedBlock::position);
    let after_first = |block: &PlannedBlock| first != Some(block.position());
    if let Positions::List(list) = positions {
        let valid: Vec<String> = plan.blocks.iter().filter(|b| after_first(b)).map(|b| b.position()).collect();
        if let Some(unknown) = list.iter().find(|position| !valid.contains(position)) {
            return Err(Error::UnknownPosition { name: name.to_owned(), position: unknown.clone(), valid });
        }
    }
    Ok(plan
        .blocks
        .iter()
        .map(|block| {
            after_first(block)
                && match positions {
                    Positions::Stages => block.index == 0,
                    Positions::Blocks => true,
                    Positions::List(list) => list.contains(&block.position()),
                }
        })
        .collect())
}

/// For every block of the plan, how the entries of its paths are computed.
fn executions(
    name: &str,
    plan: &Plan,
    crossings: &[CrossingConfig],
    routing: &RoutingConfig,
) -> Result<Vec<Execution>, Error> {
    let refused = |position: &str, execution: Execution, problem: String| Error::Execution {
        name: name.to_owned(),
        position: position.to_owned(),
        execution,
        problem,
    };
    let positions: Vec<String> = plan.blocks.iter().map(PlannedBlock::position).collect();
    if let Some((unknown, execution)) = routing.execution.iter().find(|(position, _)| !positions.contains(position)) {
        return Err(refused(unknown, *execution, format!("expected a block of {}", positions.join(", "))));
    }
    let chosen = positions.iter().zip(crossings).enumerate().map(|(at, (position, crossing))| {
        let execution = routing.execution.get(position).copied().unwrap_or_default();
        let possible = ways(plan, at, crossing, routing);
        if possible.contains(&execution) {
            return Ok(execution);
        }
        let names: Vec<&str> = possible.iter().map(|way| way.name()).collect();
        Err(refused(position, execution, format!("expected {}", names.join(" or "))))
    });
    chosen.collect()
}

/// The ways in which the entries of a block's paths can be computed.
pub(crate) fn ways(plan: &Plan, at: usize, crossing: &CrossingConfig, routing: &RoutingConfig) -> Vec<Execution> {
    let planned = &plan.blocks[at];
    let entry = planned.block.crossable().and_then(|crossable| crossable.entry(planned.input).ok());
    let convolution = matches!(entry, Some(EntryShape::Convolution(_)));
    if !convolution || matches!(crossing, CrossingConfig::Prediction(..)) {
        return vec![Execution::Separate];
    }
    // Only the image is the same for all paths.
    let one_input = at == 0 && routing.split == Split::Plain;
    Execution::ALL.into_iter().filter(|way| *way != Execution::Stacked || one_input).collect()
}
