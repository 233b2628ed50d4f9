//! How much an image may cost on average, and the threshold at which it does.

use mp_routing::figure;
use mp_zoo::Work;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Halvings of what is between two thresholds. Gates that were never trained agree to a few digits.
const STEPS: usize = 24;
/// A threshold is near enough at which so much of the budget is spent.
const SPENT: f64 = 0.99;

/// A threshold at which the images that it was found on cost no more than a budget.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Met {
    /// The budget: a share of the multiply-adds of an image that runs everything.
    #[serde(with = "figure")]
    pub budget: f64,
    /// The probability above which layers run: see [`mp_routing::Pass::threshold`].
    #[serde(with = "figure")]
    pub threshold: f64,
    /// The share that these images cost at it, on average.
    #[serde(with = "figure")]
    pub share: f64,
    /// How many images they were.
    pub images: u64,
}

/// Finds the threshold at which images cost no more than `budget` of `work`, and not much less: by halving, since a higher one
/// never runs more of one layer. `routed` gives the mean multiply-adds of an image at a threshold, of the choices alone, over so
/// many `images`.
///
/// # Errors
/// [`Error::Invalid`]: a budget that is no share, or below what is always run, or a model that has nothing to skip; what `routed`
/// returns.
pub fn meet(
    model: &str,
    work: Work,
    budget: f64,
    images: u64,
    routed: &mut dyn FnMut(f64) -> Result<f64, Error>,
) -> Result<Met, Error> {
    let refuse = |value, expected| Err(Error::Invalid { key: "--budget", value, expected });
    if !(budget > 0.0 && budget <= 1.0) {
        return refuse(budget.to_string(), "a number, above 0 and at most 1".to_owned());
    }
    if !work.skips {
        let expected = "a model whose images skip layers, such as aig20 or skipnet20".to_owned();
        return refuse(format!("{budget} for `{model}`"), expected);
    }
    let all = work.multiply_adds as f64;
    let least = work.least as f64 / all;
    if budget < least {
        let expected = format!("at least {:.4}: so much of `{model}` is always run", (least * 1e4).ceil() / 1e4);
        return refuse(budget.to_string(), expected);
    }
    let mut share = |threshold| Ok::<f64, Error>((work.always as f64 + routed(threshold)?) / all);
    let met = |threshold, share| Ok(Met { budget, threshold, share, images });
    let everything = share(0.0)?;
    if everything <= budget {
        return met(0.0, everything);
    }
    let (mut low, mut high, mut found) = (0.0, 1.0, least);
    for _ in 0..STEPS {
        let middle = (low + high) / 2.0;
        let here = share(middle)?;
        if here > budget {
            low = middle;
            continue;
        }
        (high, found) = (middle, here);
        if here >= SPENT * budget {
            break;
        }
    }
    met(high, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 20 always, up to 80 by choice.
    const WORK: Work = Work { multiply_adds: 100, always: 20, least: 20, skips: true };

    fn solve(work: Work, budget: f64, routed: impl Fn(f64) -> f64) -> Result<Met, String> {
        meet("net", work, budget, 10, &mut |threshold| Ok(routed(threshold))).map_err(|error| error.to_string())
    }

    #[test]
    fn the_threshold_spends_the_budget_and_no_more() {
        // Spends 20 + 80 (1 - t) of 100: 60 at t = 0.5, and at 0.6 of it or less from there on.
        let met = solve(WORK, 0.6, |threshold| 80.0 * (1.0 - threshold)).unwrap();
        assert!((met.threshold, met.share) == (0.5, 0.6), "{met:?}");
        // A step from 60 to 10 at t = 0.7: the budget of 0.5 is met after the step only.
        let met = solve(WORK, 0.5, |threshold| if threshold < 0.7 { 60.0 } else { 10.0 }).unwrap();
        assert!((met.threshold - 0.7).abs() < 1e-6 && met.threshold >= 0.7 && met.share == 0.3, "{met:?}");
        // All of it is within the budget.
        assert_eq!(solve(WORK, 1.0, |_| 80.0).unwrap().threshold, 0.0);
        // Gates that are all but sure run until nothing may.
        assert!(solve(WORK, 0.2, |threshold| if threshold < 1.0 { 80.0 } else { 0.0 }).unwrap().threshold > 0.99);
    }

    #[test]
    fn what_cannot_be_met_is_refused_in_one_line() {
        let message = |work, budget| solve(work, budget, |_| 80.0).unwrap_err();
        assert_eq!(message(WORK, 0.1), "--budget is 0.1, expected at least 0.2000: so much of `net` is always run");
        assert_eq!(message(WORK, 1.5), "--budget is 1.5, expected a number, above 0 and at most 1");
        assert_eq!(
            message(Work { always: 100, least: 100, skips: false, ..WORK }, 0.5),
            "--budget is 0.5 for `net`, expected a model whose images skip layers, such as aig20 or skipnet20"
        );
    }
}
