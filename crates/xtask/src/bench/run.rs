//! What one interleaved run found.

use super::json::Json;

/// The times of several models, measured in turns.
#[derive(Debug)]
pub(super) struct Run {
    models: Vec<Model>,
    /// The most that a product of large matrices reached, in 10^9 operations a second.
    pub(super) peak_gflops: Option<f64>,
}

/// One model of a run.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) parameters: f64,
    pub(super) multiply_adds: f64,
    pub(super) ms_median: f64,
    pub(super) gflops: f64,
    /// Milliseconds of each round.
    ms: Vec<f64>,
}

impl Run {
    /// Reads the report of `mp-train bench --json`.
    pub(super) fn of(report: &Json) -> Option<Self> {
        let model = |json: &Json| {
            let number = |key| json.get(key).and_then(Json::number);
            Some(Model {
                name: json.get("name")?.text()?.to_owned(),
                parameters: number("parameters")?,
                multiply_adds: number("multiply_adds")?,
                ms_median: number("ms_median")?,
                gflops: number("gflops")?,
                ms: json.get("ms")?.numbers()?,
            })
        };
        Some(Self {
            models: report.get("models")?.list()?.iter().map(model).collect::<Option<_>>()?,
            peak_gflops: report.get("peak_gflops").and_then(Json::number),
        })
    }

    pub(super) fn model(&self, name: &str) -> Option<&Model> {
        self.models.iter().find(|model| model.name == name)
    }

    pub(super) fn models(&self) -> &[Model] {
        &self.models
    }

    /// The time of one model over that of another, in every round.
    pub(super) fn ratios(&self, name: &str, base: &str) -> Option<Vec<f64>> {
        let (model, base) = (self.model(name)?, self.model(base)?);
        Some(model.ms.iter().zip(&base.ms).map(|(own, base)| own / base).collect())
    }

    /// The share of the peak that a model reached, in every round.
    pub(super) fn shares_of_peak(&self, name: &str) -> Option<Vec<f64>> {
        let (model, peak) = (self.model(name)?, self.peak_gflops?);
        let operations = model.gflops * model.ms_median;
        Some(model.ms.iter().map(|ms| operations / ms / peak).collect())
    }
}

/// The middle value; the mean of the two middle ones where their number is even.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match sorted.len() % 2 {
        _ if sorted.is_empty() => f64::NAN,
        1 => sorted[half],
        _ => (sorted[half - 1] + sorted[half]) / 2.0,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A run in which each model took the given milliseconds in every one of its rounds.
    pub(in crate::bench) fn run(models: &[(&str, &[f64])], peak: f64) -> Run {
        let model = |(name, ms): &(&str, &[f64])| {
            let median = median(ms);
            format!(
                r#"{{"name": "{name}", "parameters": 1, "multiply_adds": 2, "ms_median": {median}, "gflops": {}, "ms": {ms:?}}}"#,
                1000.0 / median
            )
        };
        let models: Vec<String> = models.iter().map(model).collect();
        let report = format!(r#"{{"models": [{}], "peak_gflops": {peak:?}}}"#, models.join(", "));
        Run::of(&Json::parse(&report).expect("valid JSON")).expect("a report")
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let run = run(&[("a", &[10.0, 20.0, 40.0]), ("b", &[20.0, 30.0, 40.0])], 100.0);
        assert_eq!(run.ratios("b", "a"), Some(vec![2.0, 1.5, 1.0]));
        assert_eq!(run.ratios("b", "c"), None);
    }

    #[test]
    fn the_share_of_the_peak_is_that_of_each_round() {
        // 1000 million operations: at 10 ms, 100 GFLOP/s.
        let run = run(&[("a", &[10.0, 20.0, 20.0])], 200.0);
        assert_eq!(run.shares_of_peak("a"), Some(vec![0.5, 0.25, 0.25]));
    }

    #[test]
    fn a_report_without_its_keys_is_none() {
        assert!(Run::of(&Json::parse(r#"{"models": [{"name": "a"}]}"#).unwrap()).is_none());
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), 3.0);
        assert!(median(&[]).is_nan());
    }
}
