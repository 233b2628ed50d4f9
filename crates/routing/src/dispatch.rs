//! From a decision to what is computed: which items each target gets, and how what it makes of them is put together.

use tch::{Kind, Tensor};

use crate::Decision;

/// What is computed of what was chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackEnd {
    /// Every target runs for every item, and what was not chosen is dropped: what the others are held to.
    MaskAll,
    /// The items that chose a target are gathered and run in one batch; a target that nobody chose is not run.
    #[default]
    Gather,
}

/// Which items each target of a decision is run for.
///
/// ```
/// use mp_nn::Tensor;
/// use mp_routing::{BackEnd, Decision, Normalisation};
///
/// // Three items of one source between two targets: the second is chosen by the first and the last of them.
/// let chosen = Tensor::from_slice(&[false, true, true, false, false, true]).view([3, 1, 2]);
/// let weights = chosen.to_kind(mp_nn::Kind::Float);
/// let mut decision = Decision::soft(weights, None, Normalisation::Targets);
/// decision.chosen = Some(chosen);
/// let plan = decision.dispatch(BackEnd::Gather);
/// assert_eq!(plan.counts(), [1, 2]);
///
/// let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).view([3, 1]);
/// let ten_times = plan.gather(1, &x).map(|x| x * 10.0);
/// let y = decision.combine(&plan, &[plan.gather(0, &x), ten_times], None);
/// assert_eq!(Vec::<f64>::try_from(y.view(-1))?, [10.0, 2.0, 30.0]);
/// # Ok::<(), tch::TchError>(())
/// ```
#[derive(Debug)]
pub struct Plan {
    items: i64,
    shares: Vec<Share>,
}

/// The items of one target.
#[derive(Debug)]
enum Share {
    None,
    All,
    /// Positions in the batch, ascending, i64 `[n]`.
    Some(Tensor),
}

impl Decision {
    /// Which items each target is run for: all of them where nothing was chosen among, or the back end is
    /// [`BackEnd::MaskAll`]; otherwise those of which some source chose it. Reads the counts, for which a GPU is waited for.
    pub fn dispatch(&self, back_end: BackEnd) -> Plan {
        let (items, _, targets) = self.size();
        let chosen = match &self.chosen {
            Some(chosen) if back_end == BackEnd::Gather && items > 0 => chosen,
            _ => return Plan { items, shares: (0..targets).map(|_| Share::All).collect() },
        };
        let chosen = chosen.any_dim(1, false);
        let counts = chosen.sum_dim_intlist([0_i64].as_slice(), false, Kind::Int64);
        let share = |target: i64| match counts.int64_value(&[target]) {
            0 => Share::None,
            count if count == items => Share::All,
            _ => Share::Some(chosen.select(1, target).nonzero().squeeze_dim(1)),
        };
        Plan { items, shares: (0..targets).map(share).collect() }
    }

    /// `base + sum_j g_j Y_j`, item by item: `ys` has for each target what it made of [`Plan::gather`], or none, and `g_j` are
    /// the weights of the one source. `base` is a shortcut, or nothing.
    ///
    /// The sum and its gradients are those of running every target for all items, but for the gradients of weights that are 0: a
    /// target that was not run for an item says nothing of what more of it would have done. Gathering is therefore exact in
    /// training where weights have no gradient, as those of sampled choices that learn by [`Decision::log_prob`], or where it is
    /// meant to reach chosen targets only, as in sparse mixtures of experts; not for straight-through weights, which need
    /// [`BackEnd::MaskAll`].
    ///
    /// # Panics
    /// If there are several sources, no target at all, or a target without its items.
    pub fn combine(&self, plan: &Plan, ys: &[Option<Tensor>], base: Option<&Tensor>) -> Tensor {
        assert_eq!(self.size().1, 1, "targets of one source");
        let weights = self.weights.squeeze_dim(1);
        let mut sum = base.map(Tensor::shallow_clone);
        for ((target, share), y) in (0..).zip(&plan.shares).zip(ys) {
            let Some(y) = y else { continue };
            let mut shape = vec![1; y.dim()];
            shape[0] = -1;
            let weight = weights.select(1, target).to_kind(y.kind());
            sum = Some(match share {
                Share::None => panic!("target {target} was run for no item"),
                Share::All => {
                    let part = y * weight.view(shape.as_slice());
                    sum.map_or_else(|| part.shallow_clone(), |sum| sum + &part)
                }
                Share::Some(items) => {
                    let part = y * weight.index_select(0, items).view(shape.as_slice());
                    let sum = sum.unwrap_or_else(|| {
                        let mut size = y.size();
                        size[0] = plan.items;
                        Tensor::zeros(size, (y.kind(), y.device()))
                    });
                    // Never in place: the base may be needed for other gradients.
                    sum.index_add(0, items, &part)
                }
            });
        }
        sum.unwrap_or_else(|| panic!("no target ran, and there is no base"))
    }
}

