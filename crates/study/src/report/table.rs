//! The table that all forms of the report share, and its form as CSV.

use mp_train::watch::report::{short, thousands};

use crate::report::percent;
use crate::statistics::{Difference, Estimate};
use crate::{EntrantFindings, Error, Findings};

/// The heads of the columns.
pub(super) const HEADS: [&str; 9] = [
    "entrant",
    "network",
    "parameters",
    "multiply-adds",
    "ms",
    "rate",
    "accuracy",
    "best epoch",
    "difference to the reference",
];

/// One row of the table, as text.
pub(super) fn row(findings: &Findings, entrant: &EntrantFindings) -> [String; 9] {
    let none = || "–".to_owned();
    let edge = if entrant.rate_is_at_edge { " *" } else { "" };
    let difference = match (&entrant.difference, entrant.name == findings.reference) {
        (_, true) => "reference".to_owned(),
        (Some(difference), _) => difference_text(difference),
        (None, _) => none(),
    };
    [
        entrant.name.clone(),
        entrant.model.clone(),
        entrant.parameters.map_or_else(none, thousands),
        entrant.multiply_adds.map_or_else(none, short),
        entrant.ms.map_or_else(none, |ms| format!("{ms:.1}")),
        entrant.rate.map_or_else(none, |rate| format!("{}{edge}", rounded(rate))),
        entrant.test.as_ref().map_or_else(none, estimate),
        entrant.best.as_ref().map_or_else(none, estimate),
        difference,
    ]
}

/// A mean accuracy with its interval and the number of its runs.
pub(super) fn estimate(found: &Estimate) -> String {
    let half = found.half_width.map_or_else(String::new, |half| format!(" ± {:.2}", 100.0 * half));
    format!("{}{half} ({})", percent(found.mean), found.runs)
}

/// A difference in points: one whose interval holds 0 is none.
pub(super) fn difference_text(found: &Difference) -> String {
    let points = |share: f64| format!("{:+.2}", 100.0 * share);
    let Some(half) = found.estimate.half_width else {
        return format!("{} (one pair)", points(found.estimate.mean));
    };
    let interval = format!("{} ± {:.2}", points(found.estimate.mean), 100.0 * half);
    let p = found.p_holm.map_or_else(String::new, |p| format!(", p = {}", p_value(p)));
    if found.is_shown() { format!("**{interval}**{p}") } else { format!("none ({interval}{p})") }
}

fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".to_owned() } else { format!("{p:.3}") }
}

/// A learning rate with three digits.
fn rounded(rate: f64) -> String {
    let digits = 3 - 1 - rate.abs().log10().floor().clamp(-9.0, 2.0) as i32;
    let text = format!("{rate:.*}", digits.max(0) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// The table as CSV: shares, counts and p as numbers, empty where there is none.
pub(super) fn csv(findings: &Findings) -> Result<String, Error> {
    let mut rows = csv::Writer::from_writer(Vec::new());
    let failed = |error: String| Error::study(std::path::Path::new("results.csv"), error);
    let heads = [
        "entrant",
        "model",
        "parameters",
        "multiply_adds",
        "ms",
        "ms_ratio",
        "rate",
        "runs",
        "diverged",
        "test",
        "test_deviation",
        "test_half_width",
        "last",
        "best",
        "difference",
        "difference_half_width",
        "p_t",
        "p_permutation",
        "p_holm",
        "seconds_to_target",
        "frozen",
        "shuffled",
        "uniform",
    ];
    rows.write_record(heads).map_err(|error| failed(error.to_string()))?;
    for entrant in &findings.entrants {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        let of = |estimate: &Option<Estimate>| number(estimate.map(|estimate| estimate.mean));
        let routes = entrant.routes.as_ref();
        let row = [
            entrant.name.clone(),
            entrant.model.clone(),
            entrant.parameters.map_or_else(String::new, |count| count.to_string()),
            entrant.multiply_adds.map_or_else(String::new, |count| count.to_string()),
            number(entrant.ms),
            number(entrant.ms_ratio),
            number(entrant.rate),
            entrant.test.map_or(0, |test| test.runs).to_string(),
            entrant.diverged.len().to_string(),
            of(&entrant.test),
            number(entrant.test.and_then(|test| test.deviation)),
            number(entrant.test.and_then(|test| test.half_width)),
            of(&entrant.last),
            of(&entrant.best),
            number(entrant.difference.map(|difference| difference.estimate.mean)),
            number(entrant.difference.and_then(|difference| difference.estimate.half_width)),
            number(entrant.difference.and_then(|difference| difference.p_t)),
            number(entrant.difference.and_then(|difference| difference.p_permutation)),
            number(entrant.difference.and_then(|difference| difference.p_holm)),
            number(entrant.to_target.map(|(seconds, _)| seconds)),
            number(routes.and_then(|routes| routes.frozen).map(|fall| fall.mean)),
            number(routes.and_then(|routes| routes.shuffled).map(|fall| fall.mean)),
            number(routes.and_then(|routes| routes.uniform).map(|fall| fall.mean)),
        ];
        rows.write_record(row).map_err(|error| failed(error.to_string()))?;
    }
    let bytes = rows.into_inner().map_err(|error| failed(error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_whose_interval_holds_0_is_none() {
        let text = |pairs: &[f64]| difference_text(&Difference::of(pairs).unwrap());
        assert!(text(&[0.01, -0.01, 0.002]).starts_with("none ("), "{}", text(&[0.01, -0.01, 0.002]));
        let shown = text(&[0.010, 0.011, 0.012]);
        assert!(shown.starts_with("**+1.10 ± 0.25**, p = "), "{shown}");
        assert_eq!(text(&[0.02]), "+2.00 (one pair)");
    }

    #[test]
    fn rates_have_three_digits() {
        assert_eq!(
            [0.1, 0.033_333, 0.3, 1.0, 0.002, 12.34].map(rounded),
            ["0.1", "0.0333", "0.3", "1", "0.002", "12.3"]
        );
    }
}
