//! Which images an epoch serves, in which order, and which of them fall to which process.

use rand::RngExt;
use rand::seq::SliceRandom;

use crate::random::{Purpose, generator};
use crate::{Dataset, Error};

/// Which images an epoch serves, and in which order: a pure function of the data set, the seed and the epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
pub enum Sampler {
    /// Every image once, in the order of the data set.
    Sequential,
    /// Every image once, in an order of its own for every epoch.
    #[default]
    Shuffled,
    /// As many images as there are, each class (of those that have images) equally often, give or take one.
    ///
    /// A class with more images than its share shows a part of them, another part in another epoch; one with fewer shows
    /// them again. Repeats within an epoch have the same pixels, since these depend on seed, epoch and image.
    ClassBalanced,
    /// The images at these positions of the data set, shuffled, as often as they are listed.
    Subset {
        /// Positions in the data set.
        indices: Vec<usize>,
    },
    /// Every image once: the order of the data set's [shards](Dataset::shards) is shuffled, then the images within each
    /// `group` of shards that follow each other, so that only so many files are read at a time.
    Shards {
        /// Shards whose images are mixed with each other, at least 1.
        group: usize,
    },
}

impl Sampler {
    /// Images of an epoch, over all processes together.
    pub(super) fn len(&self, dataset: &dyn Dataset) -> usize {
        match self {
            Self::Subset { indices } => indices.len(),
            _ => dataset.len(),
        }
    }

    pub(super) fn check(&self, dataset: &dyn Dataset) -> Result<(), Error> {
        match self {
            Self::Subset { indices } => match indices.iter().find(|&&index| index >= dataset.len()) {
                None => Ok(()),
                Some(index) => Err(Error::Config(format!(
                    "sampler.indices holds {index}: expected positions below {}, the images of `{}`",
                    dataset.len(),
                    dataset.name()
                ))),
            },
            Self::Shards { group: 0 } => Err(Error::Config("sampler.group is 0: expected at least 1 shard".to_owned())),
            _ => Ok(()),
        }
    }

    /// The positions of the images of an epoch.
    pub(super) fn order(&self, dataset: &dyn Dataset, seed: u64, epoch: u64) -> Vec<usize> {
        let mut random = generator(Purpose::Order, seed, epoch, 0);
        match self {
            Self::Sequential => (0..dataset.len()).collect(),
            Self::Shuffled => {
                let mut order: Vec<usize> = (0..dataset.len()).collect();
                order.shuffle(&mut random);
                order
            }
            Self::Subset { indices } => {
                let mut order = indices.clone();
                order.shuffle(&mut random);
                order
            }
            Self::ClassBalanced => balanced(dataset, &mut random),
            Self::Shards { group } => {
                let mut shards = dataset.shards();
                shards.shuffle(&mut random);
                let mut order = Vec::with_capacity(dataset.len());
                for group in shards.chunks(*group) {
                    let start = order.len();
                    order.extend(group.iter().cloned().flatten());
                    order[start..].shuffle(&mut random);
                }
                order
            }
        }
    }
}

/// Rounds in which every class gives one image, the classes in a new order each; a class that is used up starts anew.
fn balanced(dataset: &dyn Dataset, random: &mut impl RngExt) -> Vec<usize> {
    let mut classes = vec![(Vec::new(), 0); dataset.classes().len()];
    for index in 0..dataset.len() {
        // A label that has no class is reported when its image is served.
        if let Some((images, _)) = classes.get_mut(dataset.label(index)) {
            images.push(index);
        }
    }
    classes.retain(|(images, _)| !images.is_empty());
    let mut order = Vec::with_capacity(dataset.len());
    while order.len() < dataset.len() && !classes.is_empty() {
        classes.shuffle(random);
        for (images, next) in classes.iter_mut().take(dataset.len() - order.len()) {
            if *next % images.len() == 0 {
                images.shuffle(random);
            }
            order.push(images[*next % images.len()]);
            *next += 1;
        }
    }
    order
}

/// The part of every epoch that falls to one of several processes.
///
/// All processes compute the same order and take equally many images of it, but for [`Uneven::Leave`]: process `rank` takes
/// every `world`-th, from the `rank`-th on, as PyTorch's `DistributedSampler` does; of [`Sampler::Shards`], an unbroken part
/// instead, so that each process reads files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Share {
    /// Which process this is, below `world`.
    pub rank: usize,
    /// How many there are.
    pub world: usize,
    /// What happens where the images cannot be shared out equally.
    pub uneven: Uneven,
}

/// How the images of an epoch are made to go up in the number of processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uneven {
    /// The first images of the order are served again after its end: every image is seen, up to `world - 1` twice.
    #[default]
    Pad,
    /// Up to `world - 1` images at the end of the order are left out; others in another epoch, where the order is random.
    Drop,
    /// The first processes get an image more than the others: every image is seen once, as in an evaluation.
    Leave,
}

impl Default for Share {
    fn default() -> Self {
        Self { rank: 0, world: 1, uneven: Uneven::Pad }
    }
}

