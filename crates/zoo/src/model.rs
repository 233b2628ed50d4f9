//! Models by name.

use mp_blocks::CrossingConfig;
use mp_nn::{Mode, Params, Tensor};
use mp_routing::{Merge, MixerConfig, Trace};

use crate::layers::executions;
use crate::network::{Network, Wiring};
use crate::plan::Plan;
use crate::{Error, Mechanism, ModelName, ModelOptions, Positions, Variant};

/// What a forward pass gives.
#[derive(Debug)]
pub struct Output {
    /// The network's logits `[B, N]`.
    pub logits: Tensor,
    /// The logits of each path (of each member, in an ensemble) before they are merged, `[B, N]`.
    pub paths: Vec<Tensor>,
    /// The weights of every routing layer, in order; empty without routing.
    pub trace: Trace,
}

/// On what the loss of a model is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// On the merged logits.
    Joint,
    /// On each of [`Output::paths`] by itself, then averaged: ensembles.
    PerMember,
}

/// A network that takes images `[B, C, H, W]` and gives logits `[B, N]`.
pub struct Model {
    name: String,
    body: Body,
}

enum Body {
    Network(Network),
    Ensemble(Vec<Network>),
}

/// Builds the model of the given name at `params`.
///
/// # Errors
/// An unknown name (with the nearest), more paths than a routing layer takes, images too small for the network, an
/// unknown routing position, a routing value out of range, an execution that a block does not have.
pub fn build(name: &str, options: &ModelOptions, params: &Params) -> Result<Model, Error> {
    let parsed: ModelName = name.parse()?;
    let input = options.input;
    let plan = (parsed.family.plan)(parsed.family.name, input, parsed.width.unwrap_or(parsed.family.width));
    check_input(name, &plan, options)?;
    let network =
        |wiring: &Wiring, params: &Params| Network::build(&plan, wiring, input.channels, input.classes, params);
    let body = match parsed.variant {
        Variant::Single => Body::Network(network(&Wiring::single(&plan), params)?),
        Variant::Paths { paths, mechanism } => {
            Body::Network(network(&wiring(name, &plan, paths, mechanism, options)?, params)?)
        }
        Variant::Ensemble { members } => Body::Ensemble(
            (1..=members)
                .map(|m| network(&Wiring::single(&plan), &(params / format!("member{m}").as_str())))
                .collect::<Result<_, _>>()?,
        ),
    };
    Ok(Model { name: parsed.to_string(), body })
}

impl Model {
    /// Its full name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// On what its loss is taken.
    pub fn objective(&self) -> Objective {
        match self.body {
            Body::Network(_) => Objective::Joint,
            Body::Ensemble(_) => Objective::PerMember,
        }
    }

    /// Images `[B, C, H, W]` to logits and trace.
    ///
    /// # Panics
    /// On images of another number of channels, or smaller than the model was built for.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Output {
        match &self.body {
            Body::Network(network) => network.forward(x, mode),
            Body::Ensemble(members) => {
                let paths: Vec<Tensor> = members.iter().map(|member| member.forward(x, mode).logits).collect();
                Output { logits: Merge::Probabilities.merge(&paths), paths, trace: Trace::new() }
            }
        }
    }
}

pub(crate) fn wiring(
    name: &str,
    plan: &Plan,
    paths: usize,
    mechanism: Mechanism,
    options: &ModelOptions,
) -> Result<Wiring, Error> {
    let routing = &options.routing;
    let mixer = match (mechanism, &routing.mixer) {
        (Mechanism::None, _) => MixerConfig::Identity,
        (Mechanism::Stitch, MixerConfig::Learned(learned)) => MixerConfig::Learned(learned.clone()),
        (Mechanism::Stitch, _) => MixerConfig::Learned(Default::default()),
        (Mechanism::CrossConnection | Mechanism::CrossPrediction, mixer) => mixer.clone(),
    };
    let crossing = match mechanism {
        Mechanism::None => CrossingConfig::None,
        Mechanism::CrossConnection | Mechanism::Stitch => CrossingConfig::Connection(mixer.clone()),
        Mechanism::CrossPrediction => CrossingConfig::Prediction(mixer.clone(), routing.form),
    };
    let crossings: Vec<CrossingConfig> = routed(name, plan, &routing.positions)?
        .into_iter()
        .map(|here| if here { crossing.clone() } else { CrossingConfig::None })
        .collect();
    let executions = executions(name, plan, &crossings, routing)?;
    Ok(Wiring { paths, split: routing.split, mixer, crossings, executions, merge: routing.merge })
}

/// For every block of the plan, whether features cross before it.
fn routed(name: &str, plan: &Plan, positions: &Positions) -> Result<Vec<bool>, Error> {
    let first = plan.blocks.first();
    let after_first = |block| first != Some(block);
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

pub(crate) fn check_input(name: &str, plan: &Plan, options: &ModelOptions) -> Result<(), Error> {
    let input = options.input;
    let refuse = |problem: String| Err(Error::Input { name: name.to_owned(), problem });
    if input.channels < 1 || input.classes < 1 {
        return refuse(format!(
            "needs images of at least one channel and at least one class, found {} and {}",
            input.channels, input.classes
        ));
    }
    let fits = |size: i64| {
        plan.blocks
            .iter()
            .try_fold(size, |size, planned| {
                let size = planned.block.output_size(size);
                (size >= 1).then_some(size)
            })
            .is_some()
    };
    if !fits(input.size) {
        let least = (1..=1024).find(|size| fits(*size)).unwrap_or(1024);
        return refuse(format!("needs images of at least {least}x{least}, found {size}x{size}", size = input.size));
    }
    Ok(())
}