impl Plan {
    /// For how many items each target is run, `[T]`.
    pub fn counts(&self) -> Vec<i64> {
        let count = |share: &Share| match share {
            Share::None => 0,
            Share::All => self.items,
            Share::Some(items) => items.size()[0],
        };
        self.shares.iter().map(count).collect()
    }

    /// The items of `x` `[items, ..]` that a target is run for, in their order and in the memory layout of `x`; none if there
    /// are none.
    ///
    /// # Panics
    /// On a target that the decision does not have.
    pub fn gather(&self, target: usize, x: &Tensor) -> Option<Tensor> {
        match &self.shares[target] {
            Share::None => None,
            Share::All => Some(x.shallow_clone()),
            Share::Some(items) => Some(rows(x, |x| x.index_select(0, items))),
        }
    }

    /// `x` with the items of a target in the place of its own: `y` is what the target made of [`Plan::gather`].
    ///
    /// # Panics
    /// As [`Plan::gather`]; on another number of items.
    pub fn replace(&self, target: usize, x: &Tensor, y: Option<Tensor>) -> Tensor {
        match (&self.shares[target], y) {
            (Share::All, Some(y)) => y,
            (Share::Some(items), Some(y)) => {
                // Two layouts in one copy would be slow.
                let y = if is_channels_last(x) { y.permute([0, 2, 3, 1]).contiguous() } else { y.contiguous() };
                rows(x, |x| x.index_copy(0, items, &y))
            }
            _ => x.shallow_clone(),
        }
    }
}

/// What `change` makes of items whose numbers lie together in memory: libtorch copies items of any other layout number by
/// number, and forgets the layout.
pub(crate) fn rows(x: &Tensor, change: impl FnOnce(&Tensor) -> Tensor) -> Tensor {
    if is_channels_last(x) { change(&x.permute([0, 2, 3, 1])).permute([0, 3, 1, 2]) } else { change(&x.contiguous()) }
}

