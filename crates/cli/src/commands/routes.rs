//! `mp-train routes`.

use anyhow::bail;
use mp_routing::LayerStatistics;
use mp_train::RunFolder;
use mp_train::folder::RoutingRecord;

use crate::args::Routes;
use crate::output::{self, Align, Table};

pub(crate) fn run(args: &Routes) -> anyhow::Result<()> {
    let folder = RunFolder::open(&args.run)?;
    let Some(record) = folder.routes()? else {
        let model = folder.recipe()?.model.name;
        bail!("{}: no routes: `{model}` routes nothing, or no epoch is complete yet", args.run.display());
    };
    if args.json {
        return output::json(&record);
    }
    of_layers(&record).print()?;
    for layer in &record.layers {
        output::text(&format!("\n{}: mean gate from each source path (row) to each target path (column)", layer.name))?;
        utilisation(layer).print()?;
        if args.classes {
            output::text(&format!("\n{}: mean gates of each class", layer.name))?;
            by_class(layer, &record.classes).print()?;
        }
    }
    output::text("\nMutual information of input and route in nats: 0 means that the gates ignore the input.")
}

fn of_layers(record: &RoutingRecord) -> Table {
    let mut table = Table::new(&[
        ("layer", Align::Left),
        ("paths", Align::Left),
        ("mutual information", Align::Right),
        ("entropy of mean", Align::Right),
        ("mean entropy", Align::Right),
        ("images", Align::Right),
    ]);
    for layer in &record.layers {
        table.row([
            layer.name.clone(),
            format!("{} to {}", layer.sources, layer.targets),
            format!("{:.4}", layer.mutual_information),
            format!("{:.4}", layer.entropy_of_mean),
            format!("{:.4}", layer.mean_entropy),
            layer.samples.to_string(),
        ]);
    }
    table
}

fn utilisation(layer: &LayerStatistics) -> Table {
    let targets: Vec<String> = (1..=layer.targets).map(|target| format!("to {target}")).collect();
    let mut columns = vec![("", Align::Left)];
    columns.extend(targets.iter().map(|name| (name.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for (weights, source) in layer.utilisation.iter().zip(1..) {
        table.row(std::iter::once(format!("from {source}")).chain(weights.iter().map(|gate| format!("{gate:.3}"))));
    }
    table
}

fn by_class(layer: &LayerStatistics, classes: &[String]) -> Table {
    let pairs = (1..=layer.sources).flat_map(|i| (1..=layer.targets).map(move |j| format!("{i}->{j}")));
    let names: Vec<String> = pairs.collect();
    let mut columns = vec![("class", Align::Left)];
    columns.extend(names.iter().map(|name| (name.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for (gates, name) in layer.by_class.iter().zip(classes) {
        table.row(std::iter::once(name.clone()).chain(gates.iter().flatten().map(|gate| format!("{gate:.3}"))));
    }
    table
}
