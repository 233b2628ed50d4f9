//! How a layer that may be skipped is decided upon.

use tch::Tensor;

use crate::normalisation::at_least_float;
use crate::{Decision, Normalisation, Pass};

/// How scores become the decision to run a layer or not.
///
/// In evaluation both run it where the probability is above [`Pass::threshold`], whatever else is in the batch; [`Pass::sampling`]
/// draws instead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SkipRule {
    /// Training draws by adding Gumbel noise to the scores; the gradient is that of the softmax of the noisy scores over `τ`.
    /// Jang et al., arXiv 1611.01144; as ConvNet-AIG (arXiv 1711.11503) uses it.
    Gumbel {
        /// `τ`, above 0.
        temperature: f64,
    },
    /// Training runs the layer where its probability is above one half; the gradient is that of the probability. A sampled
    /// decision instead has the logarithm of its probability, and no gradient of its weights. SkipNet (arXiv 1711.09485).
    Threshold,
}

/// `hard` with the gradient of `soft`. The values are exactly those of `hard`, which `hard - soft + soft` would round.
pub fn straight_through(hard: &Tensor, soft: &Tensor) -> Tensor {
    hard + (soft - soft.detach())
}

impl SkipRule {
    /// Decides upon one layer for scores `[items, 2]`: of the way around it, and of running it.
    ///
    /// `cost` are the multiply-adds of running it for one item.
    pub fn decide(self, scores: &Tensor, cost: u64, pass: &Pass) -> Decision {
        let scores = at_least_float(scores).unsqueeze(1);
        let draws = pass.sampled || (pass.mode.is_train() && matches!(self, SkipRule::Gumbel { .. }));
        let probabilities = scores.softmax(2, None);
        let mut log_prob = None;
        let weights = match self {
            SkipRule::Gumbel { temperature } if draws => {
                let noisy = &scores + gumbel(&scores);
                straight_through(&largest(&noisy), &(noisy / temperature).softmax(2, None))
            }
            SkipRule::Threshold if draws => {
                let drawn = largest(&(&scores + gumbel(&scores)));
                log_prob =
                    Some((&drawn * scores.log_softmax(2, None)).sum_dim_intlist([2_i64].as_slice(), false, None));
                drawn
            }
            SkipRule::Gumbel { .. } | SkipRule::Threshold => {
                let threshold = if pass.mode.is_train() { 0.5 } else { pass.threshold };
                let runs = probabilities.narrow(2, 1, 1).gt(threshold);
                let hard = Tensor::cat(&[runs.logical_not(), runs], 2).to_kind(probabilities.kind());
                straight_through(&hard, &probabilities)
            }
        };
        let mut decision = Decision::soft(weights, Some(scores), Normalisation::Targets);
        decision.chosen = Some(decision.weights.detach().gt(0.5));
        decision.log_prob = log_prob;
        decision.cost = vec![0, cost];
        decision
    }
}

/// 1 for the larger of two scores, 0 for the other.
fn largest(scores: &Tensor) -> Tensor {
    scores.argmax(2, false).one_hot(2).to_kind(scores.kind())
}

/// Noise of the standard Gumbel distribution, `-log(-log u)`, from libtorch's generator, which a run seeds before each step.
pub(crate) fn gumbel(like: &Tensor) -> Tensor {
    // 0 would be infinitely far away.
    let u = like.rand_like().clamp(f64::from(f32::MIN_POSITIVE), 1.0 - f64::from(f32::EPSILON));
    -(-u.log()).log()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mp_nn::{Device, Kind};

    const GUMBEL: SkipRule = SkipRule::Gumbel { temperature: 1.0 };

    fn scores(items: i64, skip: f64, run: f64) -> Tensor {
        Tensor::from_slice(&[skip, run]).view([1, 2]).expand([items, 2], false).copy()
    }

    fn runs(decision: &Decision) -> Tensor {
        decision.weights.select(2, 1).squeeze_dim(1)
    }

    #[test]
    fn scores_as_they_start_run_a_layer_for_87_of_100() {
        // e^2 / (e^0.1 + e^2) = 1 / (1 + e^-1.9) = 0.870; two draws agree in 0.87² + 0.13² = 0.774.
        tch::manual_seed(1);
        let draw = || runs(&GUMBEL.decide(&scores(20_000, 0.1, 2.0), 1, &Pass::train()));
        let (first, second) = (draw(), draw());
        assert!((first.mean(None).double_value(&[]) - 0.870).abs() < 0.01);
        let agreement = first.eq_tensor(&second).to_kind(Kind::Double).mean(None).double_value(&[]);
        assert!((agreement - 0.774).abs() < 0.01, "{agreement}");
    }

    #[test]
    fn evaluation_draws_nothing() {
        for rule in [GUMBEL, SkipRule::Threshold] {
            let decide =
                |run, pass: &Pass| runs(&rule.decide(&scores(50, 0.0, run), 1, pass)).sum(None).double_value(&[]);
            assert_eq!((decide(0.1, &Pass::eval()), decide(-0.1, &Pass::eval())), (50.0, 0.0));
            // A probability of 3/4 is above 0.7 and below 0.8.
            for (threshold, expected) in [(0.7, 50.0), (0.8, 0.0)] {
                assert_eq!(decide(3.0_f64.ln(), &Pass::eval().above(threshold)), expected);
            }
            tch::manual_seed(1);
            let drawn = decide(0.0, &Pass::eval().sampling());
            assert!(0.0 < drawn && drawn < 50.0);
        }
    }

    #[test]
    fn straight_through_is_hard_forward_and_soft_backward() {
        let score =
            |kind| Tensor::from_slice(&[0.3, -0.2, 1.0, 4.0]).view([2, 2]).to_kind(kind).set_requires_grad(true);
        let hard = score(Kind::Double);
        let decision = SkipRule::Threshold.decide(&hard, 1, &Pass::train());
        assert_eq!(Vec::<f64>::try_from(decision.weights.reshape(-1)).unwrap(), [1.0, 0.0, 0.0, 1.0]);
        decision.weights.select(2, 1).sum(None).backward();
        let soft = score(Kind::Double);
        soft.softmax(1, None).select(1, 1).sum(None).backward();
        assert!(hard.grad().allclose(&soft.grad(), 1e-12, 1e-12, false));
    }

    #[test]
    fn a_sampled_threshold_learns_by_the_logarithm_of_its_probability() {
        tch::manual_seed(3);
        let scores = scores(40, 0.0, 3.0_f64.ln()).set_requires_grad(true);
        let decision = SkipRule::Threshold.decide(&scores, 1, &Pass::eval().sampling());
        assert!(!decision.weights.requires_grad());
        let log_prob = decision.log_prob.as_ref().unwrap();
        assert_eq!(log_prob.size(), [40, 1]);
        // 3/4 to run it, 1/4 not to.
        let expected = runs(&decision) * 0.75_f64.ln() + (1.0 - runs(&decision)) * 0.25_f64.ln();
        assert!(log_prob.squeeze_dim(1).allclose(&expected, 1e-12, 1e-12, false));
    }

    #[test]
    fn the_same_seed_draws_the_same_routes() {
        let draw = || {
            tch::manual_seed(7);
            GUMBEL.decide(&scores(64, 0.0, 0.0), 1, &Pass::train()).weights
        };
        assert!(draw().equal(&draw()));
        assert_eq!(draw().device(), Device::Cpu);
    }
}
