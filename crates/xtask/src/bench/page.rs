//! The part of `docs/src/performance.md` that a bench writes.

use std::fmt::Write;

use super::Options;
use super::bounds::{Bound, Row};
use super::json::Json;
use super::machine::Machine;
use super::peers::Comparison;
use super::run::Run;

pub(super) const BEGIN: &str = "<!-- bench-check:begin -->";
pub(super) const END: &str = "<!-- bench-check:end -->";

/// The page with `text` between the two marks; `None` where they are not there, in that order.
pub(super) fn replace(page: &str, text: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{}\n{END}{after}", text.trim()))
}

/// Everything that was found.
pub(super) fn render(
    machine: &Machine,
    options: &Options,
    runs: &[(&str, Run)],
    rows: &[Row],
    compared: &[Comparison],
    profile: &Json,
) -> String {
    let mut text = format!(
        "Written by `cargo xtask bench`: {} rounds of a training step each, batch 128, channels-last, in turns.\nMachine: {}.\n\n",
        options.rounds,
        machine.describe()
    );
    text += &ratios(rows);
    let missed = rows.iter().filter(|row| !row.holds()).count();
    let judged = rows.iter().filter(|row| row.bound != Bound::None).count();
    let _ = writeln!(text, "\n{} of {judged} bounds are met.\n", judged - missed);
    text += &models(runs);
    if !compared.is_empty() {
        text += &beside(compared);
    }
    text += &profiled(profile).unwrap_or_default();
    text
}

/// The judged ratios as a table.
pub(super) fn ratios(rows: &[Row]) -> String {
    let mut text =
        "| ratio | precision | median | lowest to highest | bound | |\n|---|---|--:|--:|--:|---|\n".to_owned();
    for row in rows {
        let (bound, verdict) = match (row.bound, row.holds()) {
            (Bound::None, _) => (String::new(), ""),
            (Bound::AtMost(bound), true) => (format!("{bound:.2}"), "met"),
            (Bound::AtLeast(bound), true) => (format!("at least {bound:.2}"), "met"),
            (Bound::AtMost(bound), false) => (format!("{bound:.2}"), "**missed**"),
            (Bound::AtLeast(bound), false) => (format!("at least {bound:.2}"), "**missed**"),
        };
        let low = row.values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = row.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (what, precision, median) = (&row.what, row.precision, row.median());
        let _ = writeln!(text, "| {what} | {precision} | {median:.3} | {low:.3} to {high:.3} | {bound} | {verdict} |");
    }
    text
}

fn models(runs: &[(&str, Run)]) -> String {
    let mut text = "### Times\n\n| model | parameters | multiply-adds |".to_owned();
    let mut rule = "|---|--:|--:|".to_owned();
    for (precision, _) in runs {
        let _ = write!(text, " {precision}, ms | GFLOP/s |");
        rule += "--:|--:|";
    }
    text += &format!("\n{rule}\n");
    let Some((_, first)) = runs.first() else { return text };
    for model in first.models() {
        let millions = |count: f64| format!("{:.2} M", count / 1e6);
        let _ =
            write!(text, "| `{}` | {} | {} |", model.name, millions(model.parameters), millions(model.multiply_adds));
        for (_, run) in runs {
            match run.model(&model.name) {
                Some(found) => {
                    let _ = write!(text, " {:.0} | {:.0} |", found.ms_median, found.gflops);
                }
                None => text += " | |",
            }
        }
        text.push('\n');
    }
    let peaks: Vec<String> = runs
        .iter()
        .filter_map(|(precision, run)| run.peak_gflops.map(|peak| format!("{precision} {peak:.0} GFLOP/s")))
        .collect();
    let _ = writeln!(
        text,
        "\nProducts of 2048x2048 matrices in the same runs, the best of the rounds: {}.\n",
        peaks.join(", ")
    );
    text
}

fn beside(compared: &[Comparison]) -> String {
    let versions = &compared[0].versions;
    let mut text = format!(
        "### Beside PyTorch\n\n{versions}; the same weights and step, in turns, by `benches/peers/training_step.py`. Below 1, \
         Multipath is faster. `malloc`: PyTorch under the allocator's settings that `mp-train` makes.\n\n\
         | network | precision | Multipath, ms | PyTorch | ms | ratio | lowest to highest |\n|---|---|--:|---|--:|--:|--:|\n"
    );
    for Comparison { model, precision, multipath_ms, sides, .. } in compared {
        for side in sides {
            let low = side.ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let high = side.ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (name, ms, ratio) = (side.name, side.ms, super::run::median(&side.ratios));
            let _ = writeln!(
                text,
                "| `{model}` | {precision} | {multipath_ms:.0} | {name} | {ms:.0} | {ratio:.3} | {low:.3} to {high:.3} |"
            );
        }
    }
    text + "\n"
}

/// Kinds of op that take less than this share of a step in every model are left out.
const SHOWN: f64 = 0.01;