fn is_channels_last(x: &Tensor) -> bool {
    x.dim() == 4 && !x.is_contiguous() && x.permute([0, 2, 3, 1]).is_contiguous()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Normalisation;
    use mp_nn::Device;

    const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

    /// One source, targets by their numbers, the weight of each.
    fn exclusive(choices: &[i64], targets: i64) -> Decision {
        let chosen = Tensor::from_slice(choices).one_hot(targets).unsqueeze(1).to_kind(Kind::Bool);
        let items = choices.len() as i64;
        let share = Tensor::arange(items * targets, FLOAT).view([items, 1, targets]) / 7.0 + 0.25;
        let mut decision = Decision::soft(share * chosen.to_kind(Kind::Float), None, Normalisation::Targets);
        decision.chosen = Some(chosen);
        decision
    }

    /// Targets that differ: `(j + 2) x`.
    fn run(decision: &Decision, back_end: BackEnd, x: &Tensor, base: Option<&Tensor>) -> Tensor {
        let plan = decision.dispatch(back_end);
        let targets = plan.counts().len();
        let ys: Vec<_> = (0..targets).map(|j| plan.gather(j, x).map(|x| x * (j as f64 + 2.0))).collect();
        decision.combine(&plan, &ys, base)
    }

    fn maps(items: i64, last: bool) -> Tensor {
        let x = Tensor::arange(items * 2 * 3 * 3, FLOAT).sin().view([items, 2, 3, 3]);
        if last { x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) } else { x }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn gathered_items_are_those_of_mask_all(choices in prop::collection::vec(0_i64..4, 1..12), last: bool) {
            // Among them: a target without items, one with all of them, one item alone.
            let decision = exclusive(&choices, 4);
            let x = maps(choices.len() as i64, last);
            for base in [None, Some(&x)] {
                let (gathered, masked) = (run(&decision, BackEnd::Gather, &x, base), run(&decision, BackEnd::MaskAll, &x, base));
                prop_assert!(gathered.allclose(&masked, 1e-5, 1e-6, false));
            }
        }

        #[test]
        fn what_is_gathered_is_put_back_where_it_came_from(choices in prop::collection::vec(0_i64..2, 1..9), last: bool) {
            let decision = exclusive(&choices, 2);
            let x = maps(choices.len() as i64, last);
            let plan = decision.dispatch(BackEnd::Gather);
            let y = plan.replace(1, &x, plan.gather(1, &x).map(|x| x * 3.0));
            prop_assert_eq!(y.stride(), x.stride());
            for (at, choice) in (0..).zip(&choices) {
                let times = if *choice == 1 { 3.0 } else { 1.0 };
                prop_assert!(y.get(at).equal(&(x.get(at) * times)));
            }
        }
    }

    #[test]
    fn one_target_that_everybody_chose_is_not_gathered() {
        let x = maps(3, false);
        let plan = exclusive(&[0, 0, 0], 1).dispatch(BackEnd::Gather);
        assert_eq!(plan.counts(), [3]);
        assert_eq!(plan.gather(0, &x).unwrap().data_ptr(), x.data_ptr());
        let plan = exclusive(&[1, 1], 3).dispatch(BackEnd::Gather);
        assert_eq!(plan.counts(), [0, 2, 0]);
        assert!(plan.gather(0, &maps(2, false)).is_none());
    }

    #[test]
    fn an_empty_batch_runs_everything() {
        // As it is when multiply-adds are counted.
        let plan = exclusive(&[0, 1], 2).dispatch(BackEnd::Gather);
        assert_eq!(plan.counts(), [1, 1]);
        let mut none = Decision::soft(Tensor::zeros([0, 1, 2], FLOAT), None, Normalisation::Targets);
        none.chosen = Some(Tensor::zeros([0, 1, 2], (Kind::Bool, Device::Cpu)));
        assert!(none.dispatch(BackEnd::Gather).gather(1, &Tensor::zeros([0, 4], FLOAT)).is_some());
    }

    #[test]
    fn gradients_are_those_of_mask_all_but_for_weights_of_nothing() {
        let gradients = |back_end| {
            let mut decision = exclusive(&[0, 2, 2], 3);
            decision.weights = decision.weights.set_requires_grad(true);
            let x = maps(3, false).set_requires_grad(true);
            let y = run(&decision, back_end, &x, Some(&x));
            y.square().sum(Kind::Float).backward();
            (x.grad(), decision.weights.grad() * decision.chosen.unwrap())
        };
        let (gathered, masked) = (gradients(BackEnd::Gather), gradients(BackEnd::MaskAll));
        assert!(gathered.0.allclose(&masked.0, 1e-5, 1e-6, false) && gathered.1.allclose(&masked.1, 1e-5, 1e-6, false));
        assert!(masked.1.abs().max().double_value(&[]) > 0.0);
    }
}
