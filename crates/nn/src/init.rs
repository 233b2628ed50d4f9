//! How a parameter starts.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Normal, Uniform};

/// How a parameter starts.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// All the same value.
    Constant(f64),
    /// Uniform in `[-bound, bound)`.
    Uniform {
        /// Half the width of the interval.
        bound: f64,
    },
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// The given values, in row-major order.
    Values(Vec<f64>),
}

impl Init {
    /// PyTorch's default for the weights and biases of `Conv2d` and `Linear`: uniform within `1 / sqrt(fan_in)`
    /// (`kaiming_uniform_` with `a = sqrt(5)`).
    pub fn kaiming_uniform(fan_in: i64) -> Self {
        Init::Uniform { bound: 1.0 / (fan_in.max(1) as f64).sqrt() }
    }

    /// He et al. (arXiv 1502.01852) for layers before a ReLU: normal with deviation `sqrt(2 / fan)`.
    pub fn kaiming_normal(fan: i64) -> Self {
        Init::Normal { std: (2.0 / fan.max(1) as f64).sqrt() }
    }

    /// `count` values, a function of the seed and the parameter's name only: neither the order in which a model is built
    /// nor the number of threads changes them.
    pub(crate) fn draw(&self, count: usize, seed: u64, name: &str) -> Vec<f32> {
        match self {
            Init::Zeros => vec![0.0; count],
            Init::Ones => vec![1.0; count],
            Init::Constant(value) => vec![*value as f32; count],
            Init::Uniform { bound } if *bound <= 0.0 => vec![0.0; count],
            Init::Uniform { bound } => {
                let bound = *bound as f32;
                // Infallible here: the bound is positive and finite.
                Uniform::new(-bound, bound).map_or_else(|_| vec![0.0; count], |d| sample(d, count, seed, name))
            }
            Init::Normal { std } => {
                Normal::new(0.0, *std as f32).map_or_else(|_| vec![0.0; count], |d| sample(d, count, seed, name))
            }
            Init::Values(values) => values.iter().map(|v| *v as f32).collect(),
        }
    }
}

fn sample(distribution: impl Distribution<f32>, count: usize, seed: u64, name: &str) -> Vec<f32> {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&fnv1a(name.as_bytes()).to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    (0..count).map(|_| distribution.sample(&mut rng)).collect()
}

/// The 64-bit FNV-1a hash; the standard library's hashers may change between releases, and seeds must not.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
