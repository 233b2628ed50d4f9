//! What a model is made of: the interface of networks, and the one of chains, P parallel paths of one plan.

use mp_blocks::{CrossingConfig, Execution, Paths, PathsConfig};
use mp_nn::{Conv2d, Conv2dConfig, Dropout, Linear, LinearConfig, Mode, Module, Params, Tensor, global_avg_pool};
use mp_routing::{Merge, MixerConfig, OneToMany, Pass, SharedRouter, Split, Streams, TracedLayer};

use crate::plan::{Auxiliary, HeadPlan, Plan, PlannedBlock};
use crate::{Error, Head, HeadRole, Interface, Target};

/// A network that takes images `[B, C, H, W]`.
pub trait Network: Send {
    /// Applies the network; what it decides on the way is appended to the pass's trace. The first final head is the
    /// network's answer.
    ///
    /// # Panics
    /// On images of another number of channels, or smaller than the network was built for.
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Vec<Head>;
}

/// How the paths of a chain are wired.
pub(crate) struct Wiring {
    pub(crate) paths: usize,
    pub(crate) split: Split,
    /// Weights of a gated split.
    pub(crate) mixer: SharedRouter,
    /// Before each block of the plan, in order.
    pub(crate) crossings: Vec<CrossingConfig>,
    /// How the entries of each block of the plan are computed, in order.
    pub(crate) executions: Vec<Execution>,
    pub(crate) merge: Merge,
}

impl Wiring {
    /// One path.
    pub(crate) fn single(plan: &Plan) -> Self {
        Wiring {
            paths: 1,
            split: Split::Plain,
            mixer: MixerConfig::IDENTITY.into(),
            crossings: vec![CrossingConfig::None; plan.blocks.len()],
            executions: vec![Execution::Separate; plan.blocks.len()],
            merge: Merge::Logits,
        }
    }

    /// As many paths, each for itself, for the blocks of an auxiliary classifier.
    pub(crate) fn beside(&self, plan: &Plan) -> Self {
        Wiring { paths: self.paths, merge: self.merge, ..Wiring::single(plan) }
    }
}

/// P parallel paths of one plan, P = 1 included: split, layers of blocks, a classifier a path, merge.
pub(crate) struct Chain {
    split: OneToMany,
    layers: Vec<Paths>,
    /// The name of each layer's features.
    positions: Vec<String>,
    auxiliaries: Vec<AuxiliaryChain>,
    heads: Vec<ChainHead>,
    merge: Merge,
    /// Multiply-adds of one path from the split, then from each layer, to the next place where paths are chosen; where they are.
    costs: Vec<Option<u64>>,
}

struct AuxiliaryChain {
    name: String,
    after: usize,
    weight: f64,
    layers: Vec<Paths>,
    heads: Vec<ChainHead>,
}

/// A head of the interface: a classifier for each path.
pub(crate) struct ChainHead {
    name: String,
    classifiers: Vec<Classifier>,
}

impl Chain {
    /// A single path has the names of the single-path network (torchvision's, where there are); several have
    /// `stage.index.path{j}` for the blocks and `head.path{j}.fc` for the classifiers.
    pub(crate) fn build(plan: &Plan, wiring: &Wiring, interface: &Interface, params: &Params) -> Result<Self, Error> {
        let channels = interface.input.channels();
        let split = wiring.split.build(&wiring.mixer, &(params / "split"), "split", wiring.paths as i64, channels)?;
        let layers = layers(plan, wiring, params)?;
        let auxiliaries = plan
            .auxiliaries
            .iter()
            .map(|auxiliary| AuxiliaryChain::build(auxiliary, wiring, interface, params))
            .collect::<Result<_, _>>()?;
        let heads = heads(plan, wiring.paths, interface, params)?;
        let positions = plan.blocks.iter().map(PlannedBlock::position).collect();
        let costs = costs(plan, wiring, &layers, &heads, params);
        Ok(Chain { split, layers, positions, auxiliaries, heads, merge: wiring.merge, costs })
    }

    /// Says what the choice costs that was just made, if one was.
    fn price(&self, at: usize, decided: Option<&mut TracedLayer>) {
        if let (Some(cost), Some(layer)) = (self.costs[at], decided) {
            layer.decision.cost = vec![cost; layer.decision.size().2 as usize];
            if layer.decision.executed.is_empty() {
                // Routes that were forced may be soft: then everything runs.
                layer.decision.executed = vec![layer.decision.size().0; layer.decision.cost.len()];
            }
        }
    }
}

