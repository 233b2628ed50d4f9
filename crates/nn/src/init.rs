//! How a parameter starts.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Normal, Uniform};
use serde::{Deserialize, Serialize};

use crate::Error;

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
    pub fn draw(&self, count: usize, seed: u64, name: &str) -> Vec<f32> {
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

/// How the weights of a convolution or a dense layer start. `fan_in` is the number of inputs of one output (channels of a
/// group times kernel cells), `fan_out` the number of output channels times kernel cells, groups or not, as in PyTorch.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WeightInit {
    /// PyTorch's default: uniform within `1 / sqrt(fan_in)`.
    #[default]
    KaimingUniform,
    /// Torchvision's for ResNet and VGG: normal with deviation `sqrt(2 / fan_out)`.
    KaimingNormalFanOut,
    /// He et al.'s, as DenseNet and Wide ResNet use it: normal with deviation `sqrt(2 / fan_in)`.
    KaimingNormalFanIn,
    /// Normal with mean 0.
    Normal {
        /// Standard deviation.
        std: f64,
    },
    /// Uniform within `bound`.
    Uniform {
        /// Half the width of the interval.
        bound: f64,
    },
    /// Caffe's `xavier` filler: uniform within `sqrt(3 / fan_in)`. Not PyTorch's `xavier_uniform_`, which is
    /// [`WeightInit::GlorotUniform`].
    XavierUniform,
    /// Glorot and Bengio's (AISTATS 2010): uniform within `sqrt(6 / (fan_in + fan_out))`.
    GlorotUniform,
}

impl WeightInit {
    /// The starting values for a weight of these fans.
    ///
    /// ```
    /// use mp_nn::{Init, WeightInit};
    ///
    /// assert_eq!(WeightInit::XavierUniform.start(12, 100), Init::Uniform { bound: 0.5 });
    /// assert_eq!(WeightInit::KaimingNormalFanOut.start(12, 8), Init::Normal { std: 0.5 });
    /// ```
    pub fn start(self, fan_in: i64, fan_out: i64) -> Init {
        let within = |square: f64| Init::Uniform { bound: square.sqrt() };
        match self {
            WeightInit::KaimingUniform => Init::kaiming_uniform(fan_in),
            WeightInit::KaimingNormalFanOut => Init::kaiming_normal(fan_out),
            WeightInit::KaimingNormalFanIn => Init::kaiming_normal(fan_in),
            WeightInit::Normal { std } => Init::Normal { std },
            WeightInit::Uniform { bound } => Init::Uniform { bound },
            WeightInit::XavierUniform => within(3.0 / fan_in.max(1) as f64),
            WeightInit::GlorotUniform => within(6.0 / (fan_in + fan_out).max(1) as f64),
        }
    }

    /// # Errors
    /// A width that is negative or not finite; `what` says whose.
    pub(crate) fn check(self, what: String) -> Result<(), Error> {
        match self {
            WeightInit::Normal { std: width } | WeightInit::Uniform { bound: width } => check_width(what, width),
            _ => Ok(()),
        }
    }

    /// Which one it is, and its number to the last bit: NaN equals itself here, so that configs can be `Eq`.
    fn key(self) -> (u8, u64) {
        match self {
            WeightInit::KaimingUniform => (0, 0),
            WeightInit::KaimingNormalFanOut => (1, 0),
            WeightInit::KaimingNormalFanIn => (2, 0),
            WeightInit::Normal { std } => (3, std.to_bits()),
            WeightInit::Uniform { bound } => (4, bound.to_bits()),
            WeightInit::XavierUniform => (5, 0),
            WeightInit::GlorotUniform => (6, 0),
        }
    }
}

impl PartialEq for WeightInit {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for WeightInit {}

/// How the bias of a convolution or a dense layer starts.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BiasInit {
    /// PyTorch's default: uniform within `1 / sqrt(fan_in)`, the fan of the weights.
    #[default]
    KaimingUniform,
    /// Uniform within `bound`.
    Uniform {
        /// Half the width of the interval.
        bound: f64,
    },
    /// All the same: 0 in most networks, 1 in some layers of AlexNet, -2 for the gates of Highway.
    Constant(f64),
}

impl BiasInit {
    /// The starting values for the bias beside a weight of this fan.
    pub fn start(self, fan_in: i64) -> Init {
        match self {
            BiasInit::KaimingUniform => Init::kaiming_uniform(fan_in),
            BiasInit::Uniform { bound } => Init::Uniform { bound },
            BiasInit::Constant(value) => Init::Constant(value),
        }
    }

    /// # Errors
    /// A width that is negative or a number that is not finite; `what` says whose.
    pub(crate) fn check(self, what: String) -> Result<(), Error> {
        match self {
            BiasInit::KaimingUniform => Ok(()),
            BiasInit::Uniform { bound } => check_width(what, bound),
            BiasInit::Constant(value) if value.is_finite() => Ok(()),
            BiasInit::Constant(value) => Err(Error::config(what, "a finite number", value)),
        }
    }

    fn key(self) -> (u8, u64) {
        match self {
            BiasInit::KaimingUniform => (0, 0),
            BiasInit::Uniform { bound } => (1, bound.to_bits()),
            BiasInit::Constant(value) => (2, value.to_bits()),
        }
    }
}

impl PartialEq for BiasInit {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for BiasInit {}

fn check_width(what: String, width: f64) -> Result<(), Error> {
    if width >= 0.0 && width.is_finite() {
        Ok(())
    } else {
        Err(Error::config(what, "a finite width of at least 0", width))
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
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}
