//! The same networks in PyTorch, by `benches/peers/training_step.py`.

use std::path::Path;
use std::process::Stdio;

use super::bounds::{BLOCKS, Bound, Row};
use super::json::Json;
use super::json_of;
use crate::cargo::Checkout;
use crate::failure::Failure;

/// What is compared: the network, the precision, and the forms of PyTorch.
const COMPARED: [(&str, &str, &[&str]); 9] = [
    (BLOCKS, "bf16", &["eager", "compile", "eager+malloc", "compile+malloc"]),
    (BLOCKS, "fp32", &["eager", "compile"]),
    ("resnet20_x3_cc", "bf16", &["eager", "compile"]),
    ("resnet20_x3_cc", "fp32", &["eager", "compile"]),
    ("resnet20_x3", "bf16", &["eager", "compile"]),
    ("resnet20_x3_cp", "bf16", &["eager", "compile"]),
    ("resnet20_x3_cp", "fp32", &["eager", "compile"]),
    ("resnet20_w48", "bf16", &["eager", "compile"]),
    ("resnet20", "bf16", &["eager", "compile"]),
];
/// Turns of each side; more would make an hour of it.
const ROUNDS: usize = 6;

/// One network beside PyTorch.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) model: &'static str,
    pub(super) precision: &'static str,
    pub(super) multipath_ms: f64,
    pub(super) sides: Vec<Side>,
    /// `torch 2.13.0, python 3.12.1`.
    pub(super) versions: String,
    /// The script's own report.
    pub(super) text: String,
}

/// A form of PyTorch.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) name: &'static str,
    pub(super) ms: f64,
    /// Our time over its, in every round.
    pub(super) ratios: Vec<f64>,
}

/// Refuses a Python that lacks what the script needs, before anything is measured.
pub(super) fn require(checkout: &Checkout<'_>, python: &str) -> Result<(), Failure> {
    let mut command = checkout.command(program(python));
    command.args(["-c", "import numpy, safetensors, torch"]).stdout(Stdio::null()).stderr(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(_) => Err(Failure::setup(format!(
            "--peers {python} lacks torch, numpy or safetensors: see benches/peers/README.md for how to install them"
        ))),
        Err(error) => {
            Err(Failure::setup(format!("--peers {python} did not run: {error}; expected a python3 with torch")))
        }
    }
}

/// Measures every network of the list.
pub(super) fn compare(
    checkout: &Checkout<'_>,
    python: &str,
    mp_train: &Path,
    rounds: usize,
) -> Result<Vec<Comparison>, Failure> {
    let one = |(model, precision, sides): &(&'static str, &'static str, &'static [&'static str])| {
        let mut command = checkout.command(program(python));
        command.arg("benches/peers/training_step.py").args(["--json", "--model", model, "--precision", precision]);
        command.arg("--rounds").arg(rounds.min(ROUNDS).to_string()).arg("--mp-train").arg(mp_train);
        command.arg("--sides").args(*sides);
        let what = format!("{model}, {precision}, beside PyTorch");
        let (text, report) = json_of(&what, command)?;
        Comparison::of(model, precision, sides, text, &report)
            .ok_or_else(|| Failure::step(format!("{what}: the script reported other keys")))
    };
    COMPARED.iter().map(one).collect()
}

/// A path is the caller's, and commands run in the root of the clone.
fn program(python: &str) -> std::path::PathBuf {
    if python.contains(std::path::MAIN_SEPARATOR) {
        std::path::absolute(python).unwrap_or_else(|_| python.into())
    } else {
        python.into()
    }
}

impl Comparison {
    fn of(
        model: &'static str,
        precision: &'static str,
        sides: &[&'static str],
        text: String,
        report: &Json,
    ) -> Option<Self> {
        let side = |name: &&'static str| {
            let found = report.get("pytorch")?.get(name)?;
            Some(Side { name, ms: found.get("ms")?.number()?, ratios: found.get("ratios")?.numbers()? })
        };
        let version = |name: &str| Some(format!("{name} {}", report.get("versions")?.get(name)?.text()?));
        Some(Self {
            model,
            precision,
            multipath_ms: report.get("multipath_ms")?.number()?,
            sides: sides.iter().map(side).collect::<Option<_>>()?,
            versions: format!("{}, {}", version("torch")?, version("python")?),
            text,
        })
    }

    /// The ratios that have a bound.
    pub(super) fn rows(&self) -> Vec<Row> {
        let bound = |side: &Side| match (self.model, self.precision, side.name) {
            (BLOCKS, "bf16", "eager") => Some(Bound::AtMost(0.60)),
            (BLOCKS, "bf16", "compile") => Some(Bound::AtMost(0.80)),
            _ => None,
        };
        let row = |side: &Side| {
            Some(Row {
                what: format!("ours / PyTorch {}, three paths routed before every block", side.name),
                precision: self.precision,
                values: side.ratios.clone(),
                bound: bound(side)?,
            })
        };
        self.sides.iter().filter_map(row).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What the script reports for the network and precision that have bounds.
    pub(in crate::bench) fn comparison() -> Comparison {
        let text = r#"{"multipath_ms": 300.0, "pytorch": {
            "eager": {"ms": 500.0, "ratio": 0.6, "ratios": [0.59, 0.61]},
            "compile": {"ms": 350.0, "ratio": 0.86, "ratios": [0.85, 0.87]}},
            "versions": {"mp-train": "0.1.0", "torch": "2.13.0", "python": "3.12.1"}}"#;
        let report = Json::parse(text).expect("valid JSON");
        Comparison::of(BLOCKS, "bf16", &["eager", "compile"], text.to_owned(), &report).expect("a report")
    }

    #[test]
    fn both_bounds_are_judged_by_the_median() {
        let rows = comparison().rows();
        assert_eq!(rows.iter().map(Row::holds).collect::<Vec<_>>(), [true, false]);
        assert!((rows[1].median() - 0.86).abs() < 1e-9);
    }

    #[test]
    fn only_the_networks_of_the_table_are_judged() {
        let judged = COMPARED.iter().filter(|(model, precision, _)| (*model, *precision) == (BLOCKS, "bf16"));
        assert_eq!(judged.count(), 1);
        assert_eq!(Comparison { precision: "fp32", ..comparison() }.rows().len(), 0);
    }

    #[test]
    fn a_side_that_is_missing_is_noticed() {
        let Comparison { text, .. } = comparison();
        let report = Json::parse(&text).unwrap();
        assert!(Comparison::of(BLOCKS, "bf16", &["eager+malloc"], text, &report).is_none());
    }
}