/// What the paths cost between two places where they are chosen: see [`Chain`].
fn costs(plan: &Plan, wiring: &Wiring, layers: &[Paths], heads: &[ChainHead], params: &Params) -> Vec<Option<u64>> {
    let mut costs = vec![None; layers.len() + 1];
    if !wiring.mixer.is_hard() {
        return costs;
    }
    let _no_grad = tch::no_grad_guard();
    let none = Tensor::zeros([0, plan.shape().channels()], (params.kind(), params.device()));
    let logits = || heads.iter().map(|head| head.classifiers[0].forward(&none, Mode::Eval)).collect::<Vec<_>>();
    let mut sum = params.meter().measure(logits).1;
    for (at, layer) in layers.iter().enumerate().rev() {
        sum += layer.cost_of_a_path(plan.blocks[at].input, params);
        if matches!(wiring.crossings[at], CrossingConfig::Connection(_)) {
            costs[at + 1] = Some(std::mem::take(&mut sum));
        }
    }
    if wiring.split == Split::Gated {
        costs[0] = Some(sum);
    }
    costs
}

impl Network for Chain {
    fn forward(&self, x: &Tensor, pass: &mut Pass) -> Vec<Head> {
        let mut auxiliary = Vec::new();
        let before = pass.trace.layers.len();
        let mut streams = self.split.forward(x, pass);
        self.price(0, pass.trace.layers.get_mut(before));
        for (done, (layer, position)) in (1..).zip(self.layers.iter().zip(&self.positions)) {
            let before = pass.trace.layers.len();
            streams = layer.flow(&streams, pass);
            self.price(done, pass.trace.layers.get_mut(before));
            tap(position, &streams, pass);
            let trains = pass.mode.is_train();
            for chain in self.auxiliaries.iter().filter(|auxiliary| trains && auxiliary.after == done) {
                auxiliary.extend(chain.forward(&streams, self.merge, pass));
            }
        }
        let mut heads = Vec::new();
        for head in &self.heads {
            let paths = head.forward(&streams, pass.mode);
            let answer = merged(self.merge, &streams, &paths);
            // An image that a path does not have gets the network's answer from it.
            let of_path = |(path, logits)| streams.completed(path, logits, &answer);
            let paths: Vec<Tensor> = paths.iter().enumerate().map(of_path).collect();
            heads.push(Head::new(&head.name, HeadRole::Final, answer));
            heads.extend(paths.into_iter().map(|logits| Head::new(&head.name, HeadRole::Path, logits)));
        }
        heads.extend(auxiliary);
        heads
    }
}

impl AuxiliaryChain {
    fn build(auxiliary: &Auxiliary, wiring: &Wiring, interface: &Interface, params: &Params) -> Result<Self, Error> {
        let Auxiliary { name, after, weight, plan } = auxiliary;
        let params = params / name.as_str();
        Ok(AuxiliaryChain {
            name: name.clone(),
            after: *after,
            weight: *weight,
            layers: layers(plan, &wiring.beside(plan), &params)?,
            heads: heads(plan, wiring.paths, interface, &params)?,
        })
    }

    fn forward(&self, streams: &Streams, merge: Merge, pass: &mut Pass) -> Vec<Head> {
        let mut streams = streams.map(|_, x| x.shallow_clone());
        for layer in &self.layers {
            streams = layer.flow(&streams, pass);
        }
        let role = HeadRole::Auxiliary(self.weight);
        let head =
            |head: &ChainHead| Head::new(&self.name, role, merged(merge, &streams, &head.forward(&streams, pass.mode)));
        self.heads.iter().map(head).collect()
    }
}

impl ChainHead {
    fn forward(&self, streams: &Streams, mode: Mode) -> Vec<Tensor> {
        streams.xs.iter().zip(&self.classifiers).map(|(x, classifier)| classifier.forward(x, mode)).collect()
    }
}

/// Logits `[B, N]` of one path's features.
enum Classifier {
    /// The features are the logits.
    None,
    Dense(Dropout, Linear),
    Convolution(Dropout, Conv2d),
}

