//! A gate's temperature: one number, or one that falls while the network trains.

use mp_nn::{Init, Params};
use tch::Tensor;

use super::gate::GateConfig;
use crate::{Error, Pass};

impl GateConfig {
    /// `τ` when the share `done` of training is over, 0 to 1: `τ · (τ_end / τ)^done`, so that it falls by the same factor in
    /// equal times, as temperatures are lowered in Jang et al., arXiv 1611.01144. Without a final temperature it stays.
    ///
    /// ```
    /// use mp_routing::GateConfig;
    /// let gate = GateConfig { temperature: 4.0, final_temperature: 0.25, ..Default::default() };
    /// assert_eq!([0.0, 0.5, 1.0].map(|done| gate.temperature_at(done)), [4.0, 1.0, 0.25]);
    /// ```
    pub fn temperature_at(&self, done: f64) -> f64 {
        if self.final_temperature == 0.0 {
            return self.temperature;
        }
        self.temperature * (self.final_temperature / self.temperature).powf(done)
    }
}

/// What logits are divided by.
#[derive(Debug)]
pub(super) enum Temperature {
    /// The same throughout.
    Fixed(f64),
    /// A buffer `[1]`, which each pass in training sets; evaluation reads what it was.
    Falling(Tensor, GateConfig),
}

impl Temperature {
    /// Takes the buffer `temperature` where it falls.
    pub(super) fn build(config: &GateConfig, params: &Params) -> Result<Self, Error> {
        Ok(match config.final_temperature {
            0.0 => Temperature::Fixed(config.temperature),
            _ => {
                let start = Init::Values(vec![config.temperature]);
                Temperature::Falling(params.buffer("temperature", &[1], start)?, config.clone())
            }
        })
    }

    /// Sets what falls to the temperature of the time of a pass.
    pub(super) fn set(&self, pass: &Pass) {
        if let Temperature::Falling(buffer, config) = self {
            let _guard = tch::no_grad_guard();
            let _ = buffer.shallow_clone().fill_(config.temperature_at(pass.progress()));
        }
    }

    /// The number; waits for the device where it is a buffer.
    pub(super) fn value(&self) -> f64 {
        match self {
            Temperature::Fixed(value) => *value,
            Temperature::Falling(buffer, _) => buffer.double_value(&[0]),
        }
    }

    /// Logits over the temperature, without waiting for the device.
    pub(super) fn divide(&self, logits: &Tensor) -> Tensor {
        match self {
            Temperature::Fixed(value) => logits / *value,
            // A copy: another pass may set the buffer before the backward pass of this one reads it.
            Temperature::Falling(buffer, _) => logits / buffer.copy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use mp_nn::{Device, Kind, Store};

    use super::*;
    use crate::{Router, RoutingShape};

    #[test]
    fn training_sets_the_temperature_of_its_time_and_evaluation_decides_by_it() {
        let build = |temperature, final_temperature| {
            let store = Store::new(Device::Cpu, 3);
            let config = GateConfig { temperature, final_temperature, ..Default::default() };
            let gate = config.build(&(&store.root() / "gate"), RoutingShape::square(2, 4)).unwrap();
            (store, gate)
        };
        let xs = [0, 1].map(|_| Tensor::randn([3, 4, 2, 2], (Kind::Float, Device::Cpu)));
        let weights = |gate: &crate::Gate| gate.route(&xs, &mut Pass::eval()).weights;
        let (store, falling) = build(2.0, 0.5);
        let (_fixed_store, fixed) = build(2.0, 0.0);
        assert!(weights(&falling).equal(&weights(&fixed)), "it starts at its temperature");
        let mut half_way = Pass::train().at_progress(0.5);
        falling.route(&xs, &mut half_way);
        assert!(half_way.follows_progress());
        let mut constant = Pass::train();
        fixed.route(&xs, &mut constant);
        assert!(!constant.follows_progress());
        let buffer = store.entries().into_iter().find(|entry| entry.name == "gate.temperature").unwrap();
        assert_eq!(buffer.tensor.double_value(&[0]), 1.0);
        falling.route(&xs, &mut Pass::train());
        let (_sharp_store, sharp) = build(0.5, 0.0);
        assert!(weights(&falling).allclose(&weights(&sharp), 1e-6, 1e-7, false));
        // The way of devices without the fused gate.
        let logits = Tensor::from_slice(&[1.0_f32, -2.0]);
        let halved: Vec<f32> = falling.temperature().divide(&logits).try_into().unwrap();
        assert_eq!(halved, [2.0, -4.0]);
        assert_eq!(store.parameters().len(), 4, "a buffer is not trained");
    }
}
