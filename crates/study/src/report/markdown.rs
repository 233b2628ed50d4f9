//! The report as Markdown, for the book.

use mp_train::watch::report::thousands;

use super::percent;
use super::table::{HEADS, row};
use crate::Findings;

/// The whole page.
pub(super) fn page(findings: &Findings, command: &str) -> String {
    format!("# Study `{}`\n\n{}", findings.study, table_and_notes(findings, command))
}

/// What a page of several studies shows of one.
pub(super) fn table_and_notes(findings: &Findings, command: &str) -> String {
    let mut text = String::new();
    let (all, there) = findings.runs;
    let seeds = findings.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
    let missing = match all - there {
        0 => String::new(),
        missing => format!(" **{missing} of {all} runs are missing.**"),
    };
    text.push_str(&format!(
        "{} on seeds {seeds}, {} epochs each.{missing} *Accuracy* is that of the test images after the last epoch: the mean over the \
         seeds, half of its 95% interval, and how many runs it is of. *Best epoch* is the greatest accuracy on the validation images \
         ({}). The *difference* to `{}` is paired by seed, in points, with half of its 95% interval (t) and p by Holm's method; where \
         the interval holds 0, there is none.\n\n",
        findings.data, findings.epochs, findings.valid_split, findings.reference
    ));
    text.push_str(&line(HEADS.map(str::to_owned)));
    text.push_str("|---|---|--:|--:|--:|--:|--:|--:|--:|\n");
    for entrant in &findings.entrants {
        let mut cells = row(findings, entrant);
        cells[1] = format!("`{}`", cells[1]);
        text.push_str(&line(cells));
    }
    let mut notes = Vec::new();
    if findings.entrants.iter().any(|entrant| entrant.rate_is_at_edge) {
        notes.push("\\* the lowest or the highest learning rate that was tried".to_owned());
    }
    for entrant in findings.entrants.iter().filter(|entrant| !entrant.diverged.is_empty()) {
        let seeds = entrant.diverged.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
        notes.push(format!("`{}` broke off with seed {seeds}", entrant.name));
    }
    if !notes.is_empty() {
        text.push_str(&format!("\n{}.\n", notes.join("; ")));
    }
    routes(findings, &mut text);
    time(findings, &mut text);
    for machine in &findings.machines {
        text.push_str(&format!(
            "\nMachine: {}, {} of each run on {}; libtorch {}, mp-train {}.\n",
            machine.processor,
            count(machine.threads, "thread"),
            machine.device,
            machine.libtorch,
            machine.version
        ));
    }
    if let Some(times) = &findings.times {
        text.push_str(&format!(
            "\nMilliseconds are medians of {} training steps of {} images, all entrants in turns, {} on {}.\n",
            times.rounds,
            times.batch,
            count(times.threads, "thread"),
            times.processor
        ));
    }
    text.push_str(&format!("\n```sh\n{command}\n```\n"));
    text
}

/// How the entrants route, and what that is worth.
fn routes(findings: &Findings, text: &mut String) {
    let routed = || findings.entrants.iter().filter_map(|entrant| Some((entrant, entrant.routes.as_ref()?)));
    if routed().next().is_none() {
        return;
    }
    text.push_str(
        "\nWhat the routes are worth: points of test accuracy that are lost when every gate is replaced by its mean (frozen), when \
         each image takes another one's routes (shuffled), and with even routes (uniform). Information is that of input and route in \
         nats, layer by layer; beside it stands the share of all weight that the least used path gets.\n\n\
         | entrant | frozen | shuffled | uniform | information (least share) |\n|---|--:|--:|--:|---|\n",
    );
    for (entrant, routes) in routed() {
        let points = |fall: &Option<crate::statistics::Estimate>| match fall {
            Some(fall) => {
                let half = fall.half_width.map_or_else(String::new, |half| format!(" ± {:.2}", 100.0 * half));
                format!("{:.2}{half}", 100.0 * fall.mean)
            }
            None => "–".to_owned(),
        };
        let layers: Vec<String> = routes
            .layers
            .iter()
            .map(|(name, information, least)| format!("{name} {information:.3} ({:.0}%)", 100.0 * least))
            .collect();
        text.push_str(&line([
            entrant.name.clone(),
            points(&routes.frozen),
            points(&routes.shuffled),
            points(&routes.uniform),
            layers.join(", "),
        ]));
    }
}

/// How long each entrant takes to an accuracy.
fn time(findings: &Findings, text: &mut String) {
    let Some(target) = findings.target else { return };
    let reached: Vec<String> = findings
        .entrants
        .iter()
        .filter_map(|entrant| {
            let (seconds, runs) = entrant.to_target?;
            let all = entrant.last.as_ref().map_or(0, |last| last.runs);
            let of = if runs < all { format!(" ({runs} of {all} runs)") } else { String::new() };
            Some(format!("{} {seconds:.0} s{of}", entrant.name))
        })
        .collect();
    if !reached.is_empty() {
        text.push_str(&format!(
            "\nSeconds of training steps to {} of the validation images: {}.\n",
            percent(target),
            reached.join(", ")
        ));
    }
}

fn line<const N: usize>(cells: [String; N]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{} {what}s", thousands(number as u64)) }
}