impl Classifier {
    fn build(head: &HeadPlan, features: i64, classes: i64, params: &Params) -> Result<Self, Error> {
        let dropout = Dropout::new(head.dropout)?;
        let (init, bias_init) = (head.init, head.bias_init);
        Ok(if head.as_convolution {
            let conv = Conv2dConfig { init, bias_init, ..Conv2dConfig::new(features, classes, 1) };
            Classifier::Convolution(dropout, conv.build(params)?)
        } else {
            let dense = LinearConfig { init, bias_init, ..LinearConfig::new(features, classes) };
            Classifier::Dense(dropout, dense.build(params)?)
        })
    }

    /// Takes maps `[B, C, H, W]` by their means.
    fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        let flat = if x.dim() == 4 { global_avg_pool(x) } else { x.shallow_clone() };
        match self {
            Classifier::None => flat,
            Classifier::Dense(dropout, dense) => dense.forward(&dropout.forward(&flat, mode), mode),
            Classifier::Convolution(dropout, conv) => {
                let maps = dropout.forward(&flat, mode).unsqueeze(2).unsqueeze(3);
                conv.forward(&maps, mode).flatten(1, 3)
            }
        }
    }
}

/// Keeps the features of a position, by its name or, of several paths, by that of each path.
fn tap(position: &str, streams: &Streams, pass: &mut Pass) {
    if !pass.is_tapped() {
        return;
    }
    match streams.xs.as_slice() {
        [only] => pass.tap(position, only),
        several => {
            for path in 0..several.len() {
                pass.tap(&format!("{position}.path{}", path + 1), &streams.full(path));
            }
        }
    }
}

fn merged(merge: Merge, streams: &Streams, paths: &[Tensor]) -> Tensor {
    if let [only] = paths { only.shallow_clone() } else { streams.merged(merge, paths) }
}

fn layers(plan: &Plan, wiring: &Wiring, params: &Params) -> Result<Vec<Paths>, Error> {
    (0..plan.blocks.len()).map(|at| layer(plan, wiring, at, params)).collect()
}

/// The layer of block `at` of the plan.
pub(crate) fn layer(plan: &Plan, wiring: &Wiring, at: usize, params: &Params) -> Result<Paths, Error> {
    let planned = &plan.blocks[at];
    let place = match &planned.single {
        Some(public) if wiring.paths == 1 => below(params, &public.place).renaming(&public.renames),
        _ => below(params, &format!("{}.{}", planned.stage, planned.index)),
    };
    let layer = PathsConfig {
        crossing: wiring.crossings[at].clone(),
        execution: wiring.executions[at],
        ..PathsConfig::new(planned.block.clone(), wiring.paths)
    };
    Ok(layer.build(planned.input, &place, &planned.position())?)
}

pub(crate) fn heads(
    plan: &Plan,
    paths: usize,
    interface: &Interface,
    params: &Params,
) -> Result<Vec<ChainHead>, Error> {
    let features = plan.shape().channels();
    let build = |at: usize, name: &str, target: &Target| {
        let Target::Classes(classes) = *target else {
            let problem = format!("gives classes of whole images, and `{name}` asks for something else");
            return Err(Error::Input { name: "a chain".to_owned(), problem });
        };
        let Some(head) = &plan.head else {
            if features != classes {
                let problem = format!("gives {features} logits, and `{name}` asks for {classes}");
                return Err(Error::Input { name: "a chain without a head".to_owned(), problem });
            }
            return Ok(ChainHead {
                name: name.to_owned(),
                classifiers: (0..paths).map(|_| Classifier::None).collect(),
            });
        };
        let place = |path: usize| {
            // The first head has the public name; further ones have their own beside it.
            let further = if at == 0 { String::new() } else { format!("_{name}") };
            if paths == 1 { format!("{}{further}", head.name) } else { format!("head.path{path}.fc{further}") }
        };
        let classifiers = (1..=paths)
            .map(|path| Classifier::build(head, features, classes, &below(params, &place(path))))
            .collect::<Result<_, _>>()?;
        Ok(ChainHead { name: name.to_owned(), classifiers })
    };
    interface.heads.iter().enumerate().map(|(at, (name, target))| build(at, name, target)).collect()
}

/// The place at a dotted path; the empty one is the place itself.
pub(crate) fn below(params: &Params, path: &str) -> Params {
    path.split('.').filter(|part| !part.is_empty()).fold(params.clone(), |place, part| place / part)
}
