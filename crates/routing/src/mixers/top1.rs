//! The gate that sends each image to one target: of all paths, it then takes one.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::Settings;
use super::features::GateInput;
use super::gate::{Gate, GateConfig, pool};
use crate::shape::above_zero;
use crate::skip::gumbel;
use crate::{Decision, Error, Normalisation, Pass, Router, RoutingShape, Streams};
use mp_nn::Params;

/// A gate of two dense layers for every source; together they send an image to one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Top1Config {
    /// Width of the hidden layer, at least 1.
    pub hidden: i64,
    /// What is read of the sources' means.
    pub input: GateInput,
    /// `τ` at the start of training, above 0.
    pub temperature: f64,
    /// `τ` at the end of training, above 0: the lower, the less is left to chance.
    pub final_temperature: f64,
}

impl Default for Top1Config {
    fn default() -> Self {
        Top1Config { hidden: 16, input: GateInput::Standardised, temperature: 1.0, final_temperature: 0.1 }
    }
}

impl Settings for Top1Config {
    fn router(&self, params: &Params, shape: RoutingShape) -> Result<Box<dyn Router>, Error> {
        Ok(Box::new(self.build(&(params / "gate"), shape)?))
    }

    fn near_identity(&self, RoutingShape { sources, targets, .. }: RoutingShape) -> Vec<(String, Vec<f64>)> {
        vec![("gate.bias2".to_owned(), Normalisation::Targets.near_identity(sources, targets))]
    }

    fn is_hard(&self) -> bool {
        true
    }
}

impl Top1Config {
    /// Takes what [`GateConfig::build`] takes.
    ///
    /// # Errors
    /// As [`GateConfig::build`].
    pub(super) fn build(&self, params: &Params, shape: RoutingShape) -> Result<Top1, Error> {
        above_zero(params.path(), "final temperature", self.final_temperature)?;
        above_zero(params.path(), "temperature", self.temperature)?;
        let gate = GateConfig { hidden: self.hidden, input: self.input, ..GateConfig::default() };
        let (first, last) = (self.temperature, self.final_temperature);
        Ok(Top1 { gate: gate.build(params, shape)?, first, last })
    }
}

/// `j = argmax(a / τ + noise)` and `Y_j = mean of the X_i`, where `a` is the mean of the gate's logits over the sources `i` that have
/// the image: one after a hard crossing, all of them before the first.
///
/// Training draws with Gumbel noise, so with the probabilities `softmax(a / τ)`; `τ` falls exponentially from the first to the last
/// step. Evaluation takes the largest logit. A chosen target has the weight 1, with the gradient of its probability (straight
/// through); targets that were not chosen give no gradient, as in sparse mixtures of experts, so that they need not be computed in
/// training either. Ours.
#[derive(Debug)]
pub(super) struct Top1 {
    gate: Gate,
    first: f64,
    last: f64,
}

impl Router for Top1 {
    fn route(&self, xs: &[Tensor], pass: &mut Pass) -> Decision {
        self.decide(&Streams::of(xs.iter().map(Tensor::shallow_clone).collect()), pass)
    }

    fn choose(&self, streams: &Streams, pass: &mut Pass) -> Option<Decision> {
        Some(self.decide(streams, pass))
    }
}

impl Top1 {
    fn decide(&self, streams: &Streams, pass: &Pass) -> Decision {
        let means = streams.map(|_, x| pool(x));
        self.gate.see_some(&means.xs, pass.mode);
        let all: Vec<Tensor> = (0..means.xs.len()).map(|source| means.full(source)).collect();
        let scores = self.gate.forward(&all).logits.unwrap_or_else(|| unreachable!("a gate has logits"));
        let progress = pass.progress();
        let temperature = self.first.powf(1.0 - progress) * self.last.powf(progress);
        // [B, S, 1]: 1 for a source that has the image.
        let held = match streams.by_image() {
            Some(held) => held.unsqueeze(2).to_kind(scores.kind()),
            None => scores.narrow(2, 0, 1).ones_like(),
        };
        let sources = [1_i64];
        let sum = (scores * &held).sum_dim_intlist(sources.as_slice(), true, None);
        let logits = sum / held.sum_dim_intlist(sources.as_slice(), true, None) / temperature;
        let noisy =
            if pass.mode.is_train() || pass.sampled { &logits + gumbel(&logits) } else { logits.shallow_clone() };
        let hard = noisy.argmax(2, false).one_hot(logits.size()[2]).to_kind(logits.kind());
        let reached = logits.softmax(2, None) * &hard;
        let weights = (&hard + (&reached - reached.detach())) * &held;
        let mut decision = Decision::soft(weights, Some(logits * held.ones_like()), Normalisation::Targets);
        decision.chosen = Some((hard * held).to_kind(Kind::Bool));
        decision
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BackEnd, RouterConfig};
    use mp_nn::{Device, Store};

