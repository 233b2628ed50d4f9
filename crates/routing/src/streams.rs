//! The features of parallel paths, of which each may have only some images of a batch.

use tch::{Kind, Tensor};

use crate::dispatch::{BackEnd, rows};
use crate::{Decision, Merge, mix};

/// The features of P parallel paths.
///
/// After a soft crossing every path has every image. After a hard one ([`Router::choose`](crate::Router::choose)) it has those
/// that were sent to it: only them, in the order of the batch, or, with [`BackEnd::MaskAll`], all of them, of which the others
/// count for nothing.
#[derive(Debug)]
pub struct Streams {
    /// The features of each path, `[n, C, H, W]` or `[n, C]`.
    pub xs: Vec<Tensor>,
    held: Option<Held>,
}

/// Which images the paths have.
#[derive(Debug)]
struct Held {
    /// `[B, P]`, bool.
    by_image: Tensor,
    /// The positions in the batch of each path's images, ascending; none where it has a row for every image.
    items: Vec<Option<Tensor>>,
}

impl Streams {
    /// Paths that have every image.
    pub fn of(xs: Vec<Tensor>) -> Self {
        Streams { xs, held: None }
    }

    /// Whether some path lacks an image.
    pub fn is_partial(&self) -> bool {
        self.held.is_some()
    }

    /// How many images there are.
    pub fn batch(&self) -> i64 {
        self.held.as_ref().map_or_else(|| self.xs[0].size()[0], |held| held.by_image.size()[0])
    }

    /// Which images each path has, bool `[B, P]`; none where every path has all of them.
    pub fn by_image(&self) -> Option<&Tensor> {
        self.held.as_ref().map(|held| &held.by_image)
    }

    /// The same images with other features: `change` gets the number of a path, from 0, and its features.
    #[must_use]
    pub fn map(&self, mut change: impl FnMut(usize, &Tensor) -> Tensor) -> Self {
        let xs = self.xs.iter().enumerate().map(|(path, x)| change(path, x)).collect();
        Streams { xs, held: self.held.as_ref().map(Held::shallow_clone) }
    }

    /// `[B, ..]`: what a path has, and zeros for the images that it lacks.
    pub fn full(&self, path: usize) -> Tensor {
        let x = &self.xs[path];
        match self.held.as_ref().and_then(|held| held.items[path].as_ref()) {
            None => x.shallow_clone(),
            Some(items) => {
                let mut size = x.size();
                size[0] = self.batch();
                Tensor::zeros(size, (x.kind(), x.device())).index_copy(0, items, &x.contiguous())
            }
        }
    }

    /// The targets of a decision `[B, S, T]` on these S sources, each the mean of those that were sent to it:
    /// `Y_j = sum_i g_ij X_i / sum_i g_ij`, without a gradient of the divisor.
    ///
    /// Where targets were chosen and the back end gathers, each has only the images that chose it.
    #[must_use]
    pub fn routed(&self, decision: &Decision, back_end: BackEnd) -> Self {
        let (items, _, targets) = decision.size();
        let count = decision.weights.detach().sum_dim_intlist([1_i64].as_slice(), true, None);
        let shares = || &decision.weights / count.where_scalarother(&count.gt(0.0), 1.0);
        let Some(chosen) = decision.chosen.as_ref().filter(|_| items > 0) else {
            return Streams::of(mix(&self.all(), &shares()));
        };
        let by_image = chosen.any_dim(1, false);
        if back_end == BackEnd::MaskAll {
            let xs = mix(&self.all(), &shares());
            return Streams { xs, held: Some(Held { by_image, items: (0..targets).map(|_| None).collect() }) };
        }
        let bank = Bank::of(self, decision, chosen);
        let (xs, items) = (0..targets).map(|target| bank.target(target, &by_image, &count)).unzip();
        Streams { xs, held: Some(Held { by_image, items }) }
    }

    /// Logits `[B, N]` of the network, given those of each path for the images that it has.
    pub fn merged(&self, merge: Merge, logits: &[Tensor]) -> Tensor {
        let Some(held) = &self.held else { return merge.merge(logits) };
        let logits = self.map(|path, _| logits[path].shallow_clone());
        merge.merge_some(&logits.all(), &held.by_image)
    }

