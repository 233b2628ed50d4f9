//! Models by name.

use mp_nn::{Mode, Params, Tensor};
use mp_routing::{Merge, Pass, Trace};

use crate::chain::{chain_of, check_interface};
use crate::network::{Chain, Network, Wiring};
use crate::wiring::wiring;
use crate::{Error, Head, HeadRole, Make, ModelName, ModelOptions, Output, Variant};

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
            options.drops.ensure_default(name)?;
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
