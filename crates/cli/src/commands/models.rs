//! `mp-train models`.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::thread;

use anyhow::bail;
use mp_train::Spec;
use mp_zoo::{Cost, InputSize, ModelInfo, ModelName, ModelOptions, families};
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
        let (all, always) = (short(cost.multiply_adds), short(cost.always));
        let multiply_adds = if cost.always == cost.multiply_adds { all } else { format!("{always} to {all}") };
        table.row([name, thousands(cost.parameters), multiply_adds, image, summary]);
    }
    table.print()
}

/// The model that the pattern names in full, listed or not, and the listed ones whose names contain it. Without a pattern the
/// networks of the families alone: their forms would be over a thousand.
fn find(pattern: &str) -> anyhow::Result<Vec<Listed>> {
    let bases: HashSet<&str> = families().into_iter().map(|family| family.name).collect();
    let wanted = |model: &ModelInfo| match pattern {
        "" => bases.contains(model.name.as_str()),
        pattern => model.name.contains(pattern),
    };
    let mut listed = counted(mp_zoo::models().into_iter().filter(wanted).collect())?;
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

/// Models with their costs, counted on all cores: deep networks take a tenth of a second each.
fn counted(models: Vec<ModelInfo>) -> anyhow::Result<Vec<Listed>> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = models.len().div_ceil(threads).max(1);
    let count = |ModelInfo { name, summary, native: input }: &ModelInfo| -> anyhow::Result<Listed> {
        let cost = mp_zoo::cost_of(name, &ModelOptions::new(*input))?;
        Ok(Listed { name: name.clone(), cost, input: *input, summary: summary.clone() })
    };
    let count = &count;
    let shares = thread::scope(|scope| {
        let spawned: Vec<_> = models
            .chunks(share)
            .map(|share| scope.spawn(move || share.iter().map(count).collect::<Vec<_>>()))
            .collect();
        spawned.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect::<Vec<_>>()
    });
    shares.into_iter().flatten().collect()
}
