//! Paths computed jointly give what they give by themselves.

use mp_blocks::{
    Branch, ConvBlockConfig, CrossingConfig, DenseBlockConfig, DenseLayerConfig, DenseSteps, Execution,
    GatherExciteConfig, PathsConfig, PlainConvConfig, PreActivationConfig, Recalibration, ResNeStConfig,
    ResidualConfig, Shape, SharedBlock, TransitionConfig,
};
use mp_nn::{Device, Kind, Store, Tensor, WeightInit};
use mp_routing::{Form, MixerConfig, Pass};

/// The outputs of a layer and the gradients of all its parameters, in float64.
fn run(config: &PathsConfig, xs: &[Tensor]) -> Vec<Tensor> {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 3);
    let layer = config.build(Shape::square(4, 6), &store.root(), "layer").unwrap();
    let mut ys = layer.forward(xs, &mut Pass::train());
    let loss: Tensor = ys.iter().map(|y| y.square().sum(Kind::Double)).sum();
    loss.backward();
    ys.extend(store.parameters().iter().map(|parameter| parameter.tensor.grad()));
    ys
}

fn maps(paths: usize, channels_last: bool) -> Vec<Tensor> {
    let map = |path: usize| {
        let x = (Tensor::arange(2 * 4 * 6 * 6, (Kind::Double, Device::Cpu)) * 0.7 + path as f64).sin();
        if channels_last { x.view([2, 6, 6, 4]).permute([0, 3, 1, 2]) } else { x.view([2, 4, 6, 6]) }
    };
    (0..paths).map(map).collect()
}

/// Blocks whose entry reads their input.
fn blocks() -> Vec<SharedBlock> {
    let gather = Some(Recalibration::GatherExcite(GatherExciteConfig::plus(None)));
    vec![
        ConvBlockConfig::new(6).into(),
        ResidualConfig::basic(6, 2).into(),
        ResidualConfig::bottleneck(2, 1).into(),
        ResidualConfig { recalibration: gather, ..ResidualConfig::basic(6, 2) }.into(),
        PlainConvConfig::bare(6, 3).into(),
        PlainConvConfig { pieces: 2, ..PlainConvConfig::new(6, 3) }.into(),
        ResNeStConfig::new(2, 2).into(),
    ]
}

/// Blocks whose entry reads what a norm of their own gives.
fn normed_blocks() -> Vec<SharedBlock> {
    let basic = Branch::Basic { channels: 6 };
    let gather = Some(Recalibration::GatherExcite(GatherExciteConfig::plus(None)));
    vec![
        PreActivationConfig { recalibration: gather, ..PreActivationConfig::new(basic, 2) }.into(),
        PreActivationConfig::new(Branch::bottleneck(1), 1).into(),
        DenseLayerConfig::new(3, DenseSteps::Single).into(),
        DenseLayerConfig::new(3, DenseSteps::Bottleneck(4)).into(),
        TransitionConfig { out_channels: 3, init: WeightInit::KaimingNormalFanOut }.into(),
    ]
}

fn assert_same(separate: &[Tensor], joint: &[Tensor]) {
    assert_eq!(separate.len(), joint.len());
    for (a, b) in separate.iter().zip(joint) {
        assert!(a.allclose(b, 1e-9, 1e-9, false), "{a}, {b}");
    }
}

#[test]
fn grouped_paths_are_the_paths_by_themselves() {
    let blocks = blocks().into_iter().chain(normed_blocks());
    for (block, channels_last) in blocks.flat_map(|block| [(block.clone(), false), (block, true)]) {
        let separate = PathsConfig::new(block, 3);
        let grouped = PathsConfig { execution: Execution::Grouped, ..separate.clone() };
        let xs = maps(3, channels_last);
        assert_same(&run(&separate, &xs), &run(&grouped, &xs));
    }
}

#[test]
fn stacked_paths_of_one_input_are_the_paths_by_themselves() {
    for block in blocks() {
        let separate = PathsConfig::new(block, 3);
        let stacked = PathsConfig { execution: Execution::Stacked, ..separate.clone() };
        let x = maps(1, true).remove(0);
        let xs = [0, 1, 2].map(|_| x.shallow_clone());
        assert_same(&run(&separate, &xs), &run(&stacked, &xs));
    }
}

#[test]
fn joint_paths_count_the_same_multiply_adds() {
    let count = |execution| {
        let store = Store::new(Device::Cpu, 0);
        let config = PathsConfig { execution, ..PathsConfig::new(blocks()[1].clone(), 3) };
        let layer = config.build(Shape::square(4, 6), &store.root(), "layer").unwrap();
        let xs = maps(3, true).iter().map(|x| x.to_kind(Kind::Float)).collect::<Vec<_>>();
        store.meter().measure(|| layer.forward(&xs, &mut Pass::eval())).1
    };
    assert_eq!(count(Execution::Separate), count(Execution::Grouped));
}

#[test]
#[should_panic(expected = "stacked convolutions of paths that have one input")]
fn stacked_paths_of_different_inputs_are_refused() {
    run(&PathsConfig { execution: Execution::Stacked, ..PathsConfig::new(blocks()[0].clone(), 2) }, &maps(2, true));
}

#[test]
fn entries_that_are_no_convolutions_are_refused() {
    let dense = PathsConfig::new(DenseBlockConfig { out_features: 4, dropout: 0.0 }, 2);
    let crossing = CrossingConfig::Prediction(MixerConfig::default().into(), Form::Auto);
    let predicted = PathsConfig { crossing, ..PathsConfig::new(blocks()[0].clone(), 2) };
    for (config, input) in [(dense, Shape::Vector(4)), (predicted, Shape::square(4, 6))] {
        let store = Store::new(Device::Cpu, 0);
        let config = PathsConfig { execution: Execution::Grouped, ..config };
        let message = config.build(input, &store.root(), "dense").err().map(|error| error.to_string());
        assert_eq!(
            message.as_deref(),
            Some(
                "paths of the layer `dense`: expected `separate`, found `grouped`: their first layers are no convolutions \
                 of their own"
            )
        );
    }
}
