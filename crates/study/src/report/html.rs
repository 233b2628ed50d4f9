//! The report as one page that needs no network.

use minijinja::{Environment, context};
use serde::Serialize;

use super::percent;
use super::picture::Picture;
use super::table::{HEADS, row};
use crate::{Error, Findings};

const TEMPLATE: &str = include_str!("template.html");

/// The page.
pub(super) fn page(findings: &Findings, pictures: &[Picture], command: &str) -> Result<String, Error> {
    let rows: Vec<Vec<String>> = findings
        .entrants
        .iter()
        .map(|entrant| row(findings, entrant).map(|cell| cell.replace("**", "")).to_vec())
        .collect();
    let shown: Vec<bool> = findings
        .entrants
        .iter()
        .map(|entrant| entrant.difference.is_some_and(|difference| difference.is_shown()))
        .collect();
    let (all, there) = findings.runs;
    let mut environment = Environment::new();
    environment.add_template("report.html", TEMPLATE)?;
    Ok(environment.get_template("report.html")?.render(context! {
        study => findings.study,
        data => findings.data,
        epochs => findings.epochs,
        seeds => findings.seeds,
        valid_split => findings.valid_split,
        reference => findings.reference,
        missing => all - there,
        all => all,
        heads => HEADS,
        rows => rows.into_iter().zip(shown).collect::<Vec<_>>(),
        pictures => pictures.iter().map(|picture| (picture.title.clone(), picture.svg.clone())).collect::<Vec<_>>(),
        routes => routes(findings),
        classes => classes(findings),
        entrants => findings.entrants.iter().map(|entrant| entrant.name.clone()).collect::<Vec<_>>(),
        command => command,
        version => env!("CARGO_PKG_VERSION"),
    })?)
}

#[derive(Serialize)]
struct Routed {
    entrant: String,
    /// Points lost with frozen, shuffled and even routes.
    falls: [String; 3],
    /// Each layer, its information in nats, and the share of the least used path.
    layers: Vec<(String, String, String)>,
}

fn routes(findings: &Findings) -> Vec<Routed> {
    let points = |fall: Option<crate::statistics::Estimate>| {
        fall.map_or_else(|| "–".to_owned(), |fall| format!("{:.2}", 100.0 * fall.mean))
    };
    let of = |entrant: &crate::EntrantFindings| {
        let routes = entrant.routes.as_ref()?;
        Some(Routed {
            entrant: entrant.name.clone(),
            falls: [routes.frozen, routes.shuffled, routes.uniform].map(points),
            layers: routes
                .layers
                .iter()
                .map(|(name, information, least)| {
                    (name.clone(), format!("{information:.3}"), format!("{:.0}%", 100.0 * least))
                })
                .collect(),
        })
    };
    findings.entrants.iter().filter_map(of).collect()
}

/// Each class: the reference's accuracy, then by how many points each entrant differs.
fn classes(findings: &Findings) -> Vec<(String, Vec<String>)> {
    let Some(reference) = findings.entrants.iter().find(|entrant| entrant.name == findings.reference) else {
        return Vec::new();
    };
    reference
        .classes
        .iter()
        .map(|(class, accuracy)| {
            let cells = findings.entrants.iter().map(|entrant| {
                let own = entrant.classes.iter().find(|(name, _)| name == class).map(|(_, accuracy)| accuracy);
                match own {
                    Some(own) if entrant.name != findings.reference => format!("{:+.2}", 100.0 * (own - accuracy)),
                    Some(own) => percent(*own),
                    None => "–".to_owned(),
                }
            });
            (class.clone(), cells.collect())
        })
        .collect()
}
