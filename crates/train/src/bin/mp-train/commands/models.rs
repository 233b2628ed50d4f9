//! `mp-train models`.

use anyhow::bail;
use mp_zoo::{Cost, InputSize, ModelInfo, ModelOptions};
use serde::Serialize;

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
    let pattern = args.pattern.as_deref().unwrap_or_default();
    let matching: Vec<ModelInfo> = mp_zoo::models().into_iter().filter(|model| model.name.contains(pattern)).collect();
    if matching.is_empty() {
        bail!("no listed model contains `{pattern}`: `mp-train models` lists them all");
    }
    let listed = matching.into_iter().map(counted).collect::<anyhow::Result<Vec<_>>>()?;
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

fn counted(model: ModelInfo) -> anyhow::Result<Listed> {
    let ModelInfo { name, summary, native: input } = model;
    Ok(Listed { cost: mp_zoo::cost_of(&name, &ModelOptions::new(input))?, name, input, summary })
}