    /// `[B, N]`: what a path says of the images that it has, and `otherwise` for the others.
    pub fn completed(&self, path: usize, logits: &Tensor, otherwise: &Tensor) -> Tensor {
        let Some(held) = &self.held else { return logits.shallow_clone() };
        let all = self.map(|_, _| logits.shallow_clone()).full(path).to_kind(otherwise.kind());
        all.where_self(&held.by_image.select(1, path as i64).unsqueeze(1), otherwise)
    }

    fn all(&self) -> Vec<Tensor> {
        (0..self.xs.len()).map(|path| self.full(path)).collect()
    }

    /// The positions in the batch of a path's images.
    pub(crate) fn items(&self, path: usize) -> Tensor {
        match self.held.as_ref().and_then(|held| held.items[path].as_ref()) {
            Some(items) => items.shallow_clone(),
            None => Tensor::arange(self.batch(), (Kind::Int64, self.xs[path].device())),
        }
    }
}

impl Held {
    fn shallow_clone(&self) -> Self {
        let items = self.items.iter().map(|items| items.as_ref().map(Tensor::shallow_clone)).collect();
        Held { by_image: self.by_image.shallow_clone(), items }
    }
}

/// The rows of all sources one after the other.
struct Bank {
    features: Tensor,
    /// The image of each row.
    items: Tensor,
    /// The target that each row goes to; none for a row that counts for nothing.
    targets: Tensor,
}

impl Bank {
    fn of(streams: &Streams, decision: &Decision, chosen: &Tensor) -> Self {
        let mut parts = [Vec::new(), Vec::new(), Vec::new()];
        for (source, x) in (0..).zip(&streams.xs) {
            if x.size()[0] == 0 {
                continue;
            }
            let items = streams.items(source as usize);
            let chosen = chosen.select(1, source).index_select(0, &items).to_kind(Kind::Int64);
            // -1 where no target was chosen.
            let target = chosen.argmax(1, true).where_scalarother(&chosen.any_dim(1, true), -1).squeeze_dim(1);
            let x = if decision.weights.requires_grad() {
                let weights = decision.weights.select(1, source).index_select(0, &items);
                let weight = weights.sum_dim_intlist([1_i64].as_slice(), false, None).to_kind(x.kind());
                let mut shape = vec![1; x.dim()];
                shape[0] = -1;
                x * weight.view(shape.as_slice())
            } else {
                x.shallow_clone()
            };
            let [xs, all, targets] = &mut parts;
            xs.push(x);
            all.push(items);
            targets.push(target);
        }
        let [features, items, targets] = parts.map(|part| match part.as_slice() {
            [one] => one.shallow_clone(),
            several => Tensor::cat(several, 0),
        });
        Bank { features, items, targets }
    }

