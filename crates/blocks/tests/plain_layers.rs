//! Blocks of networks without shortcuts and blocks made of blocks, against the same written out.

use mp_blocks::{
    BlockConfig, CodesConfig, ConcatConfig, HighwayConfig, ImageView, PlainConvConfig, Pooling, PoolingBlockConfig,
    RescaleConfig, ScaledSumConfig, SequenceConfig, Shape, WiredConvConfig,
};
use mp_nn::{Activation, Device, Kind, Store, Tensor};
use mp_routing::Pass;

fn pattern(shape: &[i64]) -> Tensor {
    let count: i64 = shape.iter().product();
    (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7).sin().reshape(shape)
}

fn run(block: &impl BlockConfig, x: &Tensor) -> (Store, Tensor) {
    let store = Store::with_kind(Device::Cpu, Kind::Double, 1);
    let size = x.size();
    let shape = match size[..] {
        [_, channels, height, width] => Shape::Map { channels, height, width },
        _ => Shape::Vector(size[1]),
    };
    let y = block.build(shape, &store.root()).unwrap().forward(x, &mut Pass::eval());
    assert_eq!(y.size(), block.output(shape).unwrap().batch(size[0]));
    (store, y)
}

fn named(store: &Store, name: &str) -> Tensor {
    store.entries().into_iter().find(|entry| entry.name == name).unwrap().tensor
}

fn conv(store: &Store, name: &str, x: &Tensor, padding: i64) -> Tensor {
    let bias = named(store, &format!("{name}.bias"));
    x.conv2d(&named(store, &format!("{name}.weight")), Some(&bias), 1, padding, 1, 1)
}

fn assert_same(a: &Tensor, b: &Tensor) {
    assert_eq!(a.size(), b.size());
    let difference = (a - b).abs().max().double_value(&[]);
    assert!(difference < 1e-12, "largest difference {difference}");
}

#[test]
fn highway_is_the_papers_formula() {
    let x = pattern(&[2, 4, 5, 5]);
    let (store, y) = run(&HighwayConfig::default(), &x);
    let (h, t) = (conv(&store, "h", &x, 1).relu(), conv(&store, "t", &x, 1).sigmoid());
    assert_same(&y, &(h * &t + &x * (t.ones_like() - &t)));
    assert_eq!(named(&store, "t.bias"), Tensor::full([4], -2.0, (Kind::Double, Device::Cpu)));
}

#[test]
fn a_wired_convolution_is_a_full_one_with_zeros_where_no_wire_is() {
    let wiring = WiredConvConfig::lenet5_wiring();
    let config = WiredConvConfig { wiring: wiring.clone(), kernel: 5, bound: 0.1, activation: Activation::Identity };
    let x = pattern(&[2, 6, 14, 14]);
    let (store, y) = run(&config, &x);
    let weight = named(&store, "weight");
    let full = Tensor::zeros([16, 6, 5, 5], (Kind::Double, Device::Cpu));
    let wires = (0..).zip(&wiring).flat_map(|(output, inputs)| inputs.iter().map(move |input| (output, *input)));
    let _no_grad = tch::no_grad_guard();
    for (wire, (output, input)) in (0..).zip(wires) {
        full.get(output).get(input).copy_(&weight.get(wire));
    }
    assert_same(&y, &x.conv2d(&full, Some(&named(&store, "bias")), 1, 0, 1, 1));
    assert_eq!(store.parameter_count(), 1516);
}

#[test]
fn wires_to_channels_that_are_not_there_are_refused() {
    let config = WiredConvConfig { wiring: vec![vec![0, 3]], kernel: 3, bound: 0.1, activation: Activation::Identity };
    assert_eq!(
        config.output(Shape::square(3, 8)).unwrap_err().to_string(),
        "a partly wired convolution takes a map with all channels that are wired, found features of 3x8x8"
    );
}

#[test]
fn codes_give_squared_distances() {
    let x = pattern(&[3, 84]);
    let (store, y) = run(&CodesConfig { classes: 10 }, &x);
    let codes = named(&store, "codes");
    assert_eq!(codes.abs(), codes.ones_like());
    assert_eq!(store.parameter_count(), 0);
    for (image, class) in [(0, 0), (1, 4), (2, 9)] {
        let distance = (x.get(image) - codes.get(class)).square().sum(Kind::Double);
        assert_same(&y.get(image).get(class), &-distance);
    }
    // No two classes are alike.
    let products = codes.matmul(&codes.tr()) - Tensor::eye(10, (Kind::Double, Device::Cpu)) * 84.0;
    assert!(products.abs().max().double_value(&[]) < 42.0);
}

