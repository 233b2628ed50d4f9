//! Models by name.

use mp_blocks::CrossingConfig;
use mp_nn::{Mode, Params, Tensor};
use mp_routing::{Merge, MixerConfig, Pass, SharedRouter, Trace};

use crate::layers::executions;
use crate::network::{Chain, Network, Wiring};
use crate::plan::{Plan, PlannedBlock};
use crate::{Error, Head, HeadRole, Interface, Make, Mechanism, ModelName, ModelOptions, Output, Positions, Variant};

/// A network by its name: images `[B, C, H, W]` to an [`Output`].
pub struct Model {
    name: String,
    body: Body,
}

enum Body {
    Network(Box<dyn Network>),
    Ensemble(Vec<Box<dyn Network>>),
}

/// Builds the model of the given name at `params`.
///
/// # Errors
/// An unknown name (with the nearest), more paths than a routing layer takes, images too small for the network, an
/// unknown routing position, a routing value out of range, an execution that a block does not have.
pub fn build(name: &str, options: &ModelOptions, params: &Params) -> Result<Model, Error> {
    let parsed: ModelName = name.parse()?;
    let body = match parsed.variant {
        Variant::Single => Body::Network(single(&parsed, options, params)?),
        Variant::Paths { paths, mechanism } => {
            let plan = chain_of(&parsed, options)?;
            let wiring = wiring(name, &plan, paths, mechanism, options)?;
            Body::Network(Box::new(Chain::build(&plan, &wiring, &options.interface, params)?))
        }
        Variant::Ensemble { members } => Body::Ensemble(
            (1..=members)
                .map(|m| single(&parsed, options, &(params / format!("member{m}").as_str())))
                .collect::<Result<_, _>>()?,
        ),
    };
    Ok(Model { name: parsed.to_string(), body })
}

fn single(name: &ModelName, options: &ModelOptions, params: &Params) -> Result<Box<dyn Network>, Error> {
    match name.family.make {
        Make::Whole(make) => {
            check_interface(name, &options.interface, &|interface| {
                let store = mp_nn::Store::for_counting();
                make(&name.size(), interface, &store.root()).map(|_| ())
            })?;
            make(&name.size(), &options.interface, params)
        }
        Make::Chain(_) => {
            let plan = chain_of(name, options)?;
            Ok(Box::new(Chain::build(&plan, &Wiring::single(&plan), &options.interface, params)?))
        }
    }
}

/// The plan of the name's single-path network.
pub(crate) fn chain_of(name: &ModelName, options: &ModelOptions) -> Result<Plan, Error> {
    let Make::Chain(make) = name.family.make else {
        return Err(Error::NotAChain { name: name.to_string(), base: name.family.name.to_owned() });
    };
    let plan = |interface: &Interface| make(&name.size(), interface);
    check_interface(name, &options.interface, &|interface| plan(interface).map(|_| ()))?;
    plan(&options.interface)
}

/// Fails for images that the network does not take, saying how large they must be.
fn check_interface(
    name: &ModelName,
    interface: &Interface,
    plan: &dyn Fn(&Interface) -> Result<(), Error>,
) -> Result<(), Error> {
    let refuse = |problem: String| Err(Error::Input { name: name.to_string(), problem });
    let channels = interface.input.channels();
    let classes = interface.heads.iter().map(|(_, target)| target.classes()).min().unwrap_or(0);
    if channels < 1 || classes < 1 {
        return refuse(format!(
            "needs images of at least one channel and at least one class, found {channels} and {classes}"
        ));
    }
    let Err(error) = plan(interface) else { return Ok(()) };
    let (height, width) = interface.input.extent();
    if !matches!(error, Error::Blocks(mp_blocks::Error::Shape { .. })) {
        return Err(error);
    }
    match (1..=1024).find(|size| plan(&interface.with_size(*size)).is_ok()) {
        Some(least) if least > height.min(width) => {
            refuse(format!("needs images of at least {least}x{least}, found {height}x{width}"))
        }
        _ => Err(error),
    }
}

impl Model {
    /// Its full name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Images `[B, C, H, W]` to heads and trace.
    ///
    /// # Panics
    /// On images of another number of channels, or smaller than the model was built for.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Output {
        self.applied(x, Pass::new(mode))
    }

    /// The same, keeping the features after the blocks at these positions, such as `stage2` or `stage2.1`; of several paths
    /// each has its own, `stage2.path1`. A position that the model does not have gives none.
    ///
    /// # Panics
    /// As [`Model::forward`].
    pub fn forward_tapping(&self, x: &Tensor, mode: Mode, positions: &[&str]) -> Output {
        self.applied(x, Pass::new(mode).tapping(positions))
    }

    fn applied(&self, x: &Tensor, mut pass: Pass) -> Output {
        let heads = self.heads(x, &mut pass);
        Output { heads, taps: pass.taps, trace: pass.trace }
    }

    /// The same with every decision taken from a trace instead: what other images' routes, or mean routes, would give.
    ///
    /// # Errors
    /// [`mp_routing::Error::Forced`], if the trace is not of this model and of as many images.
    ///
    /// # Panics
    /// As [`Model::forward`].
    pub fn forward_forced(&self, x: &Tensor, mode: Mode, trace: Trace) -> Result<Output, Error> {
        let mut pass = Pass::forcing(mode, trace);
        let heads = self.heads(x, &mut pass);
        Ok(Output { heads, taps: Vec::new(), trace: pass.finish()? })
    }

    fn heads(&self, x: &Tensor, pass: &mut Pass) -> Vec<Head> {
        match &self.body {
            Body::Network(network) => network.forward(x, pass),
            Body::Ensemble(members) => {
                let of_members: Vec<Vec<Head>> = members.iter().map(|member| member.forward(x, pass)).collect();
                ensemble(of_members)
            }
        }
    }
}

/// The final heads of the members merged by their probabilities, then what each member tells.
fn ensemble(members: Vec<Vec<Head>>) -> Vec<Head> {
    let is_final = |head: &&Head| head.role == HeadRole::Final;
    let answers: Vec<Vec<&Head>> = members.iter().map(|heads| heads.iter().filter(is_final).collect()).collect();
    let merged = (0..answers[0].len()).map(|at| {
        let logits: Vec<Tensor> = answers.iter().map(|heads| heads[at].logits.shallow_clone()).collect();
        Head::new(&answers[0][at].name, HeadRole::Final, Merge::Probabilities.merge(&logits))
    });
    let mut heads: Vec<Head> = merged.collect();
    for head in members.into_iter().flatten() {
        match head.role {
            HeadRole::Final => heads.push(Head { role: HeadRole::Member, ..head }),
            HeadRole::Path => {}
            HeadRole::Member | HeadRole::Auxiliary(_) | HeadRole::Exit => heads.push(head),
        }
    }
    heads
}

pub(crate) fn wiring(
    name: &str,
    plan: &Plan,
    paths: usize,
    mechanism: Option<&'static Mechanism>,
    options: &ModelOptions,
) -> Result<Wiring, Error> {
    let routing = &options.routing;
    let mixer: SharedRouter =
        mechanism.map_or_else(|| MixerConfig::Identity.into(), |mechanism| (mechanism.mixer)(&routing.mixer));
    let crossing = mechanism.map(|mechanism| (mechanism.crossing)(mixer.clone(), routing.form)).unwrap_or_default();
    let crossings: Vec<CrossingConfig> = routed(name, plan, &routing.positions)?
        .into_iter()
        .map(|here| if here { crossing.clone() } else { CrossingConfig::None })
        .collect();
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
