use serde::{Deserialize, Serialize};

use super::config::ensure_below;
use super::cosine::falling;
use super::{Course, Settings, Span};
use crate::Error;

/// Half cosines one after the other from the base to `min_lr`, each of which begins anew after the warm-up and may be longer and
/// lower than the one before (SGDR; Loshchilov and Hutter, ICLR 2017).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RestartsConfig {
    /// Epochs, also parts of one, of the first cosine.
    pub first: f64,
    /// How much longer than the one before each other is.
    pub stretch: f64,
    /// What the greatest rate is multiplied by at each restart.
    pub decay: f64,
    /// The rate at the end of each.
    pub min_lr: f64,
}

impl Default for RestartsConfig {
    fn default() -> Self {
        Self { first: 10.0, stretch: 2.0, decay: 1.0, min_lr: 0.0 }
    }
}

impl Settings for RestartsConfig {
    fn lay_out(&self, span: Span) -> Box<dyn Course> {
        Box::new(Restarts { span, config: *self })
    }

    fn check(&self, lr: f64) -> Result<(), Error> {
        ensure_below(self.min_lr, lr)
    }

    fn when_longer(&self, rate: f64) -> Option<String> {
        Some(format!("the restarts stay where they are, the learning rate goes on at {rate:.3e}"))
    }
}

struct Restarts {
    span: Span,
    config: RestartsConfig,
}

impl Course for Restarts {
    fn rate(&self, step: u64) -> f64 {
        let RestartsConfig { first, stretch, decay, min_lr } = self.config;
        let (mut left, mut length) = (step - self.span.warmup, self.span.of_epochs(first).max(1));
        let mut top = self.span.base;
        if stretch == 1.0 {
            top *= decay.powf((left / length) as f64);
            left %= length;
        }
        while left >= length {
            left -= length;
            length = ((length as f64 * stretch).round() as u64).max(1);
            top *= decay;
        }
        falling(top.max(min_lr), min_lr, left as f64 / length as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_rates, schedule};
    use super::*;

    #[test]
    fn each_cosine_begins_anew() {
        // Four steps of warm-up; a cosine of two steps from 0.8, one of four from 0.4, one of eight from 0.2. The floor is 0.
        let config = RestartsConfig { first: 0.5, stretch: 2.0, decay: 0.5, min_lr: 0.0 };
        let expected = [(3, 0.8), (4, 0.8), (5, 0.4), (6, 0.4), (8, 0.2), (10, 0.2), (14, 0.1), (18, 0.1)];
        assert_rates(&schedule(1.0, config), &expected);
    }
}
