//! Learning rates: pure functions of the step.

use std::f64::consts::PI;

use crate::recipe::{Recipe, ScheduleName};

/// The learning rate of a whole run.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// The rate at the end of the warm-up.
    pub base: f64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Steps over which the rate climbs in equal parts from `base / warmup` to `base`; 0 for none.
    pub warmup: u64,
    /// What follows the warm-up.
    pub shape: Shape,
}

/// The course of the learning rate after the warm-up.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Stays at the base.
    Constant,
    /// Falls along half a cosine from the base to `floor`, which it would reach one step after the last
    /// (Loshchilov and Hutter, ICLR 2017, without restarts).
    Cosine {
        /// The rate at the far end.
        floor: f64,
    },
    /// Is multiplied by `factor` at each of the steps `at`, counted from the start of the run.
    Steps {
        /// Steps at which the rate changes.
        at: Vec<u64>,
        /// What it is multiplied by.
        factor: f64,
    },
}

impl Schedule {
    /// The schedule of a recipe whose epochs have `steps_per_epoch` steps; parts of epochs are rounded to whole steps.
    pub fn of(recipe: &Recipe, steps_per_epoch: u64) -> Self {
        let config = &recipe.schedule;
        let steps = |epochs: f64| (epochs * steps_per_epoch as f64).round() as u64;
        Self {
            base: recipe.optimiser.lr,
            steps: recipe.train.epochs * steps_per_epoch,
            warmup: steps(config.warmup_epochs),
            shape: match config.name {
                ScheduleName::Constant => Shape::Constant,
                ScheduleName::Cosine => Shape::Cosine { floor: config.min_lr },
                ScheduleName::Step => {
                    Shape::Steps { at: config.milestones.iter().map(|&e| steps(e)).collect(), factor: config.gamma }
                }
            },
        }
    }

    /// The rate of step `step`, counted from 0.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.base * (step + 1) as f64 / self.warmup as f64;
        }
        match &self.shape {
            Shape::Constant => self.base,
            Shape::Cosine { floor } => {
                let span = self.steps.saturating_sub(self.warmup).max(1);
                let progress = ((step - self.warmup) as f64 / span as f64).min(1.0);
                floor + (self.base - floor) * 0.5 * (1.0 + (PI * progress).cos())
            }
            Shape::Steps { at, factor } => {
                let passed = at.iter().filter(|&&milestone| milestone <= step).count();
                self.base * factor.powi(passed as i32)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn schedule(warmup: u64, shape: Shape) -> Schedule {
        Schedule { base: 0.8, steps: 12, warmup, shape }
    }

    #[track_caller]
    fn assert_rates(schedule: &Schedule, expected: &[(u64, f64)]) {
        for &(step, rate) in expected {
            assert!((schedule.rate(step) - rate).abs() < 1e-12, "step {step}: {} is not {rate}", schedule.rate(step));
        }
    }

    #[test]
    fn warmup_climbs_in_equal_parts_and_its_last_step_has_the_base_rate() {
        let schedule = schedule(4, Shape::Constant);
        assert_rates(&schedule, &[(0, 0.2), (1, 0.4), (2, 0.6), (3, 0.8), (4, 0.8), (11, 0.8)]);
    }

    #[test]
    fn cosine_starts_at_the_base_passes_the_middle_and_ends_at_the_floor() {
        // Eight steps from 0.8 down to 0.2: the middle (step 4 + 4) has 0.5, a quarter has 0.5 + 0.3 cos(45 degrees).
        let schedule = schedule(4, Shape::Cosine { floor: 0.2 });
        let quarter = 0.5 + 0.3 * 0.5_f64.sqrt();
        assert_rates(&schedule, &[(3, 0.8), (4, 0.8), (6, quarter), (8, 0.5), (12, 0.2), (99, 0.2)]);
    }

    #[test]
    fn steps_multiply_from_their_milestone_on() {
        let schedule = schedule(0, Shape::Steps { at: vec![3, 6], factor: 0.1 });
        assert_rates(&schedule, &[(0, 0.8), (2, 0.8), (3, 0.08), (5, 0.08), (6, 0.008), (11, 0.008)]);
    }

    #[test]
    fn a_recipe_counts_in_epochs() {
        let mut recipe = Recipe::default();
        recipe.train.epochs = 6;
        recipe.optimiser.lr = 0.8;
        recipe.schedule.warmup_epochs = 0.5;
        recipe.schedule.name = ScheduleName::Step;
        recipe.schedule.milestones = vec![1.5, 3.0];
        let expected = Schedule {
            base: 0.8,
            steps: 60,
            warmup: 5,
            shape: Shape::Steps { at: vec![15, 30], factor: recipe.schedule.gamma },
        };
        assert_eq!(Schedule::of(&recipe, 10), expected);
    }

    proptest! {
        #[test]
        fn rates_stay_between_zero_and_the_base(
            warmup in 0_u64..50, steps in 1_u64..100, step in 0_u64..200, floor in 0.0..0.8_f64,
        ) {
            let schedule = Schedule { base: 0.8, steps, warmup, shape: Shape::Cosine { floor } };
            let rate = schedule.rate(step);
            prop_assert!((0.0..=0.8 + 1e-12).contains(&rate), "rate {rate} at step {step}");
        }
    }
}
