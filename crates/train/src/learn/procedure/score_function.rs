//! First by the labels, then by what drawn decisions cost and bring.

use mp_routing::{Decision, Pass, Trace};
use tch::{Kind, Reduction, Tensor};

use super::{Found, Learner, Procedure, Supervised, TrainBatch};
use crate::Error;
use crate::learn::correct;
use crate::recipe::ScoreFunctionConfig;

/// The hybrid reinforcement learning of SkipNet (Wang et al., arXiv 1711.09485): see [`ScoreFunctionConfig`].
///
/// The norms keep the statistics of the supervised steps: drawn decisions would move them away from those that evaluation
/// meets. A block is run for the images that drew it only; its gates learn by the logarithm of the probability of what they
/// drew, which asks for nothing else.
pub struct ScoreFunction {
    config: ScoreFunctionConfig,
    /// Steps of learning from the labels alone.
    steps: u64,
    supervises: bool,
}

impl ScoreFunction {
    /// After the first `config.epochs` epochs of `steps_per_epoch` steps each.
    ///
    /// # Errors
    /// [`Error::Invalid`]: a model that makes no decision that can be drawn.
    pub fn new(config: ScoreFunctionConfig, learner: &Learner, steps_per_epoch: u64) -> Result<Self, Error> {
        let _guard = tch::no_grad_guard();
        let output = learner.forward_in(&learner.blank_image(), Pass::eval().sampling())?;
        if drawn(&output.trace).is_empty() {
            return Err(Error::Invalid {
                key: "procedure.name",
                value: format!("\"score_function\" for `{}`", learner.model().name()),
                expected: "a model whose decisions can be drawn, such as skipnet38".to_owned(),
            });
        }
        let steps = config.epochs.saturating_mul(steps_per_epoch);
        Ok(ScoreFunction { config, steps, supervises: steps > 0 })
    }
}

impl Procedure for ScoreFunction {
    fn begin_step(&mut self, step: u64, _steps: u64) {
        self.supervises = step < self.steps;
    }

    fn accumulate(&mut self, learner: &mut Learner, batch: &TrainBatch<'_>) -> Result<Found, Error> {
        if self.supervises {
            return Supervised.accumulate(learner, batch);
        }
        let output = learner.forward_in(batch.images, Pass::eval().sampling())?;
        let loss = learner.objective().loss(&output, &batch.targets)?;
        let logits = output.logits().to_kind(Kind::Float);
        let errors =
            logits.cross_entropy_loss::<Tensor>(batch.targets.classes(), None, Reduction::None, -100, 0.0).detach();
        let decisions = drawn(&output.trace);
        let skips: Vec<Tensor> = decisions.iter().map(|(decision, _)| skipped(decision)).collect();
        let returns = returns(&skips, &errors, self.config.reward);
        let scores = decisions.iter().zip(&returns).map(|((_, log_prob), gain)| log_prob.squeeze_dim(1) * gain);
        let gained = scores.sum::<Tensor>().mean(None);
        let gained = gained * self.config.weight;
        learner.backward(&loss.minimised - &gained, batch.share)?;
        Ok(Found {
            loss: (&loss.total - gained).detach(),
            routing_loss: loss.routing.map(|routing| routing.detach()),
            correct: correct(output.logits(), batch.targets.labels),
        })
    }
}

/// The decisions that were drawn, with the logarithms of their probabilities.
fn drawn(trace: &Trace) -> Vec<(&Decision, &Tensor)> {
    let layers = trace.layers.iter().map(|layer| &layer.decision);
    layers.filter_map(|decision| Some((decision, decision.log_prob.as_ref()?))).collect()
}

/// 1 for each image that goes around the layer, `[B]`.
fn skipped(decision: &Decision) -> Tensor {
    decision.weights.select(2, 0).squeeze_dim(1).detach()
}

/// `R_i = -error + sum over j >= i of reward / N · skip_j`, `[B]` for each of the N decisions.
fn returns(skips: &[Tensor], errors: &Tensor, reward: f64) -> Vec<Tensor> {
    let each = reward / skips.len() as f64;
    let mut sum = -errors;
    let mut returns: Vec<Tensor> = skips
        .iter()
        .rev()
        .map(|skip| {
            sum = &sum + skip * each;
            sum.shallow_clone()
        })
        .collect();
    returns.reverse();
    returns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_rewarded_for_what_it_and_those_after_it_save() {
        // A reward of 0.1 for three decisions, of which the second skips; an error of 2: 0.0333 for that one and all before it.
        let skips = [0.0, 1.0, 0.0].map(|skip| Tensor::from_slice(&[skip]));
        let found: Vec<f64> =
            returns(&skips, &Tensor::from_slice(&[2.0]), 0.1).iter().map(|gain| gain.double_value(&[0])).collect();
        let expected = [-1.966_667, -1.966_667, -2.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{found:?}");
    }
}
