use serde::{Deserialize, Serialize};

use super::cosine::falling;
use super::{Course, Settings, Span};
use crate::Error;

/// The rate climbs from `lr / div_factor` to `lr` and falls to `lr / div_factor / final_div_factor` at the last step, along a
/// cosine each time, as PyTorch's `OneCycleLR` has it (Smith and Topin, arXiv 1708.07120); the momentum stays as it is. A warm-up
/// comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OneCycleConfig {
    /// The share of the steps over which it climbs.
    pub pct_start: f64,
    /// The greatest rate over the first one.
    pub div_factor: f64,
    /// The first rate over the last one.
    pub final_div_factor: f64,
}

impl Default for OneCycleConfig {
    fn default() -> Self {
        Self { pct_start: 0.3, div_factor: 25.0, final_div_factor: 1e4 }
    }
}

impl Settings for OneCycleConfig {
    fn lay_out(&self, span: Span) -> Box<dyn Course> {
        Box::new(OneCycle { span, config: *self })
    }

    fn check(&self, _lr: f64) -> Result<(), Error> {
        Ok(())
    }
}

struct OneCycle {
    span: Span,
    config: OneCycleConfig,
}

impl Course for OneCycle {
    fn rate(&self, step: u64) -> f64 {
        let OneCycleConfig { pct_start, div_factor, final_div_factor } = self.config;
        let Span { base, steps, warmup, .. } = self.span;
        let all = steps.saturating_sub(warmup).max(1) as f64;
        let (step, first) = ((step - warmup) as f64, base / div_factor);
        let (top, last) = (pct_start * all - 1.0, all - 1.0);
        if step < top {
            return falling(first, base, step / top);
        }
        // The climb may be shorter than a step, and the whole run be one.
        let (top, least) = (top.max(0.0), f64::MIN_POSITIVE);
        falling(base, first / final_div_factor, ((step - top) / (last - top).max(least)).min(1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_rates, schedule};
    use super::*;

    #[test]
    fn it_climbs_to_the_base_and_falls_to_nearly_nothing() {
        // Twelve steps, of which the first five climb from 0.2 to 0.8 and the last seven fall to 0.02: the middle of the climb is
        // step 2 (0.5), that of the fall between steps 7 and 8.
        let config = OneCycleConfig { pct_start: 5.0 / 12.0, div_factor: 4.0, final_div_factor: 10.0 };
        let schedule = schedule(0.0, config);
        assert_rates(&schedule, &[(0, 0.2), (2, 0.5), (4, 0.8), (11, 0.02), (99, 0.02)]);
        assert!((schedule.rate(7) + schedule.rate(8) - 0.82).abs() < 1e-12);
        // Without a climb it begins at the base.
        let falling = super::super::tests::schedule(0.0, OneCycleConfig { pct_start: 0.0, ..config });
        assert_rates(&falling, &[(0, 0.8), (11, 0.02)]);
    }
}
