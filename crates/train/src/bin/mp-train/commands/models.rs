//! `mp-train models`.

use anyhow::bail;
use mp_zoo::{Cost, InputSize, ModelInfo, ModelOptions};
use serde::Serialize;

use crate::args::Models;
use crate::output::{self, Align, Table, short, thousands};

#[derive(Serialize)]
struct Listed {
    name: String,
    input: InputSize,
    summary: String,
    /// Counting means to build the model and to pass an image through it: seconds for a large one, so that only the models
    /// that were asked for by a pattern are counted.
    #[serde(flatten)]
    cost: Option<Cost>,
}

pub(crate) fn run(args: &Models) -> anyhow::Result<()> {
    let models = mp_zoo::models().into_iter();
    let listed = match &args.pattern {
        None => models
            .map(|ModelInfo { name, summary, native }| Listed { name, input: native, summary, cost: None })
            .collect(),
        Some(pattern) => {
            let matching: Vec<ModelInfo> = models.filter(|model| model.name.contains(pattern)).collect();
            if matching.is_empty() {
                bail!("no listed model contains `{pattern}`: `mp-train models` lists them all");
            }
            matching.into_iter().map(counted).collect::<anyhow::Result<Vec<_>>>()?
        }
    };
    if args.json {
        return output::json(&listed);
    }
    let mut columns = vec![("model", Align::Left), ("image", Align::Right), ("", Align::Left)];
    if args.pattern.is_some() {
        columns.splice(1..1, [("parameters", Align::Right), ("multiply-adds", Align::Right)]);
    }
    let mut table = Table::new(&columns);
    for Listed { name, input, summary, cost } in listed {
        let counts = cost.map(|cost| [thousands(cost.parameters), short(cost.multiply_adds)]);
        let image = format!("{}x{}x{}", input.channels, input.size, input.size);
        table.row([name].into_iter().chain(counts.into_iter().flatten()).chain([image, summary]));
    }
    table.print()
}

fn counted(model: ModelInfo) -> anyhow::Result<Listed> {
    let ModelInfo { name, summary, native: input } = model;
    let store = mp_nn::Store::new(Device::Cpu, 0);
    let built = mp_zoo::build(&name, &ModelOptions::new(input), &store.root())?;
    Ok(Listed { cost: Some(mp_zoo::cost(&store, &built, input)), name, input, summary })
}
