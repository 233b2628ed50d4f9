//! What a family is before it is built: the blocks of one path, in order, with their names.

use mp_blocks::BlockConfig;

/// One path of a network: its blocks in order, then a dense layer to the classes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    /// The blocks.
    pub(crate) blocks: Vec<PlannedBlock>,
    /// Features that the last block gives, `[B, C]`.
    pub(crate) features: i64,
}

/// A block with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannedBlock {
    /// The stage: blocks between two changes of resolution.
    pub(crate) stage: String,
    /// Place within the stage, from 0.
    pub(crate) index: usize,
    /// Place of the parameters in the single-path network, where public weight files name it otherwise than
    /// `stage.index`; empty for the root.
    pub(crate) single: Option<String>,
    /// The block.
    pub(crate) block: BlockConfig,
}

impl PlannedBlock {
    /// The name of the routing before this block: the stage's for its first block, `stage.index` for the others.
    pub(crate) fn position(&self) -> String {
        if self.index == 0 { self.stage.clone() } else { format!("{}.{}", self.stage, self.index) }
    }
}

/// Collects the blocks of a plan.
#[derive(Debug, Default)]
pub(crate) struct PlanBuilder {
    blocks: Vec<PlannedBlock>,
}

impl PlanBuilder {
    /// Appends a block to a stage, which is the one before or a new one.
    pub(crate) fn push(&mut self, stage: &str, single: Option<String>, block: BlockConfig) {
        let index = self.blocks.iter().filter(|b| b.stage == stage).count();
        self.blocks.push(PlannedBlock { stage: stage.to_owned(), index, single, block });
    }

    /// Channels that the last block gives.
    pub(crate) fn channels(&self) -> i64 {
        self.blocks.last().map_or(0, |b| b.block.out_channels())
    }

    pub(crate) fn finish(self) -> Plan {
        let features = self.channels();
        Plan { blocks: self.blocks, features }
    }
}
