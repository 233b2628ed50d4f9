//! Learning rates: a warm-up, then a course. A course is one file here, with its settings, and one line of the table in
//! `config.rs`.
//!
//! All but one are pure functions of the step; [`PlateauConfig`] also follows the validation accuracy, and a checkpoint keeps
//! where it stands.

mod config;
mod constant;
mod cosine;
mod exponential;
mod one_cycle;
mod plateau;
mod polynomial;
mod restarts;
mod steps;

use tch::Tensor;

use config::Settings;

pub use config::{CourseConfig, ScheduleConfig};
pub use constant::ConstantConfig;
pub use cosine::CosineConfig;
pub use exponential::ExponentialConfig;
pub use one_cycle::OneCycleConfig;
pub use plateau::PlateauConfig;
pub use polynomial::PolynomialConfig;
pub use restarts::RestartsConfig;
pub use steps::StepConfig;

/// What a course is laid out over.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// The rate at the end of the warm-up.
    pub base: f64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Steps of the warm-up.
    pub warmup: u64,
    /// Steps of an epoch.
    pub per_epoch: u64,
}

impl Span {
    /// So many epochs, of which parts are rounded to whole steps.
    fn of_epochs(&self, epochs: f64) -> u64 {
        (epochs * self.per_epoch as f64).round() as u64
    }

    /// How much of what follows the warm-up is over before `step`: 0 right after the warm-up, 1 one step after the last.
    fn progress(&self, step: u64) -> f64 {
        let span = self.steps.saturating_sub(self.warmup).max(1);
        ((step - self.warmup) as f64 / span as f64).min(1.0)
    }
}

/// The learning rate after the warm-up.
pub trait Course: Send {
    /// The rate of step `step`, counted from 0 at the start of the run; never asked of a step of the warm-up.
    fn rate(&self, step: u64) -> f64;

    /// Takes note of an epoch that is complete, and of what the recipe's metric says of it, more being better.
    fn epoch_done(&mut self, _score: f64) {}

    /// What it remembers of the epochs, by names that hold a `/`. The tensors share storage with the course: copying into them
    /// restores it.
    fn state(&self) -> Vec<(String, Tensor)> {
        Vec::new()
    }
}

/// The learning rate of a whole run.
pub struct Schedule {
    span: Span,
    course: Box<dyn Course>,
}

impl Schedule {
    /// The schedule of a run of `epochs` epochs of `per_epoch` steps, whose rate is `base` at the end of the warm-up.
    pub fn new(config: &ScheduleConfig, base: f64, epochs: u64, per_epoch: u64) -> Self {
        let mut span = Span { base, steps: epochs * per_epoch, warmup: 0, per_epoch };
        span.warmup = span.of_epochs(config.warmup_epochs);
        Self { span, course: config.course.lay_out(span) }
    }

    /// The rate of step `step`, counted from 0: over the warm-up it climbs in equal parts from `base / warmup` to `base`.
    pub fn rate(&self, step: u64) -> f64 {
        let Span { base, warmup, .. } = self.span;
        if step < warmup {
            return base * (step + 1) as f64 / warmup as f64;
        }
        self.course.rate(step)
    }

    /// Takes note of an epoch that is complete, and of what the recipe's metric says of it, more being better.
    pub fn epoch_done(&mut self, score: f64) {
        self.course.epoch_done(score);
    }

    /// What the next rates depend on besides the step, under the names that a checkpoint gives it. The tensors share storage with
    /// the schedule: copying into them restores it.
    pub fn state(&self) -> Vec<(String, Tensor)> {
        self.course.state()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Three epochs of four steps, from 0.8; the warm-up is in epochs.
    pub(crate) fn schedule(warmup: f64, course: impl Into<CourseConfig>) -> Schedule {
        Schedule::new(&ScheduleConfig { warmup_epochs: warmup, course: course.into() }, 0.8, 3, 4)
    }

    #[track_caller]
    pub(crate) fn assert_rates(schedule: &Schedule, expected: &[(u64, f64)]) {
        for &(step, rate) in expected {
            assert!((schedule.rate(step) - rate).abs() < 1e-12, "step {step}: {} is not {rate}", schedule.rate(step));
        }
    }

    #[test]
    fn warmup_climbs_in_equal_parts_and_its_last_step_has_the_base_rate() {
        let schedule = schedule(1.0, ConstantConfig::default());
        assert_rates(&schedule, &[(0, 0.2), (1, 0.4), (2, 0.6), (3, 0.8), (4, 0.8), (11, 0.8)]);
    }

    proptest! {
        #[test]
        fn rates_stay_between_zero_and_the_base(
            warmup in 0.0..5.0_f64, epochs in 1_u64..20, per_epoch in 1_u64..20, step in 0_u64..500, which in 0..CourseConfig::NAMES.len(),
        ) {
            let table = format!("name = \"{}\"", CourseConfig::NAMES[which]).parse::<toml::Table>().unwrap();
            let mut config = ScheduleConfig::try_from(table).unwrap();
            config.warmup_epochs = warmup;
            let rate = Schedule::new(&config, 0.8, epochs, per_epoch).rate(step);
            prop_assert!((0.0..=0.8 + 1e-12).contains(&rate), "{config:?}: rate {rate} at step {step}");
        }
    }
}
