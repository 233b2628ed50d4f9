//! `cargo xtask bench`: what routing costs, measured interleaved, judged by ratios and published.

mod bounds;
mod json;
mod machine;
mod page;
mod peers;
mod run;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::cargo::{self, Checkout};
use crate::failure::Failure;
use bounds::{BLOCKS, MODELS, Row};
use json::Json;
use machine::Machine;
use run::Run;

/// What is asked of a bench.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Whether a ratio over its bound fails the task.
    check: bool,
    /// How often each model has its turn.
    rounds: usize,
    /// The Python with PyTorch to compare with.
    peers: Option<String>,
}

impl Options {
    /// Reads the arguments after `bench`.
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self { check: false, rounds: 12, peers: None };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = |expected: &str| {
                rest.next().ok_or_else(|| Failure::setup(format!("`{argument}` has no value, expected {expected}")))
            };
            match argument.as_str() {
                "--check" => options.check = true,
                "--rounds" => {
                    let text = value("a number of rounds")?;
                    let rounds = text.parse().ok().filter(|rounds| *rounds >= 1);
                    options.rounds = rounds.ok_or_else(|| {
                        Failure::setup(format!("--rounds is `{text}`, expected a number of at least 1"))
                    })?;
                }
                "--peers" => options.peers = Some(value("the python3 of an environment with torch")?.clone()),
                _ => {
                    return Err(Failure::setup(format!(
                        "`cargo xtask bench` takes --check, --rounds N and --peers PYTHON, found `{argument}`"
                    )));
                }
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(root: &Path, options: &Options) -> Result<(), Failure> {
    let page = root.join("docs/src/performance.md");
    let text = fs::read_to_string(&page)
        .map_err(|error| Failure::setup(format!("cannot read {}: {error}", page.display())))?;
    // Before minutes of measuring: can what is found be written at all?
    page::replace(&text, "").ok_or_else(|| {
        let marks = format!("{} and {}", page::BEGIN, page::END);
        Failure::setup(format!("{} has no place for the table, expected the lines {marks}", page.display()))
    })?;
    let checkout = Checkout::open(root)?;
    if let Some(python) = &options.peers {
        peers::require(&checkout, python)?;
    }
    cargo::step("build mp-train", checkout.cargo("build --release --package mp-cli"))?;
    let target = checkout.target_folder()?;
    let program = target.join("release").join("mp-train");
    let machine = Machine::here();
    machine.warn_if_busy();

    let bench = |what: &str, arguments: &[&str]| {
        let mut command = checkout.command(&program);
        command.arg("bench").args(arguments);
        json_of(what, command)
    };
    let rounds = options.rounds.to_string();
    let mut runs = Vec::new();
    for precision in ["fp32", "bf16"] {
        let flags = ["--json", "--peak", "--precision", precision, "--rounds", &rounds];
        let what = format!("{} models, {precision}, {rounds} rounds", MODELS.len());
        let (text, report) = bench(&what, &[&MODELS[..], &flags].concat())?;
        let run = Run::of(&report).ok_or_else(|| Failure::step(format!("{what}: mp-train reported other keys")))?;
        runs.push((precision, run, text));
    }
    let flags = ["--json", "--profile", "--precision", "bf16", "--rounds", "5"];
    let (profile_text, profile) = bench("profile, bf16", &[&["resnet20_x3", BLOCKS][..], &flags].concat())?;
    let compared = match &options.peers {
        Some(python) => peers::compare(&checkout, python, &program, options.rounds)?,
        None => Vec::new(),
    };

    let raw: Vec<String> =
        runs.iter().map(|(precision, _, text)| format!("{}: {text}", json::quoted(precision))).collect();
    let runs: Vec<(&str, Run)> = runs.into_iter().map(|(precision, run, _)| (precision, run)).collect();
    let mut rows = bounds::rows(&runs).ok_or_else(|| Failure::step("mp-train did not report every model"))?;
    rows.extend(compared.iter().flat_map(peers::Comparison::rows));

    let table = page::render(&machine, options, &runs, &rows, &compared, &profile);
    write(&page, &page::replace(&text, &table).unwrap_or(text))?;
    let peers_raw: Vec<&str> = compared.iter().map(|comparison| comparison.text.as_str()).collect();
    let record = format!(
        "{{\"machine\": {},\n\"rounds\": {rounds},\n\"ratios\": [\n{}\n],\n\"runs\": {{{}}},\n\"profile\": {profile_text},\n\"peers\": [{}]}}\n",
        machine.json(),
        rows.iter().map(row_json).collect::<Vec<_>>().join(",\n"),
        raw.join(",\n"),
        peers_raw.join(",\n"),
    );
    fs::create_dir_all(&target)
        .map_err(|error| Failure::step(format!("cannot create {}: {error}", target.display())))?;
    let record_path = target.join("bench-check.json");
    write(&record_path, &record)?;

    println!("\n{}", page::ratios(&rows));
    println!("written to {} and {}", page.display(), record_path.display());
    verdict(&rows, options.check)
}

/// The failure of a check: every ratio over its bound.
fn verdict(rows: &[Row], check: bool) -> Result<(), Failure> {
    let missed: Vec<String> = rows
        .iter()
        .filter(|row| !row.holds())
        .map(|row| format!("{} ({}): {:.3}", row.what, row.precision, row.median()))
        .collect();
    if check && !missed.is_empty() {
        return Err(Failure::step(format!("{} bounds are not met: {}", missed.len(), missed.join("; "))));
    }
    Ok(())
}

fn row_json(row: &Row) -> String {
    let (kind, bound) = match row.bound {
        bounds::Bound::AtMost(bound) => ("\"at most\"", bound.to_string()),
        bounds::Bound::AtLeast(bound) => ("\"at least\"", bound.to_string()),
        bounds::Bound::None => ("null", "null".to_owned()),
    };
    format!(
        "{{\"what\": {}, \"precision\": {}, \"median\": {:.4}, \"expected\": {kind}, \"bound\": {bound}, \"holds\": {}, \"rounds\": {:.4?}}}",
        json::quoted(&row.what),
        json::quoted(row.precision),
        row.median(),
        row.holds(),
        row.values,
    )
}

/// Runs a command that prints JSON, with its progress on our terminal; gives the text and what it says.
fn json_of(what: &str, mut command: Command) -> Result<(String, Json), Failure> {
    println!("\n== {what}");
    let program = command.get_program().display().to_string();
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Failure::setup(format!("{what}: {program} did not run: {error}")))?;
    if !output.status.success() {
        return Err(Failure::step(format!("{what} failed ({})", output.status)));
    }
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let json = Json::parse(&text).ok_or_else(|| Failure::step(format!("{what}: {program} printed no JSON")))?;
    Ok((text, json))
}

/// Under a name of its own first: a page or record is never half written.
fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let partial = path.with_extension("partial");
    fs::write(&partial, text)
        .and_then(|()| fs::rename(&partial, path))
        .map_err(|error| Failure::step(format!("cannot write {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bounds::Bound;

    fn parse(line: &str) -> Result<Options, Failure> {
        Options::parse(&line.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read_in_any_order() {
        assert_eq!(parse(""), Ok(Options { check: false, rounds: 12, peers: None }));
        let all = Options { check: true, rounds: 3, peers: Some("python3".to_owned()) };
        assert_eq!(parse("--peers python3 --rounds 3 --check"), Ok(all));
    }

    #[test]
    fn other_options_are_refused_in_one_line() {
        for (line, message) in [
            ("--rounds 0", "--rounds is `0`, expected a number of at least 1"),
            ("--rounds many", "--rounds is `many`, expected a number of at least 1"),
            ("--rounds", "`--rounds` has no value, expected a number of rounds"),
            ("--chekc", "`cargo xtask bench` takes --check, --rounds N and --peers PYTHON, found `--chekc`"),
        ] {
            assert_eq!(parse(line), Err(Failure::setup(message)));
        }
    }

    fn row(value: f64) -> Row {
        Row { what: "a / b".to_owned(), precision: "bf16", values: vec![value], bound: Bound::AtMost(1.0) }
    }

    #[test]
    fn only_a_check_fails_and_it_says_by_what() {
        assert_eq!(verdict(&[row(1.0)], true), Ok(()));
        assert_eq!(verdict(&[row(1.5)], false), Ok(()));
        let failure = verdict(&[row(1.0), row(1.5)], true).unwrap_err();
        assert_eq!(failure, Failure::step("1 bounds are not met: a / b (bf16): 1.500"));
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn the_record_of_a_row_is_json() {
        let json = Json::parse(&row_json(&row(1.5))).unwrap();
        assert_eq!(json.get("median").and_then(Json::number), Some(1.5));
        assert_eq!(json.get("holds"), Some(&Json::Bool(false)));
        assert_eq!(json.get("rounds").and_then(Json::numbers), Some(vec![1.5]));
    }
}
