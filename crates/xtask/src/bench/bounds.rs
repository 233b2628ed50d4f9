//! The ratios that are judged, and how far each may go.

use super::run::{Run, median};

/// A precision's name and the run in it.
pub(super) type Runs = [(&'static str, Run)];

/// How far a ratio may go.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Shown, not judged.
    None,
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtMost(bound) => value <= bound,
            Self::AtLeast(bound) => value >= bound,
            Self::None => true,
        }
    }
}

/// One ratio and how it stands.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) precision: &'static str,
    /// Its value in every round.
    pub(super) values: Vec<f64>,
    pub(super) bound: Bound,
}

impl Row {
    pub(super) fn median(&self) -> f64 {
        median(&self.values)
    }

    pub(super) fn holds(&self) -> bool {
        self.bound.holds(self.median())
    }
}

pub(super) const BLOCKS: &str = "resnet20_x3_cc@positions=blocks";

/// Every model that a row needs, those of one ratio beside each other: their turns then follow one another.
pub(super) const MODELS: [&str; 13] = [
    "resnet20_x3",
    "resnet20_x3_cc",
    BLOCKS,
    "resnet20_w48",
    "resnet20_x3_cp",
    "resnet20_w28",
    "resnet20",
    "resnet20_x2",
    "resnet20_x2_cc@positions=blocks",
    "resnet20_x4",
    "resnet20_x4_cc@positions=blocks",
    "resnet20_x5",
    "resnet20_x5_cc@positions=blocks",
];

/// The rows between our own models; `None` where a run lacks a model.
pub(super) fn rows(runs: &Runs) -> Option<Vec<Row>> {
    use Bound::{AtLeast, AtMost, None as Unbound};
    let (unrouted, stages, wide) = ("resnet20_x3", "resnet20_x3_cc", "resnet20_w48");
    let pairs: [(&str, &str, &str, [Bound; 2]); 5] = [
        ("routed at stage starts / unrouted paths", stages, unrouted, [AtMost(1.03); 2]),
        ("routed before every block / unrouted paths", BLOCKS, unrouted, [AtMost(1.08); 2]),
        ("routed at stage starts / three times as wide", stages, wide, [AtMost(0.45), AtMost(0.50)]),
        ("cross-prediction at stage starts / three times as wide", "resnet20_x3_cp", wide, [Unbound, AtMost(0.75)]),
        ("routed at stage starts / widened to its parameter count", stages, "resnet20_w28", [Unbound; 2]),
    ];
    let mut rows = Vec::new();
    let mut add = |what: &str, precision, values, bound| {
        rows.push(Row { what: what.to_owned(), precision, values, bound });
    };
    for (what, model, base, bounds) in pairs {
        for ((precision, run), bound) in runs.iter().zip(bounds) {
            add(what, *precision, run.ratios(model, base)?, bound);
        }
    }
    for paths in 2..=5 {
        let what = format!("routed before every block / unrouted paths, {paths} paths");
        let (model, base) = (format!("resnet20_x{paths}_cc@positions=blocks"), format!("resnet20_x{paths}"));
        let bound = if paths == 5 { AtMost(1.12) } else { Unbound };
        for (precision, run) in runs {
            add(&what, *precision, run.ratios(&model, &base)?, bound);
        }
    }
    for ((precision, run), bound) in runs.iter().zip([Unbound, AtLeast(0.55)]) {
        let what = "share of the matrix peak, three paths routed before every block";
        add(what, *precision, run.shares_of_peak(BLOCKS)?, bound);
    }
    Some(rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::run::tests::run;

    fn runs(blocks: &[f64; 2], peak: f64) -> [(&'static str, Run); 2] {
        let times = |name: &'static str| match name {
            BLOCKS => (name, &blocks[..]),
            "resnet20_w48" => (name, &[40.0, 40.0][..]),
            _ => (name, &[10.0, 10.0][..]),
        };
        let models = MODELS.map(times);
        [("fp32", run(&models, peak)), ("bf16", run(&models, peak))]
    }

    #[test]
    fn a_ratio_over_its_bound_does_not_hold_and_one_at_it_does() {
        let failing = |blocks| {
            let rows = rows(&runs(&blocks, 100.0)).expect("all models are there");
            rows.into_iter().filter(|row| !row.holds()).map(|row| row.what).collect::<Vec<_>>()
        };
        // The median of the rounds counts: 1.08, then 1.09.
        assert_eq!(failing([10.7, 10.9]), [""; 0]);
        let twice = ["routed before every block / unrouted paths"; 2];
        assert_eq!(failing([10.7, 11.1]), twice);
    }

    #[test]
    fn a_share_below_its_bound_does_not_hold() {
        // 1000 million operations in 10 ms are 100 GFLOP/s.
        let share = |peak| rows(&runs(&[10.0, 10.0], peak)).unwrap().pop().unwrap();
        assert!(share(150.0).holds());
        assert!(!share(200.0).holds());
        assert_eq!(share(200.0).median(), 0.5);
    }

    #[test]
    fn every_row_of_the_project_has_its_bound() {
        let rows = rows(&runs(&[10.0, 10.0], 100.0)).unwrap();
        let bounds: Vec<Bound> = rows.iter().map(|row| row.bound).filter(|bound| *bound != Bound::None).collect();
        let most = [1.03, 1.03, 1.08, 1.08, 0.45, 0.50, 0.75, 1.12, 1.12].map(Bound::AtMost);
        assert_eq!(bounds, [&most[..], &[Bound::AtLeast(0.55)]].concat());
    }

    #[test]
    fn a_model_that_was_not_timed_is_noticed() {
        let lacking = [("fp32", run(&[("resnet20_x3", &[1.0])], 1.0))];
        assert!(rows(&lacking).is_none());
    }
}
