//! By the labels and by a teacher's answers.

use mp_nn::{Mode, Store};
use mp_zoo::{HeadRole, Model, Output};
use tch::{Kind, Tensor};

use super::{Found, Learner, Procedure, TrainBatch};
use crate::Error;
use crate::learn::{correct, forward};
use crate::recipe::{DistillationConfig, Precision};

/// A trained network that another one learns from.
pub struct Teacher {
    /// The network.
    pub model: Model,
    /// Its weights.
    pub store: Store,
    /// The number format that it is applied in.
    pub precision: Precision,
}

impl Teacher {
    /// Its answer to images, with the features of some positions; without a graph.
    pub(super) fn answer(&self, images: &Tensor, positions: &[&str]) -> Output {
        let _guard = tch::no_grad_guard();
        if positions.is_empty() {
            return forward(&self.model, images, Mode::Eval, self.precision);
        }
        // Features are kept in float32, so that a distance between them is one.
        self.model.forward_tapping(images, Mode::Eval, positions)
    }
}

/// Hinton et al., arXiv 1503.02531: see [`DistillationConfig`].
pub struct Distillation {
    teacher: Teacher,
    config: DistillationConfig,
    /// Steps of the run before it begins.
    after: u64,
    weight: f64,
}

impl Distillation {
    /// From step `after` of a run on.
    pub fn new(teacher: Teacher, config: DistillationConfig, after: u64) -> Self {
        let weight = config.weight;
        Distillation { teacher, config, after, weight }
    }

    pub(super) fn teacher(&self) -> &Teacher {
        &self.teacher
    }
}

impl Procedure for Distillation {
    fn begin_step(&mut self, step: u64, steps: u64) {
        let DistillationConfig { weight, final_weight, .. } = self.config;
        let last = steps.saturating_sub(self.after + 1).max(1) as f64;
        let done = (step.saturating_sub(self.after) as f64 / last).min(1.0);
        self.weight = weight + (final_weight - weight) * done;
    }

    fn accumulate(&mut self, learner: &mut Learner, batch: &TrainBatch<'_>) -> Result<Found, Error> {
        let answer = self.teacher.answer(batch.images, &[]);
        let output = learner.forward(batch.images, &[]);
        let loss = learner.objective().loss(&output, &batch.targets)?;
        let soft = soft_cross_entropy(answer.logits(), &output, self.config.temperature) * self.weight;
        let scale = learner.objective().scale(&output);
        learner.backward(&loss.minimised + &soft * scale, batch.share)?;
        let total = &loss.total + soft;
        Ok(Found {
            loss: total.detach(),
            routing_loss: loss.routing.map(|routing| routing.detach()),
            correct: correct(output.logits(), batch.targets.labels),
        })
    }
}

/// `H(P_teacher^T, P^T)`, the mean over the images; of an ensemble the mean over its members, each of which answers for itself.
fn soft_cross_entropy(teacher: &Tensor, output: &Output, temperature: f64) -> Tensor {
    let target = (teacher.to_kind(Kind::Float) / temperature).softmax(1, None);
    let one = |logits: &Tensor| {
        let logarithms = (logits.to_kind(Kind::Float) / temperature).log_softmax(1, None);
        -(&target * logarithms).sum_dim_intlist([1_i64].as_slice(), false, None).mean(None)
    };
    let members: Vec<Tensor> = output.of(HeadRole::Member).map(one).collect();
    if members.is_empty() { one(output.logits()) } else { Tensor::stack(&members, 0).mean(None) }
}

#[cfg(test)]
mod tests {
    use mp_routing::Trace;
    use mp_zoo::Head;

    use super::*;

    #[test]
    fn softened_answers_are_compared_by_their_cross_entropy() {
        // At temperature 2, (0, 2 ln 3) softens to (1/4, 3/4), and (0, 0) stays (1/2, 1/2): H = ln 2.
        let row = |b: f64| Tensor::from_slice(&[0.0, b]).view([1, 2]);
        let output = |logits: Tensor| Output {
            heads: vec![Head::new("class", HeadRole::Final, logits)],
            taps: Vec::new(),
            trace: Trace::new(),
        };
        let found =
            |teacher: Tensor, student: Tensor| soft_cross_entropy(&teacher, &output(student), 2.0).double_value(&[]);
        assert!((found(row(2.0 * 3_f64.ln()), row(0.0)) - 2_f64.ln()).abs() < 1e-6);
        let entropy = -0.25 * 0.25_f64.ln() - 0.75 * 0.75_f64.ln();
        assert!((found(row(2.0 * 3_f64.ln()), row(2.0 * 3_f64.ln())) - entropy).abs() < 1e-6);
    }
}