impl Share {
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.rank < self.world {
            return Ok(());
        }
        let Self { rank, world, .. } = self;
        Err(Error::Config(format!("share.rank is {rank}: expected below {world}, which is share.world")))
    }

    /// Images of an epoch of `total` that fall to this process.
    pub(super) fn len(&self, total: usize) -> usize {
        match self.uneven {
            Uneven::Pad => total.div_ceil(self.world),
            Uneven::Drop => total / self.world,
            Uneven::Leave => total / self.world + usize::from(self.rank < total % self.world),
        }
    }

    /// Where its part begins, if it is an unbroken one.
    fn start(&self, total: usize) -> usize {
        match self.uneven {
            Uneven::Leave => self.rank * (total / self.world) + self.rank.min(total % self.world),
            Uneven::Pad | Uneven::Drop => self.rank * self.len(total),
        }
    }
}

/// The order of one epoch, and the part of it that is served here.
pub(super) struct Order {
    all: Vec<usize>,
    first: usize,
    step: usize,
}

impl Order {
    pub(super) fn new(sampler: &Sampler, share: &Share, dataset: &dyn Dataset, seed: u64, epoch: u64) -> Self {
        let all = sampler.order(dataset, seed, epoch);
        let (first, step) = match sampler {
            Sampler::Shards { .. } => (share.start(all.len()), 1),
            _ => (share.rank, share.world),
        };
        Self { all, first, step }
    }

    /// The image at `place` of the part that is served here, or `later` places after it in the whole order, which goes
    /// round.
    pub(super) fn image(&self, place: usize, later: usize) -> usize {
        self.all[(self.first + place * self.step + later) % self.all.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageShape, Images};

    /// One image of one pixel for each label; classes `0` to `9`.
    fn labelled(labels: &[u32]) -> Images {
        let shape = ImageShape { channels: 1, height: 1, width: 1 };
        let classes = (0..10).map(|class| class.to_string()).collect();
        Images::new("labelled", shape, classes, labels.to_vec(), vec![0; labels.len()]).unwrap()
    }

    fn served(sampler: &Sampler, share: Share, count: usize) -> Vec<usize> {
        let dataset = labelled(&vec![0; count]);
        let order = Order::new(sampler, &share, &dataset, 1, 0);
        (0..share.len(sampler.len(&dataset))).map(|place| order.image(place, 0)).collect()
    }

    #[test]
    fn shares_by_hand() {
        let share = |rank, uneven| served(&Sampler::Sequential, Share { rank, world: 3, uneven }, 7);
        // What torch's DistributedSampler(range(7), 3, rank, shuffle=False, drop_last=...) gives.
        assert_eq!([0, 1, 2].map(|rank| share(rank, Uneven::Pad)), [[0, 3, 6], [1, 4, 0], [2, 5, 1]]);
        assert_eq!([0, 1, 2].map(|rank| share(rank, Uneven::Drop)), [[0, 3], [1, 4], [2, 5]]);
    }

    #[test]
    fn what_is_left_uneven_is_served_once() {
        let of = |world: usize, sampler: Sampler, count: usize| -> Vec<Vec<usize>> {
            let share = |rank| served(&sampler, Share { rank, world, uneven: Uneven::Leave }, count);
            (0..world).map(share).collect()
        };
        assert_eq!(of(3, Sampler::Sequential, 7), [vec![0, 3, 6], vec![1, 4], vec![2, 5]]);
        assert_eq!(of(3, Sampler::Sequential, 2), [vec![0], vec![1], vec![]]);
        let mut all = of(3, Sampler::Shards { group: 1 }, 8).concat();
        all.sort_unstable();
        assert_eq!(all, (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn padding_goes_round_where_there_are_fewer_images_than_processes() {
        let share = |rank| served(&Sampler::Sequential, Share { rank, world: 5, uneven: Uneven::Pad }, 2);
        assert_eq!([0, 1, 2, 3, 4].map(share), [[0], [1], [0], [1], [0]]);
    }

    #[test]
    fn classes_are_served_equally_often() {
        // Six of class 0, two of class 3, one of class 7: three of each are due.
        let dataset = labelled(&[0, 0, 0, 0, 0, 0, 3, 3, 7]);
        let order = Sampler::ClassBalanced.order(&dataset, 1, 0);
        let count = |class| order.iter().filter(|&&index| dataset.label(index) == class).count();
        assert_eq!((order.len(), [0, 3, 7].map(count)), (9, [3, 3, 3]));
        // In every round each class once, and no image twice before all of its class were served.
        assert!(order.chunks(3).all(|round| [0, 3, 7].iter().all(|&c| round.iter().any(|&i| dataset.label(i) == c))));
        let zeros: std::collections::BTreeSet<_> = order.iter().filter(|&&index| index < 6).collect();
        assert_eq!(zeros.len(), 3);
        assert_ne!(order, Sampler::ClassBalanced.order(&dataset, 1, 1));
    }

    #[test]
    fn a_subset_is_shuffled_and_keeps_its_positions() {
        let sampler = Sampler::Subset { indices: vec![8, 2, 5] };
        let mut order = served(&sampler, Share::default(), 9);
        order.sort_unstable();
        assert_eq!(order, [2, 5, 8]);
        let refused = Sampler::Subset { indices: vec![9] }.check(&labelled(&[0; 9])).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "sampler.indices holds 9: expected positions below 9, the images of `labelled`"
        );
    }
}
