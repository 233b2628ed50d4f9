//! A network of P parallel paths, P = 1 included: split, layers of blocks, a classifier a path, merge.

use mp_blocks::{CrossingConfig, Execution, Paths, PathsConfig};
use mp_nn::{Linear, LinearConfig, Mode, Module, Params, Tensor, global_avg_pool};
use mp_routing::{Merge, MixerConfig, OneToMany, Split, Trace};

use crate::plan::Plan;
use crate::{Error, Output};

/// How the paths of a network are wired.
pub(crate) struct Wiring {
    pub(crate) paths: usize,
    pub(crate) split: Split,
    /// Weights of a gated split.
    pub(crate) mixer: MixerConfig,
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
            mixer: MixerConfig::Identity,
            crossings: vec![CrossingConfig::None; plan.blocks.len()],
            executions: vec![Execution::Separate; plan.blocks.len()],
            merge: Merge::Logits,
        }
    }
}

pub(crate) struct Network {
    split: OneToMany,
    layers: Vec<Paths>,
    classifiers: Vec<Linear>,
    merge: Merge,
}

impl Network {
    /// A single path has the names of the single-path network (torchvision's, where there are); several have
    /// `stage.index.path{j}` for the blocks and `head.path{j}.fc` for the classifiers.
    pub(crate) fn build(
        plan: &Plan,
        wiring: &Wiring,
        channels: i64,
        classes: i64,
        params: &Params,
    ) -> Result<Self, Error> {
        let split = wiring.split.build(&wiring.mixer, &(params / "split"), "split", wiring.paths as i64, channels)?;
        let mut layers = Vec::with_capacity(plan.blocks.len());
        let wired = wiring.crossings.iter().zip(&wiring.executions);
        for (planned, (crossing, execution)) in plan.blocks.iter().zip(wired) {
            let by_stage = format!("{}.{}", planned.stage, planned.index);
            let place = match &planned.single {
                Some(single) if wiring.paths == 1 => single.as_str(),
                _ => by_stage.as_str(),
            };
            let layer = PathsConfig {
                crossing: crossing.clone(),
                execution: *execution,
                ..PathsConfig::new(planned.block.clone(), wiring.paths)
            };
            layers.push(layer.build(&below(params, place), &planned.position())?);
        }
        let classifier = LinearConfig::new(plan.features, classes);
        let classifiers = if wiring.paths == 1 {
            vec![classifier.build(&(params / "fc"))?]
        } else {
            (1..=wiring.paths)
                .map(|j| classifier.build(&below(params, &format!("head.path{j}.fc"))))
                .collect::<Result<_, _>>()?
        };
        Ok(Network { split, layers, classifiers, merge: wiring.merge })
    }

    pub(crate) fn forward(&self, x: &Tensor, mode: Mode) -> Output {
        let mut trace = Trace::new();
        let mut xs = self.split.forward(x, &mut trace);
        for layer in &self.layers {
            xs = layer.forward(&xs, mode, &mut trace);
        }
        let paths: Vec<Tensor> =
            xs.iter().zip(&self.classifiers).map(|(x, classifier)| classifier.forward(&flat(x), mode)).collect();
        let logits = if paths.len() == 1 { paths[0].shallow_clone() } else { self.merge.merge(&paths) };
        Output { logits, paths, trace }
    }
}

/// The place at a dotted path; the empty one is the place itself.
fn below(params: &Params, path: &str) -> Params {
    path.split('.').filter(|part| !part.is_empty()).fold(params.clone(), |place, part| place / part)
}

/// Maps `[B, C, H, W]` to their means `[B, C]`; dense features as they are.
fn flat(x: &Tensor) -> Tensor {
    if x.dim() == 4 { global_avg_pool(x) } else { x.shallow_clone() }
}
