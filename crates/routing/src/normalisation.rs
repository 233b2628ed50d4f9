//! How a gate's logits become weights.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// How logits `[B, S, T]` become weights `[B, S, T]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Normalisation {
    /// Softmax over the targets: each source shares itself out, `sum_j g_ij = 1`. The papers' form (arXiv 2107.02450).
    #[default]
    Targets,
    /// Softmax over the sources: each target is a mean of the sources, `sum_i g_ij = 1`.
    Sources,
    /// Each weight independently, between 0 and 1.
    Sigmoid,
}

/// A logit far from 0: as a weight of a sigmoid, 0.9975, or 0.0025 below 0.
const NEAR: f64 = 6.0;

impl Normalisation {
    /// Weights `[B, S, T]` of logits `[B, S, T]`, in float32 at least: exponentials of bfloat16 lose the small weights.
    pub fn apply(self, logits: &Tensor) -> Tensor {
        let logits = at_least_float(logits);
        match self {
            Normalisation::Targets => logits.softmax(2, None),
            Normalisation::Sources => logits.softmax(1, None),
            Normalisation::Sigmoid => logits.sigmoid(),
        }
    }

    /// Logits `[S, T]`, in row-major order, whose weights are nearly the identity: `e^6` times as much for a path as for any
    /// other. From one source to several targets all are alike.
    pub(crate) fn near_identity(self, sources: i64, targets: i64) -> Vec<f64> {
        let away = if self == Normalisation::Sigmoid { -NEAR } else { 0.0 };
        let own = |at: i64| sources == 1 || at / targets == at % targets;
        (0..sources * targets).map(|at| if own(at) { NEAR } else { away }).collect()
    }

    /// Logits, as many as are asked for, whose weights are nearly 0; none where weights sum to 1.
    pub(crate) fn near_nothing(self, count: i64) -> Vec<f64> {
        match self {
            Normalisation::Sigmoid => vec![-NEAR; count as usize],
            Normalisation::Targets | Normalisation::Sources => Vec::new(),
        }
    }

    /// The same numbers as `[B, R, E]`: `R` routers, each of which chooses among `E`. Under [`Normalisation::Sources`] a
    /// router is a target that chooses among sources; otherwise it is a source that chooses among targets.
    pub(crate) fn routers(self, routes: &Tensor) -> Tensor {
        match self {
            Normalisation::Sources => routes.transpose(1, 2),
            Normalisation::Targets | Normalisation::Sigmoid => routes.shallow_clone(),
        }
    }
}

/// The tensor in float32 if it has half precision, otherwise unchanged.
pub(crate) fn at_least_float(x: &Tensor) -> Tensor {
    match x.kind() {
        Kind::Half | Kind::BFloat16 => x.to_kind(Kind::Float),
        _ => x.shallow_clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(normalisation: Normalisation) -> Vec<f64> {
        let third = 3.0_f64.ln();
        let logits = Tensor::from_slice(&[0.0, third, 0.0, 0.0]).view([1, 2, 2]);
        Vec::try_from(normalisation.apply(&logits).view(-1)).unwrap()
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}, expected {expected:?}");
    }

    #[test]
    fn targets_shares_out_each_source() {
        // Row (0, ln 3): exp = (1, 3), sum 4. Row (0, 0): halves.
        close(&weights(Normalisation::Targets), &[0.25, 0.75, 0.5, 0.5]);
    }

    #[test]
    fn sources_shares_out_each_target() {
        // Column (0, 0): halves. Column (ln 3, 0): exp = (3, 1), sum 4.
        close(&weights(Normalisation::Sources), &[0.5, 0.75, 0.5, 0.25]);
    }

    #[test]
    fn sigmoid_takes_each_weight_by_itself() {
        // 1 / (1 + exp(-ln 3)) = 1 / (1 + 1/3) = 3/4.
        close(&weights(Normalisation::Sigmoid), &[0.5, 0.75, 0.5, 0.5]);
    }

    #[test]
    fn near_the_identity_a_path_keeps_almost_all_of_itself() {
        // e^6 / (e^6 + 1) = 0.99753 and, for the sigmoid, 1 / (1 + e^-6), the same number.
        for normalisation in [Normalisation::Targets, Normalisation::Sources, Normalisation::Sigmoid] {
            let logits = Tensor::from_slice(&normalisation.near_identity(2, 2)).view([1, 2, 2]);
            let weights: Vec<f64> = Vec::try_from(normalisation.apply(&logits).view(-1)).unwrap();
            let expected = [0.997527, 0.002473, 0.002473, 0.997527];
            assert!(weights.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{weights:?}");
        }
    }

    #[test]
    fn half_precision_logits_give_float32_weights() {
        let logits = Tensor::zeros([1, 2, 2], (Kind::BFloat16, tch::Device::Cpu));
        assert_eq!(Normalisation::Targets.apply(&logits).kind(), Kind::Float);
    }
}
