//! Layers of parallel paths: what must hold between the ways of joining them, and what a layer refuses.

use mp_blocks::{
    Branch, ChannelAttentionConfig, ConvBlockConfig, CrossingConfig, DenseBlockConfig, DenseLayerConfig, DenseSteps,
    Execution, Paths, PathsConfig, PlainConvConfig, PlainDenseConfig, Pool, Pooling, PreActivationConfig,
    Recalibration, ResNeStConfig, ResidualConfig, Shape, SharedBlock, TransitionConfig,
};
use mp_nn::{Activation, Device, Kind, LocalResponseNormConfig, Store, Tensor, WeightInit};
use mp_routing::{Form, MixerConfig, Pass};

fn pattern(shape: &[i64], phase: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + phase).sin().reshape(shape)
}

/// One of each kind, from 4 channels, with the shape of its input.
fn blocks() -> Vec<(SharedBlock, Shape)> {
    let maps = Shape::square(4, 8);
    let attention = Some(Recalibration::ChannelAttention(ChannelAttentionConfig::default()));
    vec![
        (ConvBlockConfig { pool: Pool::GlobalAverage, ..ConvBlockConfig::new(6) }.into(), maps),
        (ResidualConfig::basic(6, 2).into(), maps),
        (ResidualConfig::basic(4, 1).into(), maps),
        (ResidualConfig::bottleneck(2, 2).into(), maps),
        (DenseBlockConfig { out_features: 6, dropout: 0.0 }.into(), Shape::Vector(4)),
        (with_everything().into(), maps),
        (PlainConvConfig { norm: Some(1e-3), bias: false, ..PlainConvConfig::new(6, 3) }.into(), maps),
        (
            PlainDenseConfig { activation: Activation::Tanh, pieces: 2, ..PlainDenseConfig::new(6) }.into(),
            Shape::Vector(4),
        ),
        (ResidualConfig { recalibration: attention, ..ResidualConfig::basic(6, 2) }.into(), maps),
        (PlainConvConfig::bare(6, 3).into(), maps),
        (PreActivationConfig::new(Branch::Basic { channels: 6 }, 2).into(), maps),
        (PreActivationConfig::new(Branch::bottleneck(1), 1).into(), maps),
        (DenseLayerConfig::new(3, DenseSteps::Single).into(), maps),
        (DenseLayerConfig::new(3, DenseSteps::Bottleneck(4)).into(), maps),
        (TransitionConfig { out_channels: 3, init: WeightInit::KaimingNormalFanOut }.into(), maps),
        (ResNeStConfig::new(2, 2).into(), maps),
    ]
}

fn with_everything() -> PlainConvConfig {
    PlainConvConfig {
        stride: 2,
        activation: Activation::ScaledTanh,
        pieces: 2,
        response: Some(LocalResponseNormConfig::paper()),
        pools: vec![Pooling::max_ceil(3, 2), Pooling::Flatten],
        ..PlainConvConfig::new(6, 5)
    }
}

fn build(block: &SharedBlock, input: Shape, paths: usize, crossing: CrossingConfig) -> (Store, Paths) {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 1);
    let config = PathsConfig { block: block.clone(), paths, crossing, execution: Execution::Separate };
    let layer = config.build(input, &store.root(), "layer").unwrap();
    (store, layer)
}

fn forward(layer: &Paths, xs: &[Tensor]) -> Vec<Tensor> {
    layer.forward(xs, &mut Pass::train())
}

fn assert_same(a: &[Tensor], b: &[Tensor]) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.size(), b.size());
        let difference = (a - b).abs().max().double_value(&[]);
        assert!(difference < 1e-12, "largest difference {difference}");
    }
}

/// Copies the numbers of `from` to `to`, by the names that `rename` gives them in `to`.
fn copy_numbers(from: &Store, to: &Store, rename: impl Fn(&str) -> String) {
    let _no_grad = tch::no_grad_guard();
    let targets = to.entries();
    for source in from.entries() {
        let name = rename(&source.name);
        if let Some(target) = targets.iter().find(|t| t.name == name) {
            target.tensor.shallow_clone().copy_(&source.tensor);
        }
    }
}

#[test]
fn one_path_is_the_plain_block() {
    for (block, shape) in blocks() {
        let store = Store::with_kind(Device::Cpu, Kind::Double, 1);
        let plain = block.build(shape, &store.root()).unwrap();
        let (_, layer) = build(&block, shape, 1, CrossingConfig::None);
        let x = pattern(&shape.batch(3), 0.0);
        assert_same(&forward(&layer, &[x.shallow_clone()]), &[plain.forward(&x, &mut Pass::train())]);
    }
}

#[test]
fn one_path_predicted_with_weight_one_is_the_plain_block() {
    // A gate over a single target is 1, so the prediction is the block's own entry, once they share their numbers.
    for (block, shape) in blocks() {
        for form in [Form::Direct, Form::Gated] {
            let (plain_store, plain) = build(&block, shape, 1, CrossingConfig::None);
            let (store, predicted) =
                build(&block, shape, 1, CrossingConfig::Prediction(MixerConfig::default().into(), form));
            copy_numbers(&plain_store, &store, |name| match name.split_once('.') {
                Some(("dense1" | "conv1" | "conv", rest)) => format!("cross.target1.{rest}"),
                _ => format!("path1.{name}"),
            });
            let _no_grad = tch::no_grad_guard();
            for entry in store.entries().iter().filter(|e| e.name == "cross.target1.bias") {
                // The prediction's bias is [S, C']; a convolution's entry that a norm follows has none.
                let own = plain_store.entries().into_iter().find(|e| e.name == "dense1.bias" || e.name == "conv1.bias");
                let value = own.map_or_else(|| entry.tensor.zeros_like(), |e| e.tensor.unsqueeze(0));
                entry.tensor.shallow_clone().copy_(&value);
            }
            let x = pattern(&shape.batch(3), 0.0);
            assert_same(&forward(&predicted, &[x.shallow_clone()]), &forward(&plain, &[x]));
        }
    }
}

