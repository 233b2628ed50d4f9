//! What networks drop at random while they train, and where a chain has a place for it.

use mp_blocks::{DropRates, SharedBlock};

use crate::chain::chain_of;
use crate::plan::{Plan, PlannedBlock};
use crate::{Error, ModelName, ModelOptions};

/// What a network drops at random while it trains; nothing is dropped in evaluation. The default is what each family does by
/// itself.
///
/// ```
/// use mp_nn::{Device, Kind, Mode, Store, Tensor};
/// use mp_zoo::{Drops, InputSize, ModelOptions};
///
/// let input = InputSize { channels: 3, size: 32, classes: 10 };
/// let options = ModelOptions { drops: Drops { path: 0.1, ..Drops::default() }, ..ModelOptions::new(input) };
/// let store = Store::new(Device::Cpu, 0);
/// mp_zoo::build("resnet20_x2_cc", &options, &store.root())?;
///
/// let refused = mp_zoo::build("vgg11_bn_cifar", &options, &Store::new(Device::Cpu, 0).root());
/// assert!(refused.is_err(), "it has no branches beside a shortcut");
/// # Ok::<(), mp_zoo::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drops {
    /// With which probability an image skips the branch of the last residual block; it falls linearly towards the first block,
    /// which is never skipped. Stochastic depth, as timm has it.
    pub path: f64,
    /// The rate of dropout: wherever the family has dropout, inside the blocks of wide residual and densely connected
    /// networks, and before the classifier of networks that have neither. `None` leaves each family's own.
    pub dropout: Option<f64>,
    /// The share of the maps that DropBlock drops, in the last two stages of families whose blocks have it.
    pub block: f64,
}

/// Stages at the end whose maps DropBlock drops: those in which the papers use it.
const LAST_STAGES: usize = 2;

impl Drops {
    /// Refuses anything but the family's own: what networks that are no chains do.
    pub(crate) fn ensure_default(&self, name: &ModelName) -> Result<(), Error> {
        let asked = [
            ("drop_path", self.path > 0.0),
            ("dropout", self.dropout.is_some_and(|rate| rate > 0.0)),
            ("drop_block", self.block > 0.0),
        ];
        match asked.into_iter().find(|(_, asked)| *asked) {
            Some((key, _)) => Err(no_place(name, key, "it is no chain of blocks")),
            None => Ok(()),
        }
    }

    /// The plan with these rates.
    pub(crate) fn apply(&self, name: &ModelName, plan: &mut Plan) -> Result<(), Error> {
        if self.path > 0.0 && !self.skip(plan) {
            return Err(no_place(name, "drop_path", "no branch of its blocks can be skipped"));
        }
        if self.block > 0.0 && !self.drop_squares(plan) {
            return Err(no_place(name, "drop_block", "of our families only ResNeSt was made with it"));
        }
        match self.dropout {
            Some(rate) if !set_dropout(plan, rate) && rate > 0.0 => {
                Err(no_place(name, "dropout", "it has no dropout and no classifier before which it could stand"))
            }
            _ => Ok(()),
        }
    }

    fn skip(&self, plan: &mut Plan) -> bool {
        let mut blocks = with_place(plan, |rates| rates.path);
        let last = blocks.len().saturating_sub(1);
        for (at, block) in blocks.iter_mut().enumerate() {
            let share = if last == 0 { 1.0 } else { at as f64 / last as f64 };
            set(&mut block.block, DropRates { path: Some(self.path * share), ..DropRates::default() });
        }
        !blocks.is_empty()
    }

    fn drop_squares(&self, plan: &mut Plan) -> bool {
        let mut blocks = with_place(plan, |rates| rates.block);
        let mut stages: Vec<String> = blocks.iter().map(|block| block.stage.clone()).collect();
        stages.dedup();
        let dropped = &stages[stages.len().saturating_sub(LAST_STAGES)..];
        for block in blocks.iter_mut().filter(|block| dropped.contains(&block.stage)) {
            set(&mut block.block, DropRates { block: Some(self.block), ..DropRates::default() });
        }
        !blocks.is_empty()
    }
}

/// Whether the plan has a place for it.
fn set_dropout(plan: &mut Plan, rate: f64) -> bool {
    let inside = plan.dropout_inside;
    let used = |rates: &DropRates| rates.dropout.filter(|present| inside || *present > 0.0);
    let mut blocks = with_place(plan, used);
    for block in &mut blocks {
        set(&mut block.block, DropRates { dropout: Some(rate), ..DropRates::default() });
    }
    let in_blocks = !blocks.is_empty();
    match &mut plan.head {
        Some(head) if head.dropout > 0.0 || !in_blocks => {
            head.dropout = rate;
            true
        }
        _ => in_blocks,
    }
}

fn with_place(plan: &mut Plan, place: impl Fn(&DropRates) -> Option<f64>) -> Vec<&mut PlannedBlock> {
    let has_place = |block: &&mut PlannedBlock| block.block.droppable().is_some_and(|b| place(&b.rates()).is_some());
    plan.blocks.iter_mut().filter(has_place).collect()
}

fn set(block: &mut SharedBlock, rates: DropRates) {
    if let Some(changed) = block.droppable().map(|droppable| droppable.with_rates(&rates)) {
        *block = changed;
    }
}

fn no_place(name: &ModelName, key: &str, why: &str) -> Error {
    Error::Input { name: name.to_string(), problem: format!("has no place for `{key}`: {why}") }
}

/// The rates at which the blocks of a chain drop, in their order, by position, then that of the dropout before its head under
/// the name `head`.
///
/// # Errors
/// As [`build`](crate::build()); a network that is no chain.
pub fn drop_rates(name: &str, options: &ModelOptions) -> Result<Vec<(String, DropRates)>, Error> {
    let plan = chain_of(&name.parse()?, options)?;
    let of = |block: &PlannedBlock| block.block.droppable().map(|block| block.rates()).unwrap_or_default();
    let mut rates: Vec<_> = plan.blocks.iter().map(|block| (block.position(), of(block))).collect();
    if let Some(head) = &plan.head {
        rates.push(("head".to_owned(), DropRates { dropout: Some(head.dropout), ..DropRates::default() }));
    }
    Ok(rates)
}
