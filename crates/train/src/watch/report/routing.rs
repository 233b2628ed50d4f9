//! Routing layers as tables of coloured cells.

use mp_data::Line;
use mp_routing::LayerStatistics;
use serde::Serialize;

use super::cells::{Row, cell};
use crate::folder::RoutingRecord;

/// A class's mean gate that is this far from the mean over all classes has the full colour. The scale is fixed, so that
/// layers and runs can be compared by eye and noise stays pale.
const FULL_COLOUR: f64 = 0.25;
/// Of more classes than this, those whose gates deviate most are shown.
const MOST_CLASSES: usize = 100;

/// A routing layer as the template draws it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Layer {
    name: String,
    sources: usize,
    targets: usize,
    samples: u64,
    mutual_information: f64,
    mean_entropy: f64,
    entropy_of_mean: f64,
    utilisation: Vec<Row>,
    connections: Vec<String>,
    by_class: Vec<Row>,
    hidden_classes: usize,
}

/// The layers of a record, in the order of the network.
pub(super) fn layers(record: &RoutingRecord) -> Vec<Layer> {
    record.layers.iter().map(|layer| of_layer(layer, &record.classes)).collect()
}

fn of_layer(layer: &LayerStatistics, classes: &[String]) -> Layer {
    let utilisation = layer.utilisation.iter().zip(1..).map(|(weights, source)| Row {
        name: format!("from {source}"),
        cells: weights.iter().map(|&weight| cell(format!("{weight:.2}"), weight)).collect(),
    });
    let connections = (1..=layer.sources).flat_map(|i| (1..=layer.targets).map(move |j| format!("{i} → {j}")));
    let means: Vec<f64> = layer.utilisation.iter().flatten().copied().collect();

    let mut rows: Vec<(f64, Row)> = Vec::new();
    for (index, gates) in layer.by_class.iter().enumerate() {
        if layer.class_samples.get(index) == Some(&0) {
            continue;
        }
        let gates: Vec<f64> = gates.iter().flatten().copied().collect();
        let deviations = gates.iter().zip(&means).map(|(gate, mean)| gate - mean);
        let furthest = deviations.clone().fold(0.0_f64, |most, deviation| most.max(deviation.abs()));
        let of_gate = |(gate, deviation): (&f64, f64)| cell(format!("{gate:.2}"), deviation / FULL_COLOUR);
        let cells = gates.iter().zip(deviations).map(of_gate);
        let name = classes.get(index).map_or_else(|| index.to_string(), |class| Line(class).to_string());
        rows.push((furthest, Row { name, cells: cells.collect() }));
    }
    let hidden_classes = rows.len().saturating_sub(MOST_CLASSES);
    if hidden_classes > 0 {
        rows.sort_by(|a, b| b.0.total_cmp(&a.0));
        rows.truncate(MOST_CLASSES);
    }
    Layer {
        name: layer.name.clone(),
        sources: layer.sources,
        targets: layer.targets,
        samples: layer.samples,
        mutual_information: layer.mutual_information,
        mean_entropy: layer.mean_entropy,
        entropy_of_mean: layer.entropy_of_mean,
        utilisation: utilisation.collect(),
        connections: connections.collect(),
        by_class: rows.into_iter().map(|(_, row)| row).collect(),
        hidden_classes,
    }
}

#[cfg(test)]
mod tests {
    use mp_routing::Normalisation;

    use super::*;

    fn record(by_class: &[[f64; 2]]) -> RoutingRecord {
        let layer = LayerStatistics {
            name: "stage2".to_owned(),
            sources: 1,
            targets: 2,
            normalisation: Normalisation::Targets,
            samples: 4,
            utilisation: vec![vec![0.5, 0.5]],
            entropy_of_mean: 0.69,
            mean_entropy: 0.5,
            mutual_information: 0.19,
            class_samples: vec![1; by_class.len()],
            by_class: by_class.iter().map(|gates| vec![gates.to_vec()]).collect(),
        };
        let classes = (0..by_class.len()).map(|class| format!("class {class}")).collect();
        RoutingRecord { classes, layers: vec![layer] }
    }

    #[test]
    fn a_class_is_coloured_by_its_distance_from_the_mean() {
        let layer = layers(&record(&[[0.6, 0.4], [0.5, 0.5]])).remove(0);
        assert_eq!(layer.connections, ["1 → 1", "1 → 2"]);
        // 0.6 is 0.1 above the mean of 0.5, and 0.25 would be the full colour.
        assert_eq!(layer.by_class[0].cells, [cell("0.60".to_owned(), 0.4), cell("0.40".to_owned(), -0.4)]);
        assert_eq!(layer.by_class[1].cells[0], cell("0.50".to_owned(), 0.0));
    }

    #[test]
    fn classes_without_images_are_left_out() {
        let mut record = record(&[[0.6, 0.4], [0.0, 0.0]]);
        record.layers[0].class_samples = vec![4, 0];
        let layer = layers(&record).remove(0);
        assert_eq!(layer.by_class.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["class 0"]);
    }

    #[test]
    fn of_many_classes_the_most_deviating_stay() {
        let mut gates = [[0.5, 0.5]; 103];
        gates[102] = [0.9, 0.1];
        let layer = layers(&record(&gates)).remove(0);
        assert_eq!((layer.by_class.len(), layer.hidden_classes), (100, 3));
        assert_eq!(layer.by_class[0].name, "class 102");
    }
}