#[test]
fn identity_weights_are_independent_paths() {
    for (block, shape) in blocks() {
        let xs = [0.0, 1.0, 2.0].map(|phase| pattern(&shape.batch(3), phase));
        let (_, routed) = build(&block, shape, 3, CrossingConfig::Connection(MixerConfig::IDENTITY.into()));
        let (_, unrouted) = build(&block, shape, 3, CrossingConfig::None);
        assert_same(&forward(&routed, &xs), &forward(&unrouted, &xs));
    }
}

#[test]
fn uniform_weights_give_every_block_the_mean() {
    for (block, shape) in blocks() {
        let xs = [0.0, 1.0, 2.0].map(|phase| pattern(&shape.batch(3), phase));
        let mean = (&xs[0] + &xs[1] + &xs[2]) / 3.0;
        let (_, routed) = build(&block, shape, 3, CrossingConfig::Connection(MixerConfig::UNIFORM.into()));
        let (_, unrouted) = build(&block, shape, 3, CrossingConfig::None);
        let means = [0, 1, 2].map(|_| mean.shallow_clone());
        assert_same(&forward(&routed, &xs), &forward(&unrouted, &means));
    }
}

#[test]
fn permuting_sources_and_gates_permutes_nothing_but_their_order() {
    // Source 1 with gate 1 and source 2 with gate 2, or both exchanged: the sum over the sources is the same.
    for (block, shape) in blocks() {
        let xs = [0.0, 1.0].map(|phase| pattern(&shape.batch(3), phase));
        let swapped = [xs[1].shallow_clone(), xs[0].shallow_clone()];
        let (store, layer) = build(&block, shape, 2, CrossingConfig::Connection(MixerConfig::default().into()));
        let before = forward(&layer, &xs);
        let _no_grad = tch::no_grad_guard();
        for entry in store.entries().iter().filter(|e| e.name.starts_with("cross.gate")) {
            // The gates' parameters are stacked over the sources.
            entry.tensor.shallow_clone().copy_(&entry.tensor.flip([0]));
        }
        assert_same(&forward(&layer, &swapped), &before);
    }
}

#[test]
fn a_prediction_reaches_the_shortcut_by_the_same_weights() {
    // With all convolutions of the branch at zero what is left of the block is relu(sum_i g_ij X_i).
    let (block, shape) = (ResidualConfig::basic(4, 1).into(), Shape::square(4, 8));
    let (store, layer) =
        build(&block, shape, 2, CrossingConfig::Prediction(MixerConfig::default().into(), Form::Gated));
    let _no_grad = tch::no_grad_guard();
    for entry in store.entries().iter().filter(|e| e.name.contains("conv2")) {
        let _ = entry.tensor.shallow_clone().zero_();
    }
    let xs = [0.0, 1.0].map(|phase| pattern(&[3, 4, 8, 8], phase));
    let mut pass = Pass::eval();
    let ys = layer.forward(&xs, &mut pass);
    let mixed = mp_routing::mix(&xs, &pass.trace.layers[0].decision.weights);
    assert_same(&ys, &[mixed[0].relu(), mixed[1].relu()]);
}

#[test]
fn output_sizes_are_those_that_the_config_says() {
    for (block, shape) in blocks() {
        let (_, layer) = build(&block, shape, 2, CrossingConfig::None);
        let y = forward(&layer, &[pattern(&shape.batch(3), 0.0), pattern(&shape.batch(3), 1.0)])[1].size();
        assert_eq!(y, block.output(shape).unwrap().batch(3));
    }
}

#[test]
fn shapes_that_a_block_does_not_take_are_refused_in_one_line() {
    let message = |block: &SharedBlock, input| block.output(input).unwrap_err().to_string();
    let pooled: SharedBlock =
        ConvBlockConfig { pool: Pool::Max { kernel: 2, stride: 2, padding: 0 }, ..ConvBlockConfig::new(1) }.into();
    let too_small = "a pooling takes a map that its window fits, found features of 1x1x1";
    assert_eq!(message(&pooled, Shape::square(1, 1)), too_small);
    assert_eq!(message(&pooled, Shape::Vector(3)), "a convolution takes a map, found features of 3");
    let dense: SharedBlock = DenseBlockConfig { out_features: 6, dropout: 0.0 }.into();
    assert_eq!(message(&dense, Shape::square(2, 4)), "a dense layer takes a vector, found features of 2x4x4");
}

#[test]
#[should_panic(expected = "one tensor for each path")]
fn as_many_tensors_as_paths_are_needed() {
    let (block, shape) = blocks().remove(1);
    let (_, layer) = build(&block, shape, 2, CrossingConfig::None);
    forward(&layer, &[pattern(&shape.batch(3), 0.0)]);
}

#[test]
fn sizes_out_of_range_are_refused_with_their_place() {
    let store = Store::new(Device::Cpu, 0);
    let config = PathsConfig::new(ResidualConfig::basic(0, 1), 2);
    let error = config.build(Shape::square(4, 8), &(&store.root() / "stage1"), "stage1").err().unwrap();
    assert_eq!(error.to_string(), "out_channels of the convolution `stage1.path1.conv1`: expected at least 1, found 0");
}
