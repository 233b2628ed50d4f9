//! `mp-train models`.

use anyhow::bail;
use mp_train::Spec;
use mp_zoo::{Cost, InputSize, ModelInfo, ModelName, ModelOptions};
use serde::Serialize;

use super::matching;
use crate::args::Models;
use crate::output::{self, Align, Table, short, thousands};

#[derive(Serialize)]
struct Listed {
    name: String,
    #[serde(flatten)]
    cost: Cost,
    input: InputSize,
    summary: String,
}

pub(crate) fn run(args: &Models) -> anyhow::Result<()> {
    if let Some(to) = &args.to {
        return matching::run(args, to);
    }
    let listed = find(args.pattern.as_deref().unwrap_or_default())?;
    if args.json {
        return output::json(&listed);
    }
    let mut table = Table::new(&[
        ("model", Align::Left),
        ("parameters", Align::Right),
        ("multiply-adds", Align::Right),
        ("image", Align::Right),
        ("", Align::Left),
    ]);
    for Listed { name, cost, input, summary } in listed {
        let image = format!("{}x{}x{}", input.channels, input.size, input.size);
        table.row([name, thousands(cost.parameters), short(cost.multiply_adds), image, summary]);
    }
    table.print()
}

/// The model that the pattern names in full, listed or not, and the listed ones whose names contain it.
fn find(pattern: &str) -> anyhow::Result<Vec<Listed>> {
    let matching = mp_zoo::models().into_iter().filter(|model| model.name.contains(pattern));
    let mut listed = matching.map(counted).collect::<anyhow::Result<Vec<_>>>()?;
    if listed.iter().any(|model| model.name == pattern) {
        return Ok(listed);
    }
    match named(pattern) {
        Ok(model) => listed.insert(0, model),
        Err(_) if !listed.is_empty() => {}
        Err(error) => bail!("no listed model contains `{pattern}`, and {error}; `mp-train models` lists them all"),
    }
    Ok(listed)
}

/// A model that need not be listed, with its routing if need be.
fn named(text: &str) -> Result<Listed, mp_train::Error> {
    let Spec { name, routing, .. } = text.parse()?;
    let input = name.parse::<ModelName>()?.family.native;
    let cost = mp_zoo::cost_of(&name, &ModelOptions::routed(input, routing))?;
    Ok(Listed { name: text.to_owned(), cost, input, summary: "not listed".to_owned() })
}

fn counted(model: ModelInfo) -> anyhow::Result<Listed> {
    let ModelInfo { name, summary, native: input } = model;
    Ok(Listed { cost: mp_zoo::cost_of(&name, &ModelOptions::new(input))?, name, input, summary })
}
