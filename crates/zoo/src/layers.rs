//! The layers of a multi-path model one by one: how each can be computed, and how it is asked to be.

use mp_blocks::{CrossingConfig, EntryShape, Execution, PathsConfig, Shape};
use mp_routing::Split;

use crate::model::{chain_of, wiring};
use crate::plan::{Plan, PlannedBlock};
use crate::{Error, ModelName, ModelOptions, RoutingConfig, Variant};

/// A layer of parallel paths as [`build`](crate::build()) would build it, without what flows between the paths: what is measured to choose
/// an [`Execution`].
#[derive(Clone, Debug)]
pub struct LayerPlan {
    /// The position, as in [`RoutingConfig::execution`].
    pub position: String,
    /// The layer, with the execution that the options name.
    pub paths: PathsConfig,
    /// The shape of each path's input.
    pub input: Shape,
    /// Whether all paths have one input.
    pub one_input: bool,
    /// The ways in which it can be computed.
    pub ways: Vec<Execution>,
}

/// The layers of a model of parallel paths, in order; none for single networks and ensembles.
///
/// # Errors
/// As [`build`](crate::build()).
pub fn layers(name: &str, options: &ModelOptions) -> Result<Vec<LayerPlan>, Error> {
    let parsed: ModelName = name.parse()?;
    let Variant::Paths { paths, mechanism } = parsed.variant else { return Ok(Vec::new()) };
    let plan = chain_of(&parsed, options)?;
    let wiring = wiring(name, &plan, paths, mechanism, options)?;
    let layer = |(at, planned): (usize, &PlannedBlock)| {
        let ways = ways(&plan, at, &wiring.crossings[at], &options.routing);
        LayerPlan {
            position: planned.position(),
            paths: PathsConfig { execution: wiring.executions[at], ..PathsConfig::new(planned.block.clone(), paths) },
            input: planned.input,
            one_input: ways.contains(&Execution::Stacked),
            ways,
        }
    };
    Ok(plan.blocks.iter().enumerate().map(layer).collect())
}

/// For every block of the plan, how the entries of its paths are computed.
pub(crate) fn executions(
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
fn ways(plan: &Plan, at: usize, crossing: &CrossingConfig, routing: &RoutingConfig) -> Vec<Execution> {
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
