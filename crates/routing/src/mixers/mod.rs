//! Where mixing weights come from: the gate, or one of the controls that an honest comparison needs. One file each.

mod features;
mod gate;
mod identity;
mod learned;
mod temperature;
mod top1;
mod uniform;

use serde::{Deserialize, Serialize};

pub use features::{GateInput, GateReads};
pub use gate::{Gate, GateConfig};
pub use identity::IdentityConfig;
pub use learned::LearnedConfig;
pub use top1::Top1Config;
pub use uniform::UniformConfig;

use crate::{Error, Router, RouterConfig, RoutingShape};
use mp_nn::Params;

/// The settings of one mixer; each has them in its own file.
trait Settings {
    /// The router of a layer, with its parameters below `params`.
    fn router(&self, params: &Params, shape: RoutingShape) -> Result<Box<dyn Router>, Error>;

    /// As [`RouterConfig::near_identity`].
    fn near_identity(&self, shape: RoutingShape) -> Vec<(String, Vec<f64>)> {
        let _ = shape;
        Vec::new()
    }

    /// As [`RouterConfig::is_identity`].
    fn is_identity(&self) -> bool {
        false
    }

    /// As [`RouterConfig::is_hard`].
    fn is_hard(&self) -> bool {
        false
    }
}

macro_rules! mixers {
    ($($(#[$about:meta])* $mixer:ident($config:ident) = $kind:literal,)*) => {
        /// Where mixing weights come from.
        ///
        /// ```
        /// use mp_routing::MixerConfig;
        /// let config: MixerConfig = toml::from_str("kind = \"gate\"\ntemperature = 2.0")?;
        /// assert!(matches!(config, MixerConfig::Gate(gate) if gate.temperature == 2.0 && gate.hidden == 16));
        /// # Ok::<(), toml::de::Error>(())
        /// ```
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum MixerConfig {
            $($(#[$about])* #[serde(rename = $kind)] $mixer($config),)*
        }

        impl MixerConfig {
            /// The kinds of all mixers, the default first.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            fn settings(&self) -> &dyn Settings {
                match self {
                    $(Self::$mixer(config) => config,)*
                }
            }
        }
    };
}

mixers! {
    /// Weights that each input decides.
    Gate(GateConfig) = "gate",
    /// One target for all sources, which each input decides.
    Top1(Top1Config) = "top1",
    /// Weights that are trained but the same for every input: cross-stitch.
    Learned(LearnedConfig) = "learned",
    /// Every target is the mean of the sources.
    Uniform(UniformConfig) = "uniform",
    /// Target `i` is source `i`: independent paths.
    Identity(IdentityConfig) = "identity",
}

impl MixerConfig {
    /// Every target is the mean of the sources.
    pub const UNIFORM: Self = MixerConfig::Uniform(UniformConfig {});
    /// Target `i` is source `i`.
    pub const IDENTITY: Self = MixerConfig::Identity(IdentityConfig {});
}

impl Default for MixerConfig {
    fn default() -> Self {
        MixerConfig::Gate(GateConfig::default())
    }
}

impl RouterConfig for MixerConfig {
    /// Takes the gate's parameters (see [`GateConfig::build`]) below `gate`, hard or not, or `stitch` `[S, T]` for learned weights;
    /// the others have none.
    ///
    /// # Errors
    /// A value outside its range, identity weights between different numbers of paths, or a taken name.
    fn build(&self, params: &Params, shape: RoutingShape) -> Result<Box<dyn Router>, Error> {
        shape.check(params.path())?;
        self.settings().router(params, shape)
    }

    fn near_identity(&self, shape: RoutingShape) -> Vec<(String, Vec<f64>)> {
        self.settings().near_identity(shape)
    }

    fn is_hard(&self) -> bool {
        self.settings().is_hard()
    }

    fn is_identity(&self) -> bool {
        self.settings().is_identity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Decision, Pass};
    use mp_nn::{Device, Kind, Store, Tensor};

    fn decide(config: &MixerConfig, sources: i64, targets: i64) -> Decision {
        let store = Store::new(Device::Cpu, 0);
        let shape = RoutingShape { sources, targets, channels: 4 };
        let mixer = config.build(&store.root(), shape).unwrap();
        let xs: Vec<Tensor> = (0..sources).map(|_| Tensor::randn([2, 4], (Kind::Float, Device::Cpu))).collect();
        mixer.route(&xs, &mut Pass::eval())
    }

    fn flat(decision: &Decision) -> Vec<f64> {
        Vec::try_from(decision.weights.to_kind(Kind::Double).contiguous().view(-1)).unwrap()
    }

    #[test]
    fn uniform_weights_make_means() {
        // Each of the 3 targets takes half of each of the 2 sources, in both samples.
        assert_eq!(flat(&decide(&MixerConfig::UNIFORM, 2, 3)), [0.5; 12]);
    }

    #[test]
    fn identity_weights_are_the_unit_matrix_in_every_sample() {
        assert_eq!(flat(&decide(&MixerConfig::IDENTITY, 2, 2)), [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn learned_weights_start_where_the_diagonal_says() {
        // Rows (ln 3, 0) and (0, ln 3): exp = 3 and 1, so a path keeps 3/4 of itself.
        let config = LearnedConfig { diagonal: 3.0_f64.ln(), ..Default::default() };
        let found = flat(&decide(&MixerConfig::Learned(config), 2, 2));
        let expected = [0.75, 0.25, 0.25, 0.75, 0.75, 0.25, 0.25, 0.75];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn learned_weights_are_trained_over_the_whole_batch() {
        let store = Store::new(Device::Cpu, 0);
        let mixer =
            MixerConfig::Learned(LearnedConfig::default()).build(&store.root(), RoutingShape::square(2, 4)).unwrap();
        let xs = [Tensor::zeros([5, 4], (Kind::Float, Device::Cpu))];
        let decision = mixer.route(&xs, &mut Pass::eval());
        // d softmax_1 / d a_1 = g (1 - g) = 1/4 a sample, 5 samples.
        decision.weights.select(1, 0).select(1, 0).sum(Kind::Float).backward();
        let gradient = store.parameters()[0].tensor.grad();
        assert_eq!(Vec::<f64>::try_from(gradient.view(-1)).unwrap(), [1.25, -1.25, 0.0, 0.0]);
    }

    #[test]
    fn refuses_identity_between_different_numbers_of_paths() {
        let store = Store::new(Device::Cpu, 0);
        let shape = RoutingShape { sources: 2, targets: 3, channels: 4 };
        let error = MixerConfig::IDENTITY.build(&(&store.root() / "stage2"), shape).unwrap_err();
        assert_eq!(
            error.to_string(),
            "targets of the routing layer `stage2` with identity weights: expected as many as the 2 sources, found 3"
        );
    }

    #[test]
    fn reads_back_what_it_writes_and_refuses_unknown_keys() {
        for config in [
            MixerConfig::default(),
            MixerConfig::Learned(LearnedConfig { diagonal: 2.0, ..Default::default() }),
            MixerConfig::UNIFORM,
            MixerConfig::IDENTITY,
        ] {
            assert_eq!(toml::from_str::<MixerConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        }
        for text in ["kind = \"gate\"\ntemprature = 2.0", "kind = \"uniform\"\ntemperature = 2.0"] {
            let message = toml::from_str::<MixerConfig>(text).unwrap_err().to_string();
            assert!(message.contains("unknown field `temp"), "{message}");
        }
    }
}
