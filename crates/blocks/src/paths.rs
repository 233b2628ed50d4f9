//! A layer of parallel paths: the same block once a path, and what flows between the paths before it.

use mp_nn::{Mode, Params, Tensor};
use mp_routing::{
    CrossConnection, CrossConnectionConfig, CrossPrediction, CrossPredictionConfig, DenseShape, Form, MixerConfig,
    RoutingShape, Trace, mix,
};

use crate::{Block, BlockConfig, Entry, Error, Execution};

/// What flows between the paths before a layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum CrossingConfig {
    /// Nothing: every path goes on by itself.
    #[default]
    None,
    /// A cross-connection: each path's block acts on a mix of all paths.
    Connection(MixerConfig),
    /// A cross-prediction in place of the blocks' entries; a shortcut takes the paths mixed by the same weights.
    Prediction(MixerConfig, Form),
}

/// A layer of parallel paths.
#[derive(Clone, Debug, PartialEq)]
pub struct PathsConfig {
    /// The block that every path has.
    pub block: BlockConfig,
    /// How many paths.
    pub paths: usize,
    /// What flows between them before the block.
    pub crossing: CrossingConfig,
    /// How the blocks' entry convolutions are computed.
    pub execution: Execution,
}

impl PathsConfig {
    /// Paths without a crossing, each computed by itself.
    pub fn new(block: BlockConfig, paths: usize) -> Self {
        PathsConfig { block, paths, crossing: CrossingConfig::None, execution: Execution::Separate }
    }

    /// Takes the block of path `j` at `path{j}`, counted from 1, and the crossing's parameters at `cross`. `name` is the
    /// crossing's name in the trace.
    ///
    /// A single path without a crossing is the plain block: its parameters are at `params` itself.
    ///
    /// # Errors
    /// Sizes out of range, a taken name, or joint entries of blocks that have no convolution of their own there.
    pub fn build(&self, params: &Params, name: &str) -> Result<Paths, Error> {
        let shape = RoutingShape::square(self.paths as i64, self.block.in_channels());
        let cross = params / "cross";
        let crossing = match &self.crossing {
            CrossingConfig::None => Crossing::None,
            CrossingConfig::Connection(mixer) => {
                Crossing::Connection(CrossConnectionConfig { mixer: mixer.clone() }.build(&cross, name, shape)?)
            }
            CrossingConfig::Prediction(mixer, form) => {
                let config = CrossPredictionConfig { mixer: mixer.clone(), form: *form };
                Crossing::Prediction(match self.block.entry_convolution() {
                    Some(convolution) => config.build(&cross, name, shape, convolution)?,
                    None => {
                        let dense = DenseShape { out_features: self.block.out_channels(), bias: true };
                        config.build_dense(&cross, name, shape, dense)?
                    }
                })
            }
        };
        let entry = match crossing {
            Crossing::Prediction(_) => Entry::Predicted,
            Crossing::None | Crossing::Connection(_) => Entry::Own,
        };
        let blocks = if self.paths == 1 && self.crossing == CrossingConfig::None {
            vec![self.block.build(params, entry)?]
        } else {
            (1..=self.paths)
                .map(|j| self.block.build(&(params / format!("path{j}").as_str()), entry))
                .collect::<Result<_, _>>()?
        };
        let entries: Vec<_> = blocks.iter().map(|block| block.entry()).collect();
        self.execution.check(name, &entries)?;
        Ok(Paths { blocks, crossing, execution: self.execution })
    }
}

enum Crossing {
    None,
    Connection(CrossConnection),
    Prediction(CrossPrediction),
}

/// Parallel paths of one block each, with what flows between them: P tensors in, P tensors out.
pub struct Paths {
    blocks: Vec<Box<dyn Block>>,
    crossing: Crossing,
    execution: Execution,
}

impl Paths {
    /// The paths' tensors, `[B, C, H, W]` or `[B, C]` each, to those after the blocks; a crossing appends its routes to
    /// the trace.
    ///
    /// # Panics
    /// If there are not as many tensors as paths, or of another shape; if stacked entries get inputs that differ.
    pub fn forward(&self, xs: &[Tensor], mode: Mode, trace: &mut Trace) -> Vec<Tensor> {
        assert_eq!(xs.len(), self.blocks.len(), "one tensor for each path");
        match &self.crossing {
            Crossing::None => self.each(xs, mode),
            Crossing::Connection(connection) => self.each(&connection.forward(xs, trace), mode),
            Crossing::Prediction(prediction) => {
                let (predicted, routes) = prediction.forward(xs, trace);
                let shortcuts = if self.blocks.iter().any(|block| block.has_shortcut()) {
                    mix(xs, &routes.weights)
                } else {
                    xs.iter().map(Tensor::shallow_clone).collect()
                };
                let inputs = predicted.iter().zip(&shortcuts);
                self.blocks.iter().zip(inputs).map(|(block, (p, x))| block.forward_predicted(p, x, mode)).collect()
            }
        }
    }

    fn each(&self, xs: &[Tensor], mode: Mode) -> Vec<Tensor> {
        let convolutions: Vec<_> = self.blocks.iter().filter_map(|block| block.entry()).collect();
        let blocks = self.blocks.iter().zip(xs);
        match self.execution.entries(&convolutions, xs) {
            None => blocks.map(|(block, x)| block.forward(x, mode)).collect(),
            Some(entries) => {
                blocks.zip(&entries).map(|((block, x), entry)| block.forward_predicted(entry, x, mode)).collect()
            }
        }
    }
}
