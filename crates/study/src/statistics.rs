//! What a few runs say about many: means with their intervals, and differences between runs of the same seeds.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The mean of some runs and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// How many runs.
    pub runs: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, of `n - 1`; none of a single run.
    pub deviation: Option<f64>,
    /// Half the width of the 95% interval of the mean, by Student's t; none of a single run.
    pub half_width: Option<f64>,
}

impl Estimate {
    /// That of these figures; none of no figure.
    pub fn of(figures: &[f64]) -> Option<Self> {
        let runs = figures.len();
        if runs == 0 {
            return None;
        }
        let mean = figures.iter().sum::<f64>() / runs as f64;
        let deviation = (runs > 1).then(|| {
            let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
            (squares / (runs - 1) as f64).sqrt()
        });
        let half_width =
            deviation.zip(t(runs)).map(|(deviation, t)| t.inverse_cdf(0.975) * deviation / (runs as f64).sqrt());
        Some(Estimate { runs, mean, deviation, half_width })
    }
}

/// How far two networks are apart, over runs of the same seeds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Difference {
    /// The mean of the differences, with its interval.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// The probability of a difference as large by chance, by the paired t test, two-sided; none of a single pair.
    pub p_t: Option<f64>,
    /// The same by permutation: of all ways to swap the two within pairs, the share whose mean is as far from 0. With `n` pairs
    /// it cannot be below `2 / 2^n`.
    pub p_permutation: Option<f64>,
    /// `p_t` adjusted for the number of comparisons, by Holm's method.
    pub p_holm: Option<f64>,
}

impl Difference {
    /// That of pairs `a - b`; none of no pair.
    pub fn of(differences: &[f64]) -> Option<Self> {
        let estimate = Estimate::of(differences)?;
        let p_t = estimate.deviation.zip(t(differences.len())).map(|(deviation, t)| {
            if deviation == 0.0 {
                return if estimate.mean == 0.0 { 1.0 } else { 0.0 };
            }
            let statistic = estimate.mean / (deviation / (differences.len() as f64).sqrt());
            2.0 * t.cdf(-statistic.abs())
        });
        Some(Difference { estimate, p_t, p_permutation: permutation(differences), p_holm: p_t })
    }

    /// Whether the 95% interval leaves out 0. A single pair has no interval, and shows nothing.
    pub fn is_shown(&self) -> bool {
        self.estimate.half_width.is_some_and(|half| self.estimate.mean.abs() > half)
    }
}

/// Adjusts the p of several differences by Holm's step-down method (1979): the least of `m` is multiplied by `m`, the next by
/// `m - 1`, and so on, and none falls below the one before.
pub fn holm(differences: &mut [&mut Difference]) {
    let mut order: Vec<usize> = (0..differences.len()).filter(|at| differences[*at].p_t.is_some()).collect();
    order.sort_by(|a, b| differences[*a].p_t.partial_cmp(&differences[*b].p_t).unwrap_or(std::cmp::Ordering::Equal));
    let mut least: f64 = 0.0;
    for (done, at) in order.iter().enumerate() {
        let p = differences[*at].p_t.unwrap_or(1.0) * (order.len() - done) as f64;
        least = least.max(p.min(1.0));
        differences[*at].p_holm = Some(least);
    }
}

/// Student's t for the mean of so many figures.
fn t(runs: usize) -> Option<StudentsT> {
    (runs > 1).then(|| StudentsT::new(0.0, 1.0, (runs - 1) as f64).ok()).flatten()
}

/// More pairs than this have too many ways to be swapped; their t test is good enough.
const MOST_PAIRS: usize = 20;

fn permutation(differences: &[f64]) -> Option<f64> {
    let pairs = differences.len();
    if !(2..=MOST_PAIRS).contains(&pairs) {
        return None;
    }
    let sum = |signs: u32| -> f64 {
        differences.iter().enumerate().map(|(at, d)| if signs >> at & 1 == 1 { -d } else { *d }).sum::<f64>().abs()
    };
    let found = sum(0);
    // Sums that are equal but for rounding count.
    let as_far = (0..1_u32 << pairs).filter(|signs| sum(*signs) >= found * (1.0 - 1e-9)).count();
    Some(as_far as f64 / f64::from(1_u32 << pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{found}, expected {expected}");
    }

    #[test]
    fn a_mean_with_its_interval() {
        // 1, 2, 3: mean 2, deviation 1; t of 2 degrees at 97.5% is 4.3027, over root 3: 2.4842.
        let found = Estimate::of(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((found.runs, found.mean, found.deviation), (3, 2.0, Some(1.0)));
        close(found.half_width.unwrap(), 2.4842);
    }

    #[test]
    fn one_run_has_no_interval_and_none_no_mean() {
        let one = Estimate::of(&[0.7]).unwrap();
        assert_eq!((one.deviation, one.half_width), (None, None));
        assert_eq!(Estimate::of(&[]), None);
        assert!(!Difference::of(&[5.0]).unwrap().is_shown());
    }

    #[test]
    fn a_paired_difference_is_that_of_the_paired_t_test() {
        // 1, 2, 3, 2: mean 2, deviation root(2/3) = 0.8165; t = 2 / 0.4082 = 4.899 with 3 degrees: p = 0.01628
        // (scipy.stats.ttest_1samp).
        let found = Difference::of(&[1.0, 2.0, 3.0, 2.0]).unwrap();
        close(found.p_t.unwrap(), 0.016_28);
        assert!(found.is_shown());
        // Of the 16 ways only the two with all signs alike are as far from 0.
        assert_eq!(found.p_permutation, Some(2.0 / 16.0));
    }

    #[test]
    fn what_holds_0_is_no_difference() {
        let found = Difference::of(&[1.0, -1.0, 0.5]).unwrap();
        assert!(!found.is_shown());
        assert!(found.p_t.unwrap() > 0.5);
        // Differences that are all alike have no deviation: they are certain, or none.
        assert_eq!(Difference::of(&[0.5, 0.5]).unwrap().p_t, Some(0.0));
        assert_eq!(Difference::of(&[0.0, 0.0]).unwrap().p_t, Some(1.0));
    }

    #[test]
    fn holm_multiplies_the_least_by_the_most() {
        let with = |p: f64| Difference { p_t: Some(p), ..Difference::of(&[1.0, 2.0]).unwrap() };
        let (mut a, mut b, mut c) = (with(0.04), with(0.01), with(0.03));
        holm(&mut [&mut a, &mut b, &mut c]);
        // 0.01 · 3, then 0.03 · 2, then 0.04 · 1, which may not fall below 0.06.
        let found = [a, b, c].map(|difference| difference.p_holm.unwrap());
        assert!(found.iter().zip([0.06, 0.03, 0.06]).all(|(a, b)| (a - b).abs() < 1e-12), "{found:?}");
    }
}
