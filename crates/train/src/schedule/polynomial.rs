use serde::{Deserialize, Serialize};

use super::config::ensure_below;
use super::{Course, Settings, Span};
use crate::Error;

/// The rate falls from the base to `min_lr` as `(1 - progress)^power`; it would reach it one step after the last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolynomialConfig {
    /// 1 is a straight line; above, the rate falls faster at first.
    pub power: f64,
    /// The rate at the far end.
    pub min_lr: f64,
}

impl Default for PolynomialConfig {
    fn default() -> Self {
        Self { power: 1.0, min_lr: 0.0 }
    }
}

impl Settings for PolynomialConfig {
    fn lay_out(&self, span: Span) -> Box<dyn Course> {
        Box::new(Polynomial { span, config: *self })
    }

    fn check(&self, lr: f64) -> Result<(), Error> {
        ensure_below(self.min_lr, lr)
    }
}

struct Polynomial {
    span: Span,
    config: PolynomialConfig,
}

impl Course for Polynomial {
    fn rate(&self, step: u64) -> f64 {
        let PolynomialConfig { power, min_lr } = self.config;
        min_lr + (self.span.base - min_lr) * (1.0 - self.span.progress(step)).powf(power)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_rates, schedule};
    use super::*;

    #[test]
    fn it_falls_as_a_power_of_what_is_left() {
        // Eight steps after the warm-up. A line from 0.8 to 0.2 loses 0.075 a step; a square leaves 0.8 / 4 at the middle.
        let line = schedule(1.0, PolynomialConfig { power: 1.0, min_lr: 0.2 });
        assert_rates(&line, &[(0, 0.2), (4, 0.8), (5, 0.725), (8, 0.5), (12, 0.2), (99, 0.2)]);
        let square = schedule(1.0, PolynomialConfig { power: 2.0, min_lr: 0.0 });
        assert_rates(&square, &[(4, 0.8), (8, 0.2), (10, 0.05), (12, 0.0)]);
    }
}
