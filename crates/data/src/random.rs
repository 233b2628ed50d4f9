//! Random numbers as a pure function of what they are for.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// What the numbers decide; two purposes never share a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    /// The order of an epoch.
    Order = 1,
    /// The augmentation of one image.
    Augment = 2,
    /// Which images are held out.
    Holdout = 3,
}

/// A generator keyed by seed, epoch and image, so that neither threads nor a restart can change what it gives.
///
/// All four words are the ChaCha key itself: different keys give unrelated streams, with no mixing step that could collide.
pub(crate) fn generator(purpose: Purpose, seed: u64, epoch: u64, index: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, epoch, index, purpose as u64]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}
