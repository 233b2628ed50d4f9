//! The two ends of a routed network: one input to many paths, many paths to one output.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::normalisation::at_least_float;
use crate::{CrossConnection, CrossConnectionConfig, Error, Pass, RoutingShape, SharedRouter, Streams};
use mp_nn::Params;

/// How one tensor becomes the inputs of T paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Every path takes it as it is.
    #[default]
    Plain,
    /// Path `j` takes `g_j X`: the routing rule with one source.
    Gated,
}

impl Split {
    /// Takes the mixer's parameters at `params` where the split is gated; `name` is its name in the trace. Identity
    /// weights of one source are no weights: the split is then plain.
    ///
    /// # Errors
    /// Those of [`RouterConfig::build`](crate::RouterConfig::build).
    pub fn build(
        self,
        mixer: &SharedRouter,
        params: &Params,
        name: &str,
        targets: i64,
        channels: i64,
    ) -> Result<OneToMany, Error> {
        let shape = RoutingShape { sources: 1, targets, channels };
        shape.check(name)?;
        let gated = self == Split::Gated && !mixer.is_identity();
        let connection =
            if gated { Some(CrossConnectionConfig { mixer: mixer.clone() }.build(params, name, shape)?) } else { None };
        Ok(OneToMany { connection, targets })
    }
}

/// Gives one tensor to T paths.
#[derive(Debug)]
pub struct OneToMany {
    connection: Option<CrossConnection>,
    targets: i64,
}

impl OneToMany {
    /// `[B, C, H, W]` or `[B, C]` to T tensors of the same shape, or, after a gate that sends each image to one path, of the
    /// images that each path has; a gated split appends its decision to the trace.
    pub fn forward(&self, x: &Tensor, pass: &mut Pass) -> Streams {
        let source = || x.shallow_clone();
        match &self.connection {
            Some(connection) => connection.flow(&Streams::of(vec![source()]), pass),
            None => Streams::of((0..self.targets).map(|_| source()).collect()),
        }
    }
}

/// How the logits of the paths become those of the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merge {
    /// Their mean.
    #[default]
    Logits,
    /// The logarithm of the mean of the paths' probabilities.
    Probabilities,
}

impl Merge {
    /// Logits `[B, N]` of every path to logits `[B, N]`, in float32 at least.
    ///
    /// # Panics
    /// If there are no paths, or their shapes differ.
    pub fn merge(self, paths: &[Tensor]) -> Tensor {
        let paths: Vec<Tensor> = paths.iter().map(at_least_float).collect();
        let stacked = Tensor::stack(&paths, 0);
        match self {
            Merge::Logits => stacked.mean_dim([0_i64].as_slice(), false, None),
            Merge::Probabilities => stacked.log_softmax(2, None).logsumexp([0_i64], false) - (paths.len() as f64).ln(),
        }
    }

    /// The same over the paths that have an image, bool `[B, P]`; there is at least one.
    pub(crate) fn merge_some(self, paths: &[Tensor], held: &Tensor) -> Tensor {
        let paths: Vec<Tensor> = paths.iter().map(at_least_float).collect();
        let stacked = Tensor::stack(&paths, 1);
        let held = held.unsqueeze(2);
        let count = held.sum_dim_intlist([1_i64].as_slice(), false, stacked.kind());
        match self {
            Merge::Logits => (stacked * &held).sum_dim_intlist([1_i64].as_slice(), false, None) / count,
            Merge::Probabilities => {
                let logarithms = stacked.log_softmax(2, None).masked_fill(&held.logical_not(), f64::NEG_INFINITY);
                logarithms.logsumexp([1_i64], false) - count.log()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MixerConfig;
    use mp_nn::{Device, Kind, Store};

    fn logits(values: &[f64]) -> Tensor {
        Tensor::from_slice(values).view([1, -1])
    }

    fn assert_close(found: &Tensor, expected: &[f64]) {
        assert!(found.allclose(&logits(expected), 1e-12, 1e-12, false), "{found}, expected {expected:?}");
    }

    #[test]
    fn merges_logits_by_their_mean() {
        assert_close(&Merge::Logits.merge(&[logits(&[1.0, 4.0]), logits(&[3.0, 0.0])]), &[2.0, 2.0]);
    }

    #[test]
    fn merges_probabilities_by_their_mean() {
        // (0, ln 3) is (1/4, 3/4); (0, 0) is (1/2, 1/2); the mean is (3/8, 5/8).
        let merged = Merge::Probabilities.merge(&[logits(&[0.0, 3.0_f64.ln()]), logits(&[0.0, 0.0])]);
        assert_close(&merged, &[0.375_f64.ln(), 0.625_f64.ln()]);
    }

    #[test]
    fn one_path_keeps_its_class_probabilities() {
        let one = [logits(&[0.3, -1.2, 2.0])];
        assert_close(&Merge::Logits.merge(&one), &[0.3, -1.2, 2.0]);
        assert!(Merge::Probabilities.merge(&one).softmax(1, None).allclose(
            &one[0].softmax(1, None),
            1e-12,
            1e-12,
            false
        ));
    }

    #[test]
    fn a_plain_split_routes_nothing_and_a_gated_one_does() {
        let x = Tensor::randn([2, 4, 3, 3], (Kind::Float, Device::Cpu));
        let split = |split: Split, mixer: MixerConfig| {
            let store = Store::new(Device::Cpu, 0);
            let mut pass = Pass::eval();
            let ys = split.build(&mixer.into(), &store.root(), "split", 3, 4).unwrap().forward(&x, &mut pass);
            (ys.xs, pass.trace)
        };
        for (way, mixer) in [(Split::Plain, MixerConfig::default()), (Split::Gated, MixerConfig::IDENTITY)] {
            let (ys, trace) = split(way, mixer);
            assert!(trace.is_empty() && ys.len() == 3 && ys.iter().all(|y| y.equal(&x)));
        }
        let (ys, trace) = split(Split::Gated, MixerConfig::default());
        assert_eq!(trace.layers[0].decision.weights.size(), [2, 1, 3]);
        // A softmax shares the source out: the targets add up to it.
        let sum = ys.iter().sum::<Tensor>();
        assert!(sum.allclose(&x, 1e-5, 1e-6, false));
    }
}
