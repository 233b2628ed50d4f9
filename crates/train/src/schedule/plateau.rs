use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::config::ensure_below;
use super::{Course, Settings, Span};
use crate::Error;

/// The rate is multiplied by `factor` once the recipe's metric of the validation images has not become better for more than `patience` epochs, as
/// PyTorch's `ReduceLROnPlateau` does with `mode="max"`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlateauConfig {
    /// What it is multiplied by.
    pub factor: f64,
    /// Epochs without a better one that are borne.
    pub patience: u64,
    /// How much better than the best an epoch must be, as a share of the best.
    pub threshold: f64,
    /// Epochs after a change that are not counted.
    pub cooldown: u64,
    /// The rate does not fall below.
    pub min_lr: f64,
}

impl Default for PlateauConfig {
    fn default() -> Self {
        Self { factor: 0.1, patience: 10, threshold: 1e-4, cooldown: 0, min_lr: 0.0 }
    }
}

impl Settings for PlateauConfig {
    fn lay_out(&self, span: Span) -> Box<dyn Course> {
        let start = Standing { best: f64::NEG_INFINITY, bad: 0.0, cooling: 0.0, rate: span.base };
        let standing = Tensor::zeros([4], (Kind::Double, tch::Device::Cpu));
        let mut plateau = Plateau { config: *self, standing };
        plateau.set(start);
        Box::new(plateau)
    }

    fn check(&self, lr: f64) -> Result<(), Error> {
        ensure_below(self.min_lr, lr)
    }

    fn when_longer(&self, _rate: f64) -> Option<String> {
        Some("validation goes on to decide when the learning rate falls".to_owned())
    }
}

struct Plateau {
    config: PlateauConfig,
    /// A [`Standing`], as a checkpoint can hold it.
    standing: Tensor,
}

#[derive(Clone, Copy)]
struct Standing {
    best: f64,
    bad: f64,
    cooling: f64,
    rate: f64,
}

impl Plateau {
    fn get(&self) -> Standing {
        let at = |index| self.standing.double_value(&[index]);
        Standing { best: at(0), bad: at(1), cooling: at(2), rate: at(3) }
    }

    fn set(&mut self, Standing { best, bad, cooling, rate }: Standing) {
        self.standing.copy_(&Tensor::from_slice(&[best, bad, cooling, rate]));
    }
}

impl Course for Plateau {
    fn rate(&self, _step: u64) -> f64 {
        self.get().rate
    }

    fn epoch_done(&mut self, score: f64) {
        let PlateauConfig { factor, patience, threshold, cooldown, min_lr } = self.config;
        let mut now = self.get();
        // The first epoch is better than nothing, which no share makes larger.
        if now.best == f64::NEG_INFINITY || score > now.best + threshold * now.best.abs() {
            (now.best, now.bad) = (score, 0.0);
        } else {
            now.bad += 1.0;
        }
        if now.cooling > 0.0 {
            (now.cooling, now.bad) = (now.cooling - 1.0, 0.0);
        }
        if now.bad > patience as f64 {
            (now.rate, now.cooling, now.bad) = ((now.rate * factor).max(min_lr), cooldown as f64, 0.0);
        }
        self.set(now);
    }

    fn state(&self) -> Vec<(String, Tensor)> {
        vec![("schedule/plateau".to_owned(), self.standing.shallow_clone())]
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::schedule;
    use super::*;

    fn rates(config: PlateauConfig, accuracies: &[f64]) -> Vec<f64> {
        let mut schedule = schedule(0.0, config);
        let after = |accuracy: &f64| {
            schedule.epoch_done(*accuracy);
            schedule.rate(0)
        };
        accuracies.iter().map(after).collect()
    }

    #[test]
    fn it_falls_after_more_epochs_without_a_better_one_than_it_bears() {
        let config = PlateauConfig { factor: 0.5, patience: 1, ..PlateauConfig::default() };
        // The second and third are not better; then 0.6 is, and two more are not.
        assert_eq!(rates(config, &[0.5, 0.5, 0.4, 0.6, 0.6, 0.6]), [0.8, 0.8, 0.4, 0.4, 0.4, 0.2]);
    }

    #[test]
    fn a_little_better_is_not_better() {
        let config = PlateauConfig { factor: 0.5, patience: 0, threshold: 0.1, ..PlateauConfig::default() };
        assert_eq!(rates(config, &[0.5, 0.54, 0.56]), [0.8, 0.4, 0.4]);
    }

    #[test]
    fn a_change_is_given_time_and_the_rate_has_a_floor() {
        let config = PlateauConfig { factor: 0.25, patience: 0, cooldown: 2, min_lr: 0.1, ..PlateauConfig::default() };
        // The fall to 0.2, two epochs that are not counted, and the fall to what would be 0.05.
        assert_eq!(rates(config, &[0.5, 0.5, 0.5, 0.5, 0.5]), [0.8, 0.2, 0.2, 0.2, 0.1]);
    }

    #[test]
    fn copied_state_goes_on_where_it_stood() {
        let config = PlateauConfig { factor: 0.5, patience: 1, ..PlateauConfig::default() };
        let (mut whole, mut resumed) = (schedule(0.0, config), schedule(0.0, config));
        [0.5, 0.4, 0.4, 0.4].into_iter().for_each(|accuracy| whole.epoch_done(accuracy));
        for ((name, from), (same, mut to)) in whole.state().into_iter().zip(resumed.state()) {
            assert!(name == same && name.contains('/'));
            to.copy_(&from);
        }
        assert_eq!(resumed.rate(5), 0.4);
        whole.epoch_done(0.4);
        resumed.epoch_done(0.4);
        assert_eq!((whole.rate(5), resumed.rate(5)), (0.2, 0.2));
    }
}
