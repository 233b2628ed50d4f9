//! The layers of a multi-path model one by one: how each can be computed, and how it is asked to be.

use mp_blocks::{Execution, PathsConfig, Shape, SharedBlock};

use crate::chain::chain_of;
use crate::plan::PlannedBlock;
use crate::wiring::{ways, wiring};
use crate::{Error, Make, ModelName, ModelOptions, Variant};

/// A layer of parallel paths as [`build`](crate::build()) would build it, without what flows between the paths: what is measured to choose
/// an [`Execution`].
#[derive(Clone, Debug)]
pub struct LayerPlan {
    /// The position, as in [`RoutingConfig::execution`](crate::RoutingConfig::execution).
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

/// A block of a chain that each image may skip.
#[derive(Clone, Debug)]
pub struct SkipPlan {
    /// Its position.
    pub position: String,
    /// The block.
    pub block: SharedBlock,
    /// The shape of its input.
    pub input: Shape,
}

/// The blocks of a chain's path that images may skip, in order; none for other networks.
///
/// # Errors
/// As [`build`](crate::build()).
pub fn skippable(name: &str, options: &ModelOptions) -> Result<Vec<SkipPlan>, Error> {
    let parsed: ModelName = name.parse()?;
    if matches!(parsed.family.make, Make::Whole(_)) {
        return Ok(Vec::new());
    }
    let plan = chain_of(&parsed, options)?;
    let skipped = plan.blocks.iter().filter(|planned| planned.block.decides());
    Ok(skipped
        .map(|planned| SkipPlan { position: planned.position(), block: planned.block.clone(), input: planned.input })
        .collect())
}
