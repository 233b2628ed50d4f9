//! Where mixing weights come from: the gate, or one of the controls that an honest comparison needs.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::shape::above_zero;
use crate::{Error, Gate, GateConfig, Normalisation, Routes, RoutingShape, mix};
use mp_nn::{Init, Params, Role};

/// Where mixing weights come from.
///
/// ```
/// use mp_routing::MixerConfig;
/// let config: MixerConfig = toml::from_str("kind = \"gate\"\ntemperature = 2.0")?;
/// assert!(matches!(config, MixerConfig::Gate(gate) if gate.temperature == 2.0 && gate.hidden == 16));
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "MixerForm", into = "MixerForm")]
pub enum MixerConfig {
    /// Weights that each input decides.
    Gate(GateConfig),
    /// Weights that are trained but the same for every input: cross-stitch.
    Learned(LearnedConfig),
    /// Every target is the mean of the sources.
    Uniform,
    /// Target `i` is source `i`: independent paths.
    Identity,
}

impl Default for MixerConfig {
    fn default() -> Self {
        MixerConfig::Gate(GateConfig::default())
    }
}

// serde refuses unknown keys beside a tag only where the variant has braces.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum MixerForm {
    Gate(GateConfig),
    Learned(LearnedConfig),
    Uniform {},
    Identity {},
}

impl From<MixerForm> for MixerConfig {
    fn from(form: MixerForm) -> Self {
        match form {
            MixerForm::Gate(config) => MixerConfig::Gate(config),
            MixerForm::Learned(config) => MixerConfig::Learned(config),
            MixerForm::Uniform {} => MixerConfig::Uniform,
            MixerForm::Identity {} => MixerConfig::Identity,
        }
    }
}

impl From<MixerConfig> for MixerForm {
    fn from(config: MixerConfig) -> Self {
        match config {
            MixerConfig::Gate(config) => MixerForm::Gate(config),
            MixerConfig::Learned(config) => MixerForm::Learned(config),
            MixerConfig::Uniform => MixerForm::Uniform {},
            MixerConfig::Identity => MixerForm::Identity {},
        }
    }
}

/// The gate without its input: one trained logit for each pair of paths, normalised as a gate's are, so that a
/// comparison with the gate shows what the dependence on the input is worth.
///
/// Cross-stitch units (Misra et al., arXiv 1604.03539) with normalised weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LearnedConfig {
    /// Starting logit of `i → i`; the others start at 0. At 0 all paths are mixed evenly.
    pub diagonal: f64,
    /// `τ`, above 0.
    pub temperature: f64,
    /// How logits become weights.
    pub normalisation: Normalisation,
}

impl Default for LearnedConfig {
    fn default() -> Self {
        LearnedConfig { diagonal: 0.0, temperature: 1.0, normalisation: Normalisation::default() }
    }
}

impl MixerConfig {
    /// Takes the gate's parameters (see [`GateConfig::build`]) below `gate`, or `stitch` `[S, T]` for learned weights;
    /// the others have none.
    ///
    /// # Errors
    /// A value outside its range, identity weights between different numbers of paths, or a taken name.
    pub fn build(&self, params: &Params, shape: RoutingShape) -> Result<Mixer, Error> {
        let layer = params.path();
        shape.check(layer)?;
        let RoutingShape { sources, targets, .. } = shape;
        let options = (params.kind(), params.device());
        let rule = match self {
            MixerConfig::Gate(config) => Rule::Gate(config.build(&(params / "gate"), shape)?),
            MixerConfig::Learned(config) => {
                above_zero(layer, "temperature", config.temperature)?;
                if !config.diagonal.is_finite() {
                    let what = format!("diagonal of the routing layer `{layer}`");
                    return Err(Error::config(what, "a finite number", config.diagonal));
                }
                let start = (0..sources * targets)
                    .map(|at| if at / targets == at % targets { config.diagonal } else { 0.0 })
                    .collect();
                // A bias as the gate's `bias2` is: weight decay would pull the paths towards even mixing.
                Rule::Learned {
                    stitch: params.parameter("stitch", &[sources, targets], Init::Values(start), Role::Bias)?,
                    temperature: config.temperature,
                    normalisation: config.normalisation,
                }
            }
            MixerConfig::Uniform => Rule::Uniform(Tensor::full([sources, targets], 1.0 / sources as f64, options)),
            MixerConfig::Identity if sources == targets => Rule::Identity(Tensor::eye(sources, options)),
            MixerConfig::Identity => {
                let what = format!("targets of the routing layer `{layer}` with identity weights");
                return Err(Error::config(what, format!("as many as the {sources} sources"), targets));
            }
        };
        Ok(Mixer(rule))
    }
}

/// Gives the mixing weights of a layer.
#[derive(Debug)]
pub struct Mixer(Rule);

#[derive(Debug)]
enum Rule {
    Gate(Gate),
    /// Logits `[S, T]` over the temperature.
    Learned {
        stitch: Tensor,
        temperature: f64,
        normalisation: Normalisation,
    },
    /// Weights `[S, T]`.
    Uniform(Tensor),
    /// Weights `[S, T]`.
    Identity(Tensor),
}

