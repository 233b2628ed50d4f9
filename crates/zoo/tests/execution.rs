//! How the paths of each layer are computed changes nothing but the time.

use std::collections::BTreeMap;

use mp_blocks::Execution;
use mp_nn::{Device, Kind, Mode, Store, Tensor};
use mp_routing::Split;
use mp_zoo::{InputSize, ModelOptions, RoutingConfig, build, layers};

const INPUT: InputSize = InputSize { channels: 3, size: 16, classes: 10 };

fn options(execution: &[(&str, Execution)]) -> ModelOptions {
    let execution: BTreeMap<String, Execution> = execution.iter().map(|(at, way)| ((*at).to_owned(), *way)).collect();
    ModelOptions::routed(INPUT, RoutingConfig { execution, ..Default::default() })
}

fn logits(name: &str, options: &ModelOptions) -> Tensor {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 1);
    let model = build(name, options, &store.root()).unwrap();
    let images = (Tensor::arange(2 * 3 * 16 * 16, (Kind::Double, Device::Cpu)) * 0.37).sin().view([2, 3, 16, 16]);
    model.forward(&images, Mode::Train).logits().shallow_clone()
}

#[test]
fn every_way_gives_the_same_logits() {
    for name in ["resnet20_w4_x3_cc", "resnet20_w4_x2", "resnet20_w4_x2_cp"] {
        let separate = logits(name, &options(&[]));
        let stage1 = if name.ends_with("cp") { "stage1.1" } else { "stage1" };
        let joint =
            options(&[("stem", Execution::Stacked), (stage1, Execution::Grouped), ("stage2.1", Execution::Grouped)]);
        assert!(logits(name, &joint).allclose(&separate, 1e-9, 1e-9, false), "{name}");
    }
}

#[test]
fn layers_say_how_they_can_be_computed() {
    let layers = layers("resnet20_w4_x3_cp", &options(&[("stem", Execution::Stacked)])).unwrap();
    let found: Vec<(&str, i64, usize)> =
        layers.iter().map(|layer| (layer.position.as_str(), layer.input.extent().0, layer.ways.len())).collect();
    // The stem's paths have one input; a cross-prediction takes the place of the stages' first convolutions.
    assert_eq!(found[..3], [("stem", 16, 3), ("stage1", 16, 1), ("stage1.1", 16, 2)]);
    assert_eq!((found.len(), found[9]), (10, ("stage3.2", 4, 2)));
    assert_eq!(layers[0].paths.execution, Execution::Stacked);
    assert!(mp_zoo::layers("resnet20_w4", &options(&[])).unwrap().is_empty());
}

#[test]
fn ways_that_a_block_does_not_have_are_refused_in_one_line() {
    let message = |name: &str, options: &ModelOptions| {
        let store = Store::new(Device::Cpu, 0);
        build(name, options, &store.root()).err().unwrap().to_string()
    };
    assert_eq!(
        message("resnet20_w4_x3_cc", &options(&[("stage2", Execution::Stacked)])),
        "`resnet20_w4_x3_cc` cannot compute the paths of `stage2` `stacked`: expected separate or grouped"
    );
    assert_eq!(
        message("base_cnn_w4_x2", &options(&[("stage9", Execution::Grouped)])),
        "`base_cnn_w4_x2` cannot compute the paths of `stage9` `grouped`: expected a block of stage1, stage2, stage3, dense"
    );
    let gated = ModelOptions {
        routing: RoutingConfig { split: Split::Gated, ..options(&[("stem", Execution::Stacked)]).routing },
        ..options(&[])
    };
    assert_eq!(
        message("resnet20_w4_x3_cc", &gated),
        "`resnet20_w4_x3_cc` cannot compute the paths of `stem` `stacked`: expected separate or grouped"
    );
}
