//! `mp-train routes`.

use anyhow::bail;
use mp_routing::LayerStatistics;
use mp_train::RunFolder;
use mp_train::apply::Judge;
use mp_train::checkpoint::Which;
use mp_train::evaluate::RouteWorth;
use mp_train::folder::RoutingRecord;
use mp_train::split::ValidSplit;
use serde::Serialize;

use crate::args::Routes;
use crate::output::{self, Align, Table, thousands};

/// What decides which image takes whose routes; `eval --routes shuffled` has the same by default.
const SEED: u64 = 1;

pub(crate) fn run(args: &Routes) -> anyhow::Result<()> {
    let folder = RunFolder::open(&args.run)?;
    let Some(record) = folder.routes()? else {
        let model = folder.recipe()?.model.name;
        bail!("{}: no routes: `{model}` routes nothing, or no epoch is complete yet", args.run.display());
    };
    let worth = args.worth.then(|| worth(args, &folder)).transpose()?;
    if args.json {
        return output::json(&Shown { record, worth });
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
    output::text("\nMutual information of input and route in nats: 0 means that the gates ignore the input.")?;
    let Some(worth) = worth else { return Ok(()) };
    let images = thousands(worth.accuracies.images);
    output::text(&format!(
        "\nAccuracy of the last checkpoint on {images} {} images by the routes they take",
        worth.split
    ))?;
    by_routes(&worth.accuracies).print()
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    record: RoutingRecord,
    #[serde(skip_serializing_if = "Option::is_none")]
    worth: Option<Worth>,
}

#[derive(Serialize)]
struct Worth {
    split: ValidSplit,
    #[serde(flatten)]
    accuracies: RouteWorth,
}

fn worth(args: &Routes, folder: &RunFolder) -> anyhow::Result<Worth> {
    let data = args.data.clone().map_or_else(|| Ok(folder.recipe()?.data.name), Ok::<_, anyhow::Error>)?;
    let cache = args.data_dir.clone().resolve_for(&data)?;
    let judge = Judge::of_run(folder, Which::Last, args.data.as_deref(), &cache, args.on.device.device()?)?;
    let split = args.split.into();
    Ok(Worth { split: judge.images_of(split), accuracies: judge.worth_of_routes(split, SEED)? })
}

fn by_routes(worth: &RouteWorth) -> Table {
    let columns =
        [("routes", Align::Left), ("accuracy", Align::Right), ("points lost", Align::Right), ("", Align::Left)];
    let mut table = Table::new(&columns);
    for (name, accuracy, meaning) in [
        ("own", worth.own, "those of the image"),
        ("frozen", worth.frozen, "each layer's mean over all images"),
        ("shuffled", worth.shuffled, "those of another image"),
        ("uniform", worth.uniform, "all weights alike"),
    ] {
        let lost = 100.0 * (worth.own - accuracy);
        // Without the sign of a zero.
        let lost = if name == "own" { String::new() } else { format!("{:.2}", lost + 0.0) };
        table.row([name.to_owned(), format!("{:.2}%", 100.0 * accuracy), lost, meaning.to_owned()]);
    }
    table
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
