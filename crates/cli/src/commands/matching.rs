//! `mp-train models --match`: for every family the size that comes nearest to a model's cost.

use anyhow::{Context, bail};
use mp_train::Spec;
use mp_train::bench::{self, Benchmark};
use mp_zoo::{Cost, Family, InputSize, ModelName, ModelOptions, cost_of, families, nearest_size};
use serde::Serialize;

use crate::args::{By, Models};
use crate::output::{self, Align, Table, short, thousands};

/// Images of a training step when milliseconds are matched, and how often each pair of models takes its turns.
const BATCH: usize = 32;
const ROUNDS: usize = 5;

#[derive(Serialize)]
struct Matched {
    name: String,
    #[serde(flatten)]
    cost: Cost,
    /// Its cost over that of the model that it is matched to.
    ratio: f64,
}

#[derive(Serialize)]
struct Answer {
    input: InputSize,
    matched: Vec<Matched>,
    /// Families that do not take such images.
    left_out: Vec<&'static str>,
}

pub(crate) fn run(args: &Models, to: &Spec) -> anyhow::Result<()> {
    let input = to.name.parse::<ModelName>()?.family.native;
    let options = ModelOptions::new(input);
    let reference = cost_of(&to.name, &ModelOptions::routed(input, to.routing.clone()))?;
    let pattern = args.pattern.as_deref().unwrap_or_default();
    let chosen: Vec<_> = families().into_iter().filter(|family| family.name.contains(pattern)).collect();
    if chosen.is_empty() {
        bail!("no family's name contains `{pattern}`; `mp-train models` lists them all");
    }
    let mut answer = Answer { input, matched: Vec::new(), left_out: Vec::new() };
    answer.matched.push(Matched { name: to.to_string(), cost: reference, ratio: 1.0 });
    for family in chosen {
        // The knob's least is the first that is asked for: a family that cannot take the images is known by it.
        let least = ModelName { family, size: Some(family.knob.least), variant: mp_zoo::Variant::Single }.to_string();
        match cost_of(&least, &options) {
            Ok(_) => answer.matched.push(nearest(family, args.by, to, &reference, &options)?),
            Err(mp_zoo::Error::Input { .. }) => answer.left_out.push(family.name),
            Err(error) => return Err(error.into()),
        }
    }
    if args.json { output::json(&answer) } else { print(&answer, args.by) }
}

fn nearest(
    family: &'static Family,
    by: By,
    to: &Spec,
    reference: &Cost,
    options: &ModelOptions,
) -> anyhow::Result<Matched> {
    let (name, ratio) = match by {
        By::Parameters => {
            let goal = reference.parameters as f64;
            let (name, cost) = nearest_size(family, goal, |name| Ok(cost_of(name, options)?.parameters as f64))?;
            (name, cost / goal)
        }
        By::MultiplyAdds => {
            let goal = reference.multiply_adds as f64;
            let (name, cost) = nearest_size(family, goal, |name| Ok(cost_of(name, options)?.multiply_adds as f64))?;
            (name, cost / goal)
        }
        By::Ms => {
            let mut failed = None;
            let found = nearest_size(family, 1.0, |name| {
                // After a failure the search only has to end.
                let ratio = if failed.is_some() { Ok(1.0) } else { time_over(to, name) };
                Ok(ratio.unwrap_or_else(|error| {
                    failed = Some(error);
                    1.0
                }))
            })?;
            if let Some(error) = failed {
                return Err(error).with_context(|| format!("cannot time {}", family.name));
            }
            found
        }
    };
    Ok(Matched { cost: cost_of(&name, options)?, name, ratio })
}

/// The time of a training step of the model `name` over that of `to`, in turns.
fn time_over(to: &Spec, name: &str) -> anyhow::Result<f64> {
    let models = vec![to.clone(), name.parse()?];
    let benchmark = Benchmark { models, batch: BATCH, rounds: ROUNDS, ..Benchmark::default() };
    Ok(bench::run(&benchmark, &mut |_| {})?.models[1].ratio_to_first)
}

fn print(answer: &Answer, by: By) -> anyhow::Result<()> {
    let of = match by {
        By::Parameters => "of its parameters",
        By::MultiplyAdds => "of its multiply-adds",
        By::Ms => "of its ms",
    };
    let columns =
        [("model", Align::Left), ("parameters", Align::Right), ("multiply-adds", Align::Right), (of, Align::Right)];
    let mut table = Table::new(&columns);
    for Matched { name, cost, ratio } in &answer.matched {
        table.row([name.clone(), thousands(cost.parameters), short(cost.multiply_adds), format!("{ratio:.3}")]);
    }
    table.print()?;
    let InputSize { channels, size, .. } = answer.input;
    if !answer.left_out.is_empty() {
        let left_out = answer.left_out.join(", ");
        output::text(&format!("Left out, as they do not take images of {channels}x{size}x{size}: {left_out}"))?;
    }
    Ok(())
}
