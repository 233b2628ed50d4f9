//! Models by name.

use std::cell::Cell;

use mp_nn::{Device, Kind, Meter, Mode, Params, Tensor};
use mp_routing::{Merge, Pass, Trace};

use crate::chain::{chain_of, check_interface};
use crate::cost::Work;
use crate::network::{Chain, Network, Wiring};
use crate::wiring::wiring;
use crate::{Error, Head, HeadRole, Interface, Make, ModelName, ModelOptions, Output, Variant};

/// A network by its name: images `[B, C, H, W]` to an [`Output`].
pub struct Model {
    name: String,
    body: Body,
    threshold: f64,
    progress: f64,
    follows_progress: Cell<bool>,
    interface: Interface,
    place: (Kind, Device),
    meter: Meter,
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
    Ok(Model {
        name: parsed.to_string(),
        body,
        threshold: Pass::EVEN,
        progress: 1.0,
        follows_progress: Cell::new(false),
        interface: options.interface.clone(),
        place: (params.kind(), params.device()),
        meter: params.meter().clone(),
    })
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

    /// The probability above which evaluation runs a layer that may be skipped.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Sets the probability above which evaluation runs a layer that may be skipped: the higher, the fewer are run. It is
    /// [`Pass::EVEN`] in a model that was just built.
    pub fn set_threshold(&mut self, threshold: f64) {
        self.threshold = threshold;
    }

    /// Multiply-adds of one image: counted by the meter while an empty batch passes, for which everything is run.
    pub fn work(&self) -> Work {
        let _no_grad = tch::no_grad_guard();
        let images = Tensor::zeros(self.interface.input.batch(0), self.place);
        let mut pass = Pass::eval();
        let (_, multiply_adds) = self.meter.measure(|| self.heads(&images, &mut pass));
        let choices = || pass.trace.layers.iter().map(|layer| &layer.decision.cost);
        let always = multiply_adds - choices().flatten().sum::<u64>();
        let least = always + choices().filter_map(|cost| cost.iter().min()).sum::<u64>();
        let skips = pass.trace.layers.iter().any(|layer| layer.decision.is_skip());
        Work { multiply_adds, always, least, skips }
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

    /// Says how far training is, from 0 to 1: what is annealed depends on it. A model that was just built is at its end.
    pub fn set_progress(&mut self, progress: f64) {
        self.progress = progress;
    }

    /// Whether anything of the last pass depended on how far training is.
    pub fn follows_progress(&self) -> bool {
        self.follows_progress.get()
    }

    fn applied(&self, x: &Tensor, pass: Pass) -> Output {
        let mut pass = pass.above(self.threshold).at_progress(self.progress);
        let heads = self.heads(x, &mut pass);
        self.follows_progress.set(pass.follows_progress());
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
        self.forward_in(x, Pass::forcing(mode, trace).above(self.threshold))
    }

    /// The same in a pass of one's own: with choices that are drawn, at another threshold, or with everything computed. The
    /// model's threshold is not used.
    ///
    /// # Errors
    /// As [`Model::forward_forced`], for routes that are forced.
    ///
    /// # Panics
    /// As [`Model::forward`].
    pub fn forward_in(&self, x: &Tensor, mut pass: Pass) -> Result<Output, Error> {
        let heads = self.heads(x, &mut pass);
        let taps = std::mem::take(&mut pass.taps);
        Ok(Output { heads, taps, trace: pass.finish()? })
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
