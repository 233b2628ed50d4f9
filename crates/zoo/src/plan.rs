//! What a chain is before it is built: the blocks of one path, in order, with their names, then a head.

use mp_blocks::{Shape, SharedBlock};
use mp_nn::{BiasInit, WeightInit};

use crate::{Error, Interface};

/// One path of a network: its blocks in order, then what makes logits of the last one's features.
///
/// ```
/// use mp_blocks::{ConvBlockConfig, ResidualConfig, Shape};
/// use mp_zoo::{Interface, Plan};
///
/// let interface = Interface::classes(Shape::square(3, 32), 10);
/// let mut plan = Plan::new(&interface);
/// plan.push("stem", ConvBlockConfig::new(16))?;
/// plan.push("stage1", ResidualConfig::basic(32, 2))?.named("layer1.0");
/// assert_eq!(plan.shape(), Shape::square(32, 16));
/// # Ok::<(), mp_zoo::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) blocks: Vec<PlannedBlock>,
    pub(crate) head: Option<HeadPlan>,
    pub(crate) auxiliaries: Vec<Auxiliary>,
    pub(crate) dropout_inside: bool,
    shape: Shape,
}

/// A block with its place.
#[derive(Clone, Debug)]
pub struct PlannedBlock {
    /// The stage: blocks between two changes of resolution.
    pub(crate) stage: String,
    /// Place within the stage, from 0.
    pub(crate) index: usize,
    /// Public names of the parameters in the single-path network, where they are otherwise than `stage.index`.
    pub(crate) single: Option<PublicNames>,
    /// The block.
    pub(crate) block: SharedBlock,
    /// What it gets.
    pub(crate) input: Shape,
}

/// The place of a block in public weight files, and the public names of its layers.
#[derive(Clone, Debug, Default)]
pub(crate) struct PublicNames {
    /// Dotted; empty for the root.
    pub(crate) place: String,
    /// Our name of a layer within the block, and the public one, both dotted.
    pub(crate) renames: Vec<(String, String)>,
}

impl PlannedBlock {
    /// The name of the routing before this block: the stage's for its first block, `stage.index` for the others.
    pub(crate) fn position(&self) -> String {
        if self.index == 0 { self.stage.clone() } else { format!("{}.{}", self.stage, self.index) }
    }

    /// Says at which place public weight files have the block in the single-path network; the empty one is the root.
    pub fn named(&mut self, place: impl Into<String>) -> &mut Self {
        self.single.get_or_insert_default().place = place.into();
        self
    }

    /// Says how public weight files call a layer of the block, below its public place: `renamed("conv1", "0")`.
    pub fn renamed(&mut self, ours: impl Into<String>, public: impl Into<String>) -> &mut Self {
        self.single.get_or_insert_default().renames.push((ours.into(), public.into()));
        self
    }
}

/// A dense layer from the features to the classes; of maps it takes the means.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadPlan {
    /// Its place in the single-path network, dotted.
    pub name: String,
    /// Probability of dropout before it.
    pub dropout: f64,
    /// Whether its weight is that of a 1x1 convolution, `[N, C, 1, 1]`, as in some of timm's networks.
    pub as_convolution: bool,
    /// How the weights start.
    pub init: WeightInit,
    /// How the bias starts.
    pub bias_init: BiasInit,
}

impl Default for HeadPlan {
    fn default() -> Self {
        HeadPlan {
            name: "fc".to_owned(),
            dropout: 0.0,
            as_convolution: false,
            init: WeightInit::default(),
            bias_init: BiasInit::default(),
        }
    }
}

impl HeadPlan {
    /// A plain head of another name.
    pub fn named(name: impl Into<String>) -> Self {
        HeadPlan { name: name.into(), ..HeadPlan::default() }
    }
}

/// A classifier from half way, which only helps to train.
#[derive(Clone, Debug)]
pub(crate) struct Auxiliary {
    /// Its name, and the place of its parameters in the single-path network.
    pub(crate) name: String,
    /// How many blocks of the path come before it.
    pub(crate) after: usize,
    /// The weight of its loss.
    pub(crate) weight: f64,
    /// Its own blocks and head.
    pub(crate) plan: Plan,
}

impl Plan {
    /// No blocks yet; the head is a dense layer named `fc`.
    pub fn new(interface: &Interface) -> Self {
        Plan::starting_with(interface.input)
    }

    fn starting_with(shape: Shape) -> Self {
        let head = Some(HeadPlan::default());
        Plan { blocks: Vec::new(), head, auxiliaries: Vec::new(), dropout_inside: false, shape }
    }

    /// Appends a block to a stage, which is the one before or a new one.
    ///
    /// # Errors
    /// A block that does not take the shape of what comes before it.
    pub fn push(&mut self, stage: &str, block: impl Into<SharedBlock>) -> Result<&mut PlannedBlock, Error> {
        let (block, input) = (block.into(), self.shape);
        self.shape = block.output(input)?;
        let index = self.blocks.iter().filter(|b| b.stage == stage).count();
        self.blocks.push(PlannedBlock { stage: stage.to_owned(), index, single: None, block, input });
        Ok(self.blocks.last_mut().expect("it was just pushed"))
    }

    /// The shape of what the last block gives.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Puts another head in place of the dense layer named `fc`.
    pub fn head(&mut self, head: HeadPlan) {
        self.head = Some(head);
    }

    /// Dropout, where it is asked for ([`Drops::dropout`](crate::Drops::dropout)), is inside the blocks that have a place for
    /// it and not before the head, as in the papers on wide residual and on densely connected networks.
    pub fn dropout_inside(&mut self) {
        self.dropout_inside = true;
    }

    /// The last block gives the logits itself: as many as the classes of every head.
    pub fn without_head(&mut self) {
        self.head = None;
    }

    /// Hangs a classifier that only helps to train after the last block so far. `build` appends its blocks to a plan that
    /// starts with the shape there.
    ///
    /// # Errors
    /// Those of `build`.
    pub fn auxiliary(
        &mut self,
        name: &str,
        weight: f64,
        build: impl FnOnce(&mut Plan) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut plan = Plan::starting_with(self.shape);
        build(&mut plan)?;
        self.auxiliaries.push(Auxiliary { name: name.to_owned(), after: self.blocks.len(), weight, plan });
        Ok(())
    }
}
