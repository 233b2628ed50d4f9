use serde::{Deserialize, Serialize};

use super::config::ensure;
use super::{Course, Settings, Span};
use crate::Error;

/// The rate is multiplied by `gamma` at each milestone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepConfig {
    /// The epochs, counted from the start of the run, at which the rate changes; parts of one are rounded to whole steps.
    pub milestones: Vec<f64>,
    /// What it is multiplied by.
    pub gamma: f64,
}

impl Default for StepConfig {
    fn default() -> Self {
        Self { milestones: Vec::new(), gamma: 0.1 }
    }
}

impl Settings for StepConfig {
    fn lay_out(&self, span: Span) -> Box<dyn Course> {
        let at = self.milestones.iter().map(|&epoch| span.of_epochs(epoch)).collect();
        Box::new(Steps { base: span.base, at, factor: self.gamma })
    }

    fn check(&self, _lr: f64) -> Result<(), Error> {
        ensure(!self.milestones.is_empty(), "schedule.milestones", "[]", "one or more epochs, such as [100, 150]")
    }

    fn when_longer(&self, rate: f64) -> Option<String> {
        Some(format!("the milestones stay where they are, the learning rate goes on at {rate:.3e}"))
    }
}

struct Steps {
    base: f64,
    at: Vec<u64>,
    factor: f64,
}

impl Course for Steps {
    fn rate(&self, step: u64) -> f64 {
        let passed = self.at.iter().filter(|&&milestone| milestone <= step).count();
        self.base * self.factor.powi(passed as i32)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_rates, schedule};
    use super::*;

    #[test]
    fn rates_are_multiplied_from_their_milestone_on() {
        // Epochs of four steps: 0.75 of one are three, 1.5 are six.
        let schedule = schedule(0.0, StepConfig { milestones: vec![0.75, 1.5], gamma: 0.1 });
        assert_rates(&schedule, &[(0, 0.8), (2, 0.8), (3, 0.08), (5, 0.08), (6, 0.008), (11, 0.008)]);
    }
}
