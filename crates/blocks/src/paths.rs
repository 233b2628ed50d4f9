//! A layer of parallel paths: the same block once a path, and what flows between the paths before it.

use mp_nn::{Conv2d, Params, Tensor};
use mp_routing::{
    CrossConnection, CrossConnectionConfig, CrossPrediction, CrossPredictionConfig, Form, Pass, RoutingShape,
    SharedRouter, mix,
};

use crate::{Block, EntryShape, Error, Execution, Parted, Shape, SharedBlock};

/// What flows between the paths before a layer.
#[derive(Clone, Debug, Default)]
pub enum CrossingConfig {
    /// Nothing: every path continues on its own.
    #[default]
    None,
    /// A cross-connection: each path's block acts on a mix of all paths.
    Connection(SharedRouter),
    /// A cross-prediction in place of the blocks' entries; a shortcut takes the paths mixed by the same weights.
    Prediction(SharedRouter, Form),
}

/// A layer of parallel paths.
#[derive(Clone, Debug)]
pub struct PathsConfig {
    /// The block that every path has.
    pub block: SharedBlock,
    /// How many paths.
    pub paths: usize,
    /// What flows between them before the block.
    pub crossing: CrossingConfig,
    /// How the blocks' entry convolutions are computed.
    pub execution: Execution,
}

impl PathsConfig {
    /// Paths without a crossing, each computed separately.
    pub fn new(block: impl Into<SharedBlock>, paths: usize) -> Self {
        PathsConfig { block: block.into(), paths, crossing: CrossingConfig::None, execution: Execution::Separate }
    }

    /// Takes the block of path `j` at `path{j}`, counted from 1, and the crossing's parameters at `cross`. `input` is the
    /// shape of each path's features, `name` the crossing's name in the trace.
    ///
    /// A single path without a crossing is the plain block: its parameters are at `params` itself.
    ///
    /// # Errors
    /// Sizes out of range, a shape that the block does not take, a taken name, joint entries of blocks that have no
    /// convolution of their own there, or a cross-prediction before blocks without a single first layer.
    pub fn build(&self, input: Shape, params: &Params, name: &str) -> Result<Paths, Error> {
        let shape = RoutingShape::square(self.paths as i64, input.channels());
        let cross = params / "cross";
        let crossing = match &self.crossing {
            CrossingConfig::None => Crossing::None,
            CrossingConfig::Connection(mixer) => {
                Crossing::Connection(CrossConnectionConfig { mixer: mixer.clone() }.build(&cross, name, shape)?)
            }
            CrossingConfig::Prediction(mixer, form) => {
                let config = CrossPredictionConfig { mixer: mixer.clone(), form: *form };
                let not_crossable = || Error::NotCrossable { layer: name.to_owned() };
                Crossing::Prediction(match self.block.crossable().ok_or_else(not_crossable)?.entry(input)? {
                    EntryShape::Convolution(convolution) => config.build(&cross, name, shape, convolution)?,
                    EntryShape::Dense(dense) => config.build_dense(&cross, name, shape, dense)?,
                })
            }
        };
        let build = |params: &Params| match (&crossing, self.block.crossable()) {
            (Crossing::Prediction(_), Some(crossable)) => crossable.build_predicted(input, params),
            _ => self.block.build(input, params),
        };
        let blocks = if self.paths == 1 && matches!(crossing, Crossing::None) {
            vec![build(params)?]
        } else {
            (1..=self.paths).map(|j| build(&(params / format!("path{j}").as_str()))).collect::<Result<_, _>>()?
        };
        let paths = Paths { blocks, crossing, execution: self.execution };
        self.execution.check(name, &paths.entries())?;
        Ok(paths)
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
    /// The paths' tensors, `[B, C, H, W]` or `[B, C]` each, to those after the blocks; a crossing appends its decision to
    /// the trace.
    ///
    /// # Panics
    /// If there are not as many tensors as paths, or of another shape; if stacked entries get inputs that differ.
    pub fn forward(&self, xs: &[Tensor], pass: &mut Pass) -> Vec<Tensor> {
        assert_eq!(xs.len(), self.blocks.len(), "one tensor for each path");
        match &self.crossing {
            Crossing::None => self.each(xs, pass),
            Crossing::Connection(connection) => {
                let ys = connection.forward(xs, pass);
                self.each(&ys, pass)
            }
            Crossing::Prediction(prediction) => {
                let (read, around) = self.before(xs, pass);
                let (predicted, decision) = prediction.forward(&read, pass);
                self.after(&predicted, &mix_present(around, &decision.weights), pass)
            }
        }
    }

    fn each(&self, xs: &[Tensor], pass: &mut Pass) -> Vec<Tensor> {
        if self.execution == Execution::Separate {
            return self.blocks.iter().zip(xs).map(|(block, x)| block.forward(x, pass)).collect();
        }
        let (read, around) = self.before(xs, pass);
        let convolutions: Vec<_> = self.entries().into_iter().flatten().collect();
        self.after(&self.execution.entries(&convolutions, &read), &around, pass)
    }

    /// The blocks' own entries, where they are convolutions.
    fn entries(&self) -> Vec<Option<&Conv2d>> {
        self.blocks.iter().map(|block| block.parted().and_then(Parted::entry)).collect()
    }

    fn parts(&self) -> impl Iterator<Item = &dyn Parted> {
        // Asked when the layer was built: only such blocks are predicted or have entries to be joined.
        self.blocks.iter().map(|block| block.parted().expect("a block that can be taken apart"))
    }

    /// What each entry reads, and what goes around it.
    fn before(&self, xs: &[Tensor], pass: &mut Pass) -> (Vec<Tensor>, Vec<Option<Tensor>>) {
        self.parts()
            .zip(xs)
            .map(|(part, x)| {
                let before = part.before(x, pass);
                (before.entry, before.around)
            })
            .unzip()
    }

    fn after(&self, entries: &[Tensor], around: &[Option<Tensor>], pass: &mut Pass) -> Vec<Tensor> {
        let inputs = entries.iter().zip(around);
        self.parts().zip(inputs).map(|(part, (entry, around))| part.after(entry, around.as_ref(), pass)).collect()
    }
}

/// What goes around the entries, mixed as the entries are: all blocks of a layer have it, or none.
fn mix_present(around: Vec<Option<Tensor>>, weights: &Tensor) -> Vec<Option<Tensor>> {
    let present: Vec<Tensor> = around.iter().flatten().map(Tensor::shallow_clone).collect();
    if present.is_empty() { around } else { mix(&present, weights).into_iter().map(Some).collect() }
}
