use serde::{Deserialize, Serialize};

use super::{Course, Settings, Span};
use crate::Error;

/// The rate is multiplied by `gamma` every few epochs, counted from the start of the run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ExponentialConfig {
    /// What it is multiplied by.
    pub gamma: f64,
    /// After how many epochs, also parts of one, it is, each time.
    pub every: f64,
    /// Whether it falls in stairs; otherwise a little at every step, and by as much in the end.
    pub stairs: bool,
}

impl Default for ExponentialConfig {
    /// Those of EfficientNet (Tan and Le, ICML 2019).
    fn default() -> Self {
        Self { gamma: 0.97, every: 2.4, stairs: true }
    }
}

impl Settings for ExponentialConfig {
    fn lay_out(&self, span: Span) -> Box<dyn Course> {
        Box::new(Exponential { span, config: *self })
    }

    fn check(&self, _lr: f64) -> Result<(), Error> {
        Ok(())
    }

    fn when_longer(&self, rate: f64) -> Option<String> {
        Some(format!("the decay goes on every few epochs, the learning rate at {rate:.3e}"))
    }
}

struct Exponential {
    span: Span,
    config: ExponentialConfig,
}

impl Course for Exponential {
    fn rate(&self, step: u64) -> f64 {
        let ExponentialConfig { gamma, every, stairs } = self.config;
        let times = step as f64 / (every * self.span.per_epoch as f64);
        self.span.base * gamma.powf(if stairs { times.floor() } else { times })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_rates, schedule};
    use super::*;

    #[test]
    fn it_falls_by_gamma_every_few_epochs() {
        // Epochs of four steps, so every six steps.
        let stairs = schedule(0.0, ExponentialConfig { gamma: 0.25, every: 1.5, stairs: true });
        assert_rates(&stairs, &[(0, 0.8), (5, 0.8), (6, 0.2), (11, 0.2), (12, 0.05)]);
        let smooth = schedule(0.0, ExponentialConfig { gamma: 0.25, every: 1.5, stairs: false });
        assert_rates(&smooth, &[(0, 0.8), (3, 0.4), (6, 0.2), (9, 0.1)]);
    }
}