impl Mixer {
    /// Routes of S sources `[B, C, H, W]` or `[B, C]`; those of the controls are the same for every sample.
    ///
    /// # Panics
    /// If the sources are none, or not those that a gate was built for.
    pub fn routes(&self, xs: &[Tensor]) -> Routes {
        let for_batch = |table: &Tensor| table.expand([xs[0].size()[0], -1, -1], false);
        match &self.0 {
            Rule::Gate(gate) => gate.forward(xs),
            Rule::Learned { stitch, temperature, normalisation } => {
                // Normalised once, not once a sample.
                let logits = (stitch / *temperature).unsqueeze(0);
                let weights = normalisation.apply(&logits);
                Routes { weights: for_batch(&weights), logits: Some(for_batch(&logits)), normalisation: *normalisation }
            }
            Rule::Uniform(weights) => {
                Routes { weights: for_batch(weights), logits: None, normalisation: Normalisation::Sources }
            }
            Rule::Identity(weights) => {
                Routes { weights: for_batch(weights), logits: None, normalisation: Normalisation::Targets }
            }
        }
    }

    /// Routes of S sources, as [`Mixer::routes`], and the T targets that they make, `Y_j = sum_i g_ij X_i`.
    ///
    /// # Panics
    /// As [`Mixer::routes`].
    pub fn mix(&self, xs: &[Tensor]) -> (Vec<Tensor>, Routes) {
        match &self.0 {
            Rule::Gate(gate) => gate.mix(xs),
            Rule::Identity(_) => (xs.iter().map(Tensor::shallow_clone).collect(), self.routes(xs)),
            Rule::Learned { .. } | Rule::Uniform(_) => {
                let routes = self.routes(xs);
                (mix(xs, &routes.weights), routes)
            }
        }
    }

    /// Whether every target is its own source, so that mixing is nothing to compute.
    pub fn is_identity(&self) -> bool {
        matches!(self.0, Rule::Identity(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mp_nn::{Device, Kind, Store};

    fn routes(config: &MixerConfig, sources: i64, targets: i64) -> Routes {
        let store = Store::new(Device::Cpu, 0);
        let shape = RoutingShape { sources, targets, channels: 4 };
        let mixer = config.build(&store.root(), shape).unwrap();
        let xs: Vec<Tensor> = (0..sources).map(|_| Tensor::randn([2, 4], (Kind::Float, Device::Cpu))).collect();
        mixer.routes(&xs)
    }

    fn flat(routes: &Routes) -> Vec<f64> {
        Vec::try_from(routes.weights.to_kind(Kind::Double).contiguous().view(-1)).unwrap()
    }

    #[test]
    fn uniform_weights_make_means() {
        // Each of the 3 targets takes half of each of the 2 sources, in both samples.
        assert_eq!(flat(&routes(&MixerConfig::Uniform, 2, 3)), [0.5; 12]);
    }

    #[test]
    fn identity_weights_are_the_unit_matrix_in_every_sample() {
        assert_eq!(flat(&routes(&MixerConfig::Identity, 2, 2)), [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn learned_weights_start_where_the_diagonal_says() {
        // Rows (ln 3, 0) and (0, ln 3): exp = 3 and 1, so a path keeps 3/4 of itself.
        let config = LearnedConfig { diagonal: 3.0_f64.ln(), ..Default::default() };
        let found = flat(&routes(&MixerConfig::Learned(config), 2, 2));
        let expected = [0.75, 0.25, 0.25, 0.75, 0.75, 0.25, 0.25, 0.75];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }

    #[test]
    fn learned_weights_are_trained_over_the_whole_batch() {
        let store = Store::new(Device::Cpu, 0);
        let mixer =
            MixerConfig::Learned(LearnedConfig::default()).build(&store.root(), RoutingShape::square(2, 4)).unwrap();
        let routes = mixer.routes(&[Tensor::zeros([5, 4], (Kind::Float, Device::Cpu))]);
        // d softmax_1 / d a_1 = g (1 - g) = 1/4 a sample, 5 samples.
        routes.weights.select(1, 0).select(1, 0).sum(Kind::Float).backward();
        let gradient = store.parameters()[0].tensor.grad();
        assert_eq!(Vec::<f64>::try_from(gradient.view(-1)).unwrap(), [1.25, -1.25, 0.0, 0.0]);
    }

    #[test]
    fn refuses_identity_between_different_numbers_of_paths() {
        let store = Store::new(Device::Cpu, 0);
        let shape = RoutingShape { sources: 2, targets: 3, channels: 4 };
        let error = MixerConfig::Identity.build(&(&store.root() / "stage2"), shape).unwrap_err();
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
            MixerConfig::Uniform,
            MixerConfig::Identity,
        ] {
            assert_eq!(toml::from_str::<MixerConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
        }
        for text in ["kind = \"gate\"\ntemprature = 2.0", "kind = \"uniform\"\ntemperature = 2.0"] {
            let message = toml::from_str::<MixerConfig>(text).unwrap_err().to_string();
            assert!(message.contains("unknown field `temp"), "{message}");
        }
    }
}
