use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use super::config::ensure_below;
use super::{Course, Settings, Span};
use crate::Error;

/// The rate falls along half a cosine from the base to `min_lr`, which it would reach one step after the last
/// (Loshchilov and Hutter, ICLR 2017, without restarts).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CosineConfig {
    /// The rate at the far end.
    pub min_lr: f64,
}

impl Settings for CosineConfig {
    fn lay_out(&self, span: Span) -> Box<dyn Course> {
        Box::new(Cosine { span, floor: self.min_lr })
    }

    fn check(&self, lr: f64) -> Result<(), Error> {
        ensure_below(self.min_lr, lr)
    }
}

struct Cosine {
    span: Span,
    floor: f64,
}

impl Course for Cosine {
    fn rate(&self, step: u64) -> f64 {
        falling(self.span.base, self.floor, self.span.progress(step))
    }
}

/// Half a cosine from `top` at 0 to `bottom` at 1.
pub(super) fn falling(top: f64, bottom: f64, progress: f64) -> f64 {
    bottom + (top - bottom) * 0.5 * (1.0 + (PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_rates, schedule};
    use super::*;

    #[test]
    fn it_starts_at_the_base_passes_the_middle_and_ends_at_the_floor() {
        // Eight steps from 0.8 down to 0.2: the middle (step 4 + 4) has 0.5, a quarter has 0.5 + 0.3 cos(45 degrees).
        let schedule = schedule(1.0, CosineConfig { min_lr: 0.2 });
        let quarter = 0.5 + 0.3 * 0.5_f64.sqrt();
        assert_rates(&schedule, &[(3, 0.8), (4, 0.8), (6, quarter), (8, 0.5), (12, 0.2), (99, 0.2)]);
    }
}