    /// The features of a target, and the images that it has; `count` says from how many sources, `[B, 1, T]`.
    fn target(&self, target: i64, by_image: &Tensor, count: &Tensor) -> (Tensor, Option<Tensor>) {
        let own = self.targets.eq(target).nonzero().squeeze_dim(1);
        let items = self.items.index_select(0, &own);
        let held = by_image.select(1, target).nonzero().squeeze_dim(1);
        let y = if items.size() == held.size() {
            let order = own.index_select(0, &items.argsort(0, false));
            rows(&self.features, |features| features.index_select(0, &order))
        } else {
            // Several sources of one image.
            let places = items.searchsorted(&held, false, false, "left", None::<Tensor>);
            let count = count.select(2, target).index_select(0, &held).to_kind(self.features.kind());
            rows(&self.features, |features| {
                let part = features.index_select(0, &own);
                let mut size = part.size();
                size[0] = held.size()[0];
                let sum = Tensor::zeros(size, (part.kind(), part.device())).index_add(0, &places, &part);
                let mut shape = vec![1; part.dim()];
                shape[0] = -1;
                sum / count.view(shape.as_slice())
            })
        };
        (y, Some(held))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Normalisation;
    use mp_nn::Device;

    const CPU: (Kind, Device) = (Kind::Double, Device::Cpu);

    /// Source `i` of image `b` goes to target `choices[b][i]`.
    fn hard(choices: &[Vec<i64>], targets: i64) -> Decision {
        let sources = choices[0].len() as i64;
        let flat: Vec<i64> = choices.concat();
        let chosen = Tensor::from_slice(&flat).view([-1, sources]).one_hot(targets).to_kind(Kind::Bool);
        let mut decision = Decision::soft(chosen.to_kind(Kind::Double), None, Normalisation::Targets);
        decision.chosen = Some(chosen);
        decision
    }

    fn maps(items: i64, phase: f64) -> Tensor {
        (Tensor::arange(items * 2 * 2 * 2, CPU) + phase).sin().view([items, 2, 2, 2])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn gathered_targets_are_means_of_the_sources_sent_to_them(
            choices in prop::collection::vec(prop::collection::vec(0_i64..3, 2), 1..8)
        ) {
            let decision = hard(&choices, 3);
            let batch = choices.len() as i64;
            let streams = Streams::of(vec![maps(batch, 0.0), maps(batch, 0.5)]);
            let count = decision.weights.sum_dim_intlist([1_i64].as_slice(), true, None).clamp_min(1.0);
            let mixed = mix(&streams.xs, &(&decision.weights / count));
            for back_end in [BackEnd::Gather, BackEnd::MaskAll] {
                let routed = streams.routed(&decision, back_end);
                for (target, expected) in mixed.iter().enumerate() {
                    prop_assert!(routed.full(target).allclose(expected, 1e-12, 1e-12, false));
                }
            }
        }

        #[test]
        fn one_path_an_image_stays_one_path(
            first in prop::collection::vec(0_i64..3, 1..8), then in prop::collection::vec(0_i64..3, 8)
        ) {
            let batch = first.len();
            let x = maps(batch as i64, 0.0);
            let split = Streams::of(vec![x.shallow_clone()])
                .routed(&hard(&first.iter().map(|path| vec![*path]).collect::<Vec<_>>(), 3), BackEnd::Gather);
            prop_assert_eq!(split.xs.iter().map(|x| x.size()[0]).sum::<i64>(), batch as i64);
            // The sources of an image that it is not in choose nothing.
            let mut decision = hard(&then[..batch].iter().map(|path| vec![*path; 3]).collect::<Vec<_>>(), 3);
            let alive = split.by_image().unwrap().unsqueeze(2);
            decision.chosen = decision.chosen.map(|chosen| chosen.logical_and(&alive));
            decision.weights = &decision.weights * alive.to_kind(Kind::Double);
            let crossed = split.routed(&decision, BackEnd::Gather);
            for (image, path) in (0..).zip(&then[..batch]) {
                prop_assert!(crossed.full(*path as usize).get(image).equal(&x.get(image)));
            }
            let logits: Vec<Tensor> = crossed.xs.iter().map(|x| x.flatten(1, 3)).collect();
            let merged = crossed.merged(Merge::Logits, &logits);
            prop_assert!(merged.allclose(&x.flatten(1, 3), 1e-12, 1e-12, false));
        }
    }

    #[test]
    fn weights_of_chosen_targets_have_a_gradient() {
        let mut decision = hard(&[vec![1], vec![0]], 2);
        decision.weights = decision.weights.set_requires_grad(true);
        let x = maps(2, 0.3);
        let routed = Streams::of(vec![x.shallow_clone()]).routed(&decision, BackEnd::Gather);
        routed.xs.iter().map(|x| x.sum(Kind::Double)).sum::<Tensor>().backward();
        let gradient = decision.weights.grad() * decision.weights.detach();
        let expected = x.sum_dim_intlist([1_i64, 2, 3].as_slice(), false, None);
        let found = gradient.sum_dim_intlist([1_i64, 2].as_slice(), false, None);
        assert!(found.allclose(&expected, 1e-12, 1e-12, false));
    }
}