#[test]
fn composed_blocks_are_their_parts() {
    let x = pattern(&[2, 4, 6, 6]);
    let conv_of = |width, kernel: i64| PlainConvConfig::new(width, kernel);
    let deep = SequenceConfig(vec![("0".into(), conv_of(3, 1).into()), ("1".into(), conv_of(5, 3).into())]);
    let branches = ConcatConfig(vec![("a".into(), conv_of(2, 1).into()), ("b".into(), deep.into())]);
    let (store, y) = run(&branches, &x);
    let a = conv(&store, "a.conv1", &x, 0).relu();
    let b = conv(&store, "b.1.conv1", &conv(&store, "b.0.conv1", &x, 0).relu(), 1).relu();
    assert_same(&y, &Tensor::cat(&[a, b], 1));

    let linear = PlainConvConfig { activation: Activation::Identity, ..conv_of(4, 1) };
    let sum = ScaledSumConfig { branch: linear.into(), scale: 0.17, relu: true };
    let (store, y) = run(&sum, &x);
    assert_same(&y, &(&x + conv(&store, "conv1", &x, 0) * 0.17).relu());
}

#[test]
fn branches_of_several_sizes_are_refused_in_one_line() {
    let halved = PlainConvConfig { stride: 2, ..PlainConvConfig::new(2, 3) };
    let branches = ConcatConfig(vec![("a".into(), PlainConvConfig::new(2, 1).into()), ("b".into(), halved.into())]);
    assert_eq!(
        branches.output(Shape::square(4, 6)).unwrap_err().to_string(),
        "a concatenation takes maps of one size, found features of 2x3x3"
    );
    let sum = ScaledSumConfig { branch: PlainConvConfig::new(2, 1).into(), scale: 1.0, relu: false };
    assert_eq!(
        sum.output(Shape::square(4, 6)).unwrap_err().to_string(),
        "a scaled sum takes a branch that keeps its input's shape, found features of 2x6x6"
    );
}

#[test]
fn groups_are_towers_that_do_not_meet() {
    let x = pattern(&[2, 4, 5, 5]);
    let (store, y) = run(&PlainConvConfig { groups: 2, ..PlainConvConfig::new(6, 3) }, &x);
    let (weight, bias) = (named(&store, "conv1.weight"), named(&store, "conv1.bias"));
    let tower = |at: i64| {
        let (weight, bias) = (weight.narrow(0, 3 * at, 3), bias.narrow(0, 3 * at, 3));
        x.narrow(1, 2 * at, 2).conv2d(&weight, Some(&bias), 1, 1, 1, 1).relu()
    };
    assert_same(&y, &Tensor::cat(&[tower(0), tower(1)], 1));
}

#[test]
fn steps_of_pooling_follow_each_other() {
    let x = pattern(&[2, 3, 9, 9]);
    let (_, y) = run(&PoolingBlockConfig(vec![Pooling::max(2, 2), Pooling::Adaptive(2), Pooling::Flatten]), &x);
    let by_hand =
        x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false).avg_pool2d([2, 2], [2, 2], [0, 0], false, true, None);
    assert_same(&y, &by_hand.flatten(1, -1));
}

#[test]
fn images_are_standardised_anew() {
    // An image of 0.6 standardised by mean 0.485 and deviation 0.229, then by 0.5 and 0.5.
    let x = Tensor::full([1, 1, 1, 1], (0.6 - 0.485) / 0.229, (Kind::Double, Device::Cpu));
    let (_, y) = run(&RescaleConfig::between((&[0.485], &[0.229]), (&[0.5], &[0.5])), &x);
    assert!((y.double_value(&[0, 0, 0, 0]) - 0.2).abs() < 1e-12);
}

#[test]
fn views_of_an_image_keep_its_size_and_detail_is_what_blurring_takes() {
    let x = pattern(&[2, 3, 7, 5]);
    let view = |view: ImageView| run(&view, &x).1;
    assert_same(&view(ImageView::Original), &x);
    assert_same(&(view(ImageView::Blurred) + view(ImageView::Detail)), &x);
    assert_eq!(view(ImageView::Centre).size(), x.size());
}

#[test]
fn maxout_has_the_parameters_of_its_pieces() {
    let (store, y) = run(&PlainConvConfig { pieces: 2, ..PlainConvConfig::new(6, 3) }, &pattern(&[1, 4, 5, 5]));
    assert_eq!(store.parameter_count(), 2 * (9 * 4 * 6 + 6));
    assert_eq!(y.size(), [1, 6, 5, 5]);
}