    fn built(sources: i64) -> (Store, Top1) {
        let store = Store::with_kind(Device::Cpu, Kind::Double, 3);
        let shape = RoutingShape { sources, targets: 3, channels: 4 };
        let top1 = Top1Config::default().build(&store.root(), shape).unwrap();
        (store, top1)
    }

    fn images(count: i64) -> Tensor {
        (Tensor::arange(count * 4 * 9, (Kind::Double, Device::Cpu)) * 0.7).sin().view([count, 4, 3, 3])
    }

    #[test]
    fn evaluation_sends_each_image_to_its_largest_logit() {
        let (_store, top1) = built(2);
        let xs = [images(5), images(5) * 2.0];
        let decision = top1.route(&xs, &mut Pass::eval());
        let both = top1.gate.forward(&xs).logits.unwrap();
        let expected = both.mean_dim([1_i64].as_slice(), true, None).argmax(2, false).expand([5, 2], false);
        assert!(decision.weights.argmax(2, false).equal(&expected));
        assert_eq!(decision.weights.sum(Kind::Double).double_value(&[]), 10.0);
        // A batch of one decides as a batch of five does.
        let alone = top1.route(&xs.each_ref().map(|x| x.narrow(0, 2, 1)), &mut Pass::eval());
        assert!(alone.weights.equal(&decision.weights.narrow(0, 2, 1)));
    }

    #[test]
    fn a_source_without_an_image_chooses_nothing_for_it() {
        let (_store, top1) = built(1);
        let split = top1.choose(&Streams::of(vec![images(6)]), &mut Pass::eval()).unwrap();
        let streams = Streams::of(vec![images(6)]).routed(&split, BackEnd::Gather);
        let (_other, next) = built(3);
        let decision = next.choose(&streams, &mut Pass::eval()).unwrap();
        // One choice an image, of three sources.
        let chosen = decision.chosen.unwrap().sum_dim_intlist([1_i64, 2].as_slice(), false, Kind::Int64);
        assert_eq!(Vec::<i64>::try_from(chosen).unwrap(), [1; 6]);
    }

    #[test]
    fn the_chosen_targets_probability_learns() {
        tch::manual_seed(1);
        let (store, top1) = built(1);
        let decision = top1.route(&[images(8)], &mut Pass::train());
        // Exactly 1 or 0, whatever the gradient.
        assert!(
            decision.weights.detach().eq(0.0).logical_or(&decision.weights.detach().eq(1.0)).all().int64_value(&[])
                == 1
        );
        (&decision.weights * Tensor::from_slice(&[1.0, 2.0, 3.0])).sum(Kind::Double).backward();
        let gradient = store.parameters().into_iter().find(|p| p.name == "bias2").unwrap().tensor.grad();
        assert!(gradient.abs().max().double_value(&[]) > 0.0);
    }

    #[test]
    fn less_is_left_to_chance_as_training_goes_on() {
        let (_store, top1) = built(1);
        let sharpness = |progress| {
            top1.route(&[images(8)], &mut Pass::train().at_progress(progress))
                .logits
                .unwrap()
                .abs()
                .max()
                .double_value(&[])
        };
        let (first, last) = (sharpness(0.0), sharpness(1.0));
        assert!(last > 5.0 * first, "{first} {last}");
    }

    #[test]
    fn refuses_values_out_of_range() {
        let config = crate::MixerConfig::Top1(Top1Config { final_temperature: 0.0, ..Top1Config::default() });
        let message = config.build(&(&Store::new(Device::Cpu, 0).root() / "stage2"), RoutingShape::square(2, 4));
        assert_eq!(
            message.unwrap_err().to_string(),
            "final temperature of the routing layer `stage2.gate`: expected a finite number above 0, found 0"
        );
    }
}
