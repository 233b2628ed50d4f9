//! Left and right exchanged.

use rand::RngExt;

use super::canvas::Canvas;
use super::{Change, Size};
use crate::Error;
use crate::random::{Moment, Purpose};

/// Which images are mirrored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Flip {
    /// Mirrors a random half of the images in the first epoch and from then on always the other half, so that two
    /// successive epochs show both sides of every image. Without it, each epoch draws anew.
    ///
    /// Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (arXiv 2404.00498), section 3.6.
    pub alternating: bool,
}

impl Flip {
    pub(super) fn mirrors(&self, moment: Moment) -> bool {
        match self.alternating {
            false => moment.generator(Purpose::Flip).random(),
            true => moment.lasting_generator(Purpose::Flip).random::<bool>() != (moment.epoch % 2 == 1),
        }
    }
}

impl Change for Flip {
    fn check(&self, _channels: usize, size: Size) -> Result<Size, Error> {
        Ok(size)
    }

    fn apply(&self, canvas: &mut Canvas<'_>, moment: Moment) {
        if !self.mirrors(moment) {
            return;
        }
        let shape = canvas.shape();
        canvas.rewrite(shape, |source, target, _| {
            let row = shape.width * shape.channels;
            for (source, target) in source.pixels().chunks_exact(row).zip(target.chunks_exact_mut(row)) {
                let pixels = source.rchunks_exact(shape.channels).zip(target.chunks_exact_mut(shape.channels));
                pixels.for_each(|(source, target)| target.copy_from_slice(source));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirrored(flip: Flip, epoch: u64) -> Vec<bool> {
        (0..4000).map(|index| flip.mirrors(Moment { seed: 1, epoch, index, turn: 0 })).collect()
    }

    #[test]
    fn half_are_mirrored() {
        for alternating in [false, true] {
            for epoch in 0..2 {
                let count = mirrored(Flip { alternating }, epoch).into_iter().filter(|&mirrored| mirrored).count();
                // 2000 expected, deviation 32: five deviations are allowed.
                assert!(count.abs_diff(2000) < 160, "{count}");
            }
        }
    }

    #[test]
    fn alternating_flips_show_both_sides_in_two_epochs() {
        let epoch = |epoch| mirrored(Flip { alternating: true }, epoch);
        assert!(epoch(0).iter().zip(epoch(1)).all(|(&first, second)| first != second));
        assert_eq!(epoch(0), epoch(2));
        assert_ne!(mirrored(Flip::default(), 0), mirrored(Flip::default(), 2));
    }
}
