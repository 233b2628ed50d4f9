//! Random numbers as a pure function of what they are for.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// What the numbers decide; two purposes never share a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The order of an epoch.
    Order = 1,
    /// Which images are held out.
    Holdout = 3,
    /// Where a padded image is cut.
    PadCrop = 4,
    /// Whether an image is mirrored.
    Flip = 5,
    /// Where the square of a cutout lies.
    Cutout = 6,
    /// Which part of an image is cut out and resized.
    ResizedCrop = 7,
    /// Whether and where a rectangle is hidden.
    RandomErasing = 8,
    /// How colours change.
    ColourJitter = 9,
    /// Whether colour is taken away.
    Greyscale = 10,
    /// Whether and how much an image is smoothed.
    GaussianBlur = 11,
    /// Which operations a policy makes.
    RandAugment = 12,
    /// The same.
    TrivialAugment = 13,
    /// The same.
    AutoAugment = 14,
    /// Which operations are made in which chain, and how they are weighted.
    AugMix = 15,
    /// How images of a batch are mixed.
    BatchMix = 16,
}

/// A generator keyed by seed, epoch and image, so that neither threads nor a restart can change what it gives.
///
/// All four words are the ChaCha key itself: different keys give unrelated streams, with no mixing step that could collide.
pub(crate) fn generator(purpose: Purpose, seed: u64, epoch: u64, index: u64) -> ChaCha8Rng {
    keyed([seed, epoch, index, purpose as u64])
}

/// What decides the random acts of one change to one image.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    pub(crate) index: usize,
    /// How many changes of the same kind come before: each has numbers of its own.
    pub(crate) turn: usize,
}

impl Moment {
    /// The numbers of this image in this epoch.
    pub(crate) fn generator(&self, purpose: Purpose) -> ChaCha8Rng {
        keyed([self.seed, self.epoch, self.index as u64, purpose as u64 | (self.turn as u64) << 32])
    }

    /// The numbers of this image that are the same in every epoch.
    pub(crate) fn lasting_generator(&self, purpose: Purpose) -> ChaCha8Rng {
        Self { epoch: 0, ..*self }.generator(purpose)
    }
}

/// A generator keyed by seed, epoch and the images of a batch in their order.
///
/// There are too many words for a key: their SHA-256 is it.
pub(crate) fn batch_generator(purpose: Purpose, seed: u64, epoch: u64, positions: &[usize]) -> ChaCha8Rng {
    let mut hash = Sha256::new();
    let words = [seed, epoch, purpose as u64].into_iter().chain(positions.iter().map(|&position| position as u64));
    words.for_each(|word| hash.update(word.to_le_bytes()));
    ChaCha8Rng::from_seed(hash.finalize().into())
}

fn keyed(words: [u64; 4]) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
