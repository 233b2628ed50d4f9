//! A layer of parallel paths: the same block once a path, and what flows between the paths before it.

use mp_nn::{Conv2d, Mode, Params, Tensor};
use mp_routing::{
    CrossConnection, CrossConnectionConfig, CrossPrediction, CrossPredictionConfig, Form, Pass, RoutingShape,
    SharedRouter, Streams, mix,
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

    /// Why the crossing's choices do not fit, if they do not.
    fn misfit(&self) -> Option<&'static str> {
        match &self.crossing {
            CrossingConfig::Prediction(mixer, _) if mixer.is_hard() => {
                Some("a cross-prediction mixes what every path predicts: use cross-connections, `_cc`")
            }
            CrossingConfig::Connection(mixer) if mixer.is_hard() && self.block.decides() => {
                Some("its blocks decide by themselves which images they run for: use another network")
            }
            _ => None,
        }
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
        if let Some(problem) = self.misfit() {
            return Err(Error::Hard { layer: name.to_owned(), problem });
        }
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
        self.flow(&Streams::of(xs.iter().map(Tensor::shallow_clone).collect()), pass).xs
    }

    /// The same for paths of which each may have only some images of the batch. Each path's blocks run for those that it has.
    ///
    /// # Panics
    /// As [`Paths::forward`].
    pub fn flow(&self, streams: &Streams, pass: &mut Pass) -> Streams {
        let xs = &streams.xs;
        assert_eq!(xs.len(), self.blocks.len(), "one tensor for each path");
        match &self.crossing {
            Crossing::None => self.run(streams, pass),
            Crossing::Connection(connection) => self.run(&connection.flow(streams, pass), pass),
            Crossing::Prediction(prediction) => {
                let (read, around) = self.before(xs, pass);
                let (predicted, decision) = prediction.forward(&read, pass);
                Streams::of(self.after(&predicted, &mix_present(around, &decision.weights), pass))
            }
        }
    }

    /// What one path computes for an image, in multiply-adds, given the shape of its input; without the crossing.
    pub fn cost_of_a_path(&self, input: Shape, params: &Params) -> u64 {
        let _no_grad = tch::no_grad_guard();
        let none = Tensor::zeros(input.batch(0), (params.kind(), params.device()));
        params.meter().measure(|| self.blocks[0].forward(&none, &mut Pass::eval())).1
    }

    /// The blocks, for the images that each path has.
    ///
    /// A path with a single image, or none, has no statistics of a batch: its norms then use the running ones.
    fn run(&self, streams: &Streams, pass: &mut Pass) -> Streams {
        if !streams.is_partial() {
            return Streams::of(self.each(&streams.xs, pass));
        }
        let mode = pass.mode;
        let run = |path: usize, x: &Tensor| {
            pass.mode = if x.size()[0] < 2 { Mode::Eval } else { mode };
            self.blocks[path].forward(x, pass)
        };
        let ys = streams.map(run);
        pass.mode = mode;
        ys
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