/// The profiles of several models beside each other; `None` for another report.
fn profiled(profiles: &Json) -> Option<String> {
    let mut names = Vec::new();
    // Each kind of op with its milliseconds in each model.
    let mut ops: Vec<(String, Vec<f64>, f64)> = Vec::new();
    let profiles = profiles.list()?;
    for (at, profile) in profiles.iter().enumerate() {
        names.push((profile.get("name")?.text()?, profile.get("ms")?.number()?));
        for op in profile.get("ops")?.list()? {
            let (name, ms) = (op.get("name")?.text()?, op.get("ms")?.number()?);
            let share = op.get("share")?.number()?;
            let index = ops.iter().position(|(known, ..)| known == name).unwrap_or_else(|| {
                ops.push((name.to_owned(), vec![0.0; profiles.len()], 0.0));
                ops.len() - 1
            });
            ops[index].1[at] = ms;
            ops[index].2 = ops[index].2.max(share);
        }
    }
    ops.retain(|(.., share)| *share >= SHOWN);
    ops.sort_by(|a, b| b.2.total_cmp(&a.2));

    let mut text =
        "### Where a step's time goes\n\nMilliseconds of a bf16 step by kind of op, without the ops that it calls \
                    (`mp-train bench --profile`); kinds below 1% are left out.\n\n| op |"
            .to_owned();
    let mut rule = "|---|".to_owned();
    for (name, _) in &names {
        let _ = write!(text, " `{name}` |");
        rule += "--:|";
    }
    text += &format!("\n{rule}\n");
    for (name, ms, _) in &ops {
        let _ = writeln!(text, "| `{name}` | {} |", cells(ms));
    }
    let whole: Vec<f64> = names.iter().map(|(_, ms)| *ms).collect();
    let _ = writeln!(text, "| the whole step | {} |", cells(&whole));
    Some(text)
}

fn cells(ms: &[f64]) -> String {
    ms.iter().map(|ms| format!("{ms:.1}")).collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::peers;
    use crate::bench::run::tests::run;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}\nold\n{END}\nafter\n");
        let new = replace(&page, "\nnew\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\nnew\n{END}\nafter\n"));
        assert_eq!(replace(&new, "new").as_deref(), Some(new.as_str()));
        assert_eq!(replace("before", "new"), None);
        assert_eq!(replace(&format!("{END} {BEGIN}"), "new"), None);
    }

    #[test]
    fn a_missed_bound_shows_beside_its_measured_number() {
        let row = |bound| Row { what: "a / b".to_owned(), precision: "bf16", values: vec![1.0, 1.2, 1.1], bound };
        let table = ratios(&[row(Bound::AtMost(1.08)), row(Bound::AtLeast(0.55)), row(Bound::None)]);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(rows[0], "| a / b | bf16 | 1.100 | 1.000 to 1.200 | 1.08 | **missed** |");
        assert_eq!(rows[1], "| a / b | bf16 | 1.100 | 1.000 to 1.200 | at least 0.55 | met |");
        assert_eq!(rows[2], "| a / b | bf16 | 1.100 | 1.000 to 1.200 |  |  |");
    }

    #[test]
    fn models_of_all_precisions_share_a_table() {
        let runs = [("fp32", run(&[("a", &[20.0])], 160.0)), ("bf16", run(&[("a", &[10.0])], 395.0))];
        let table = models(&runs);
        assert!(table.contains("| model | parameters | multiply-adds | fp32, ms | GFLOP/s | bf16, ms | GFLOP/s |"));
        assert!(table.contains("| `a` | 0.00 M | 0.00 M | 20 | 50 | 10 | 100 |"), "{table}");
        assert!(table.contains("fp32 160 GFLOP/s, bf16 395 GFLOP/s."), "{table}");
    }

    #[test]
    fn profiles_stand_beside_each_other_and_small_ops_are_left_out() {
        let profile = Json::parse(
            r#"[{"name": "a", "ms": 10.0, "ops": [{"name": "conv", "ms": 9.0, "share": 0.9}]},
                {"name": "b", "ms": 20.0, "ops": [{"name": "mix", "ms": 5.0, "share": 0.25},
                    {"name": "conv", "ms": 9.5, "share": 0.475}, {"name": "view", "ms": 0.1, "share": 0.005}]}]"#,
        );
        let table = profiled(&profile.unwrap()).unwrap();
        let rows: Vec<&str> = table.lines().skip(4).collect();
        let expected = ["| op | `a` | `b` |", "|---|--:|--:|", "| `conv` | 9.0 | 9.5 |", "| `mix` | 0.0 | 5.0 |"];
        assert_eq!(rows, [&expected[..], &["| the whole step | 10.0 | 20.0 |"]].concat());
    }

    #[test]
    fn peers_are_listed_by_network_and_form() {
        let table = beside(&[peers::tests::comparison()]);
        assert!(table.contains("torch 2.13.0, python 3.12.1"), "{table}");
        assert!(
            table.ends_with(
                "| `resnet20_x3_cc@positions=blocks` | bf16 | 300 | compile | 350 | 0.860 | 0.850 to 0.870 |\n\n"
            ),
            "{table}"
        );
    }
}
