//! Local response normalisation, maxout, activations, convolution along channels, what drops, and what enlarges.

use mp_nn::{
    Activation, ChannelConvConfig, Conv2dConfig, Device, DropBlock, Kind, LocalResponseNormConfig, Maxout, Mode,
    Module, StochasticDepth, Store, Tensor, upsample_nearest,
};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn values(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.detach().contiguous().view(-1)).unwrap()
}

fn waves(shape: &[i64]) -> Tensor {
    Tensor::arange(shape.iter().product::<i64>(), CPU).view(shape).sin() * 20.0
}

/// The paper's formula, channel by channel: `x_c / (2 + 1e-4 · sum of the squares of the five around c)^0.75`.
#[test]
fn local_response_normalisation_is_the_papers() {
    let x = waves(&[2, 7, 3, 4]);
    let norm = LocalResponseNormConfig::paper().build().unwrap();
    let expected: Vec<Tensor> = (0..7_i64)
        .map(|c| {
            let (first, last) = ((c - 2).max(0), (c + 2).min(6));
            let sum = x.narrow(1, first, last - first + 1).square().sum_dim_intlist([1_i64].as_slice(), false, None);
            x.select(1, c) / (sum * 1e-4 + 2.0).pow_tensor_scalar(0.75)
        })
        .collect();
    let expected = Tensor::stack(&expected, 1);
    let y = norm.forward(&x, Mode::Eval);
    assert!(y.allclose(&expected, 1e-6, 1e-6, false));
    // Maps that lie channels-last in memory stay so, with the same numbers.
    let last = norm.forward(&x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]), Mode::Eval);
    assert_eq!(last.stride()[1], 1);
    assert!(last.allclose(&expected, 1e-6, 1e-6, false));
    assert_eq!(norm.forward(&x.narrow(0, 0, 0), Mode::Eval).size(), [0, 7, 3, 4]);
}

/// An even window reaches one channel further down than up: with a size of 2, `alpha = 2` and `beta = 1`, the sums on
/// 1, 2, 3 are 1, 1 + 4, 4 + 9, so that `k = 1` gives 1/2, 2/6, 3/14.
#[test]
fn an_even_window_of_channels_reaches_further_down() {
    let norm = LocalResponseNormConfig { size: 2, alpha: 2.0, beta: 1.0, k: 1.0 }.build().unwrap();
    let y = norm.forward(&Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).view([1, 3, 1, 1]), Mode::Eval);
    assert!(y.view(-1).allclose(&Tensor::from_slice(&[0.5_f32, 1.0 / 3.0, 3.0 / 14.0]), 1e-6, 0.0, false));
}

/// Channels 0 and 1 make unit 0, channels 2 and 3 unit 1, at every place by itself, in any layout.
#[test]
fn maxout_takes_neighbouring_channels() {
    let x = Tensor::from_slice(&[1.0_f32, 8.0, 5.0, 2.0, -1.0, -2.0, -3.0, -1.5]).view([1, 4, 1, 2]);
    let maxout = Maxout::new(2).unwrap();
    assert_eq!(values(&maxout.forward(&x, Mode::Eval)), [5.0, 8.0, -1.0, -1.5]);
    let last = x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]);
    assert_eq!(maxout.forward(&last, Mode::Eval), maxout.forward(&x, Mode::Eval));

    let store = Store::new(Device::Cpu, 0);
    let conv = Conv2dConfig::new(4, 3 * 5, 1).build(&store.root()).unwrap();
    let five = Maxout::new(5).unwrap();
    assert_eq!(five.forward(&conv.forward(&x, Mode::Eval), Mode::Eval).size(), [1, 3, 1, 2]);
    assert_eq!(Maxout::new(0).unwrap_err().to_string(), "maxout pieces: expected at least 1, found 0");
}

#[test]
fn activations_by_hand() {
    let x = Tensor::from_slice(&[-2.0_f32, 0.0, 1.0]).view([1, 3]);
    let of = |activation: Activation| values(&activation.forward(&x, Mode::Eval));
    let close = |found: Vec<f32>, expected: [f64; 3]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 1e-6), "{found:?}, {expected:?}");
    };
    assert_eq!(of(Activation::Identity), [-2.0, 0.0, 1.0]);
    assert_eq!(of(Activation::Relu), [0.0, 0.0, 1.0]);
    assert_eq!(of(Activation::BalancedRelu), [0.0, 0.0, -1.0]);
    close(of(Activation::Tanh), [(-2.0_f64).tanh(), 0.0, 1.0_f64.tanh()]);
    close(of(Activation::ScaledTanh), [1.7159 * (-4.0_f64 / 3.0).tanh(), 0.0, 1.7159 * (2.0_f64 / 3.0).tanh()]);
    close(of(Activation::Sigmoid), [1.0 / (1.0 + 2.0_f64.exp()), 0.5, 1.0 / (1.0 + (-1.0_f64).exp())]);
    close(of(Activation::Softplus), [(-2.0_f64).exp().ln_1p(), 2.0_f64.ln(), 1.0_f64.exp().ln_1p()]);
}

/// Weights 1, 10, 100 on the channels 1, 2, 3: 0 + 10 + 200, 1 + 20 + 300, 2 + 30 + 0; nine multiply-adds.
#[test]
fn a_convolution_along_channels_by_hand() {
    let store = Store::new(Device::Cpu, 0);
    let conv = ChannelConvConfig::new(3).build(&(&store.root() / "eca")).unwrap();
    let mut weight = store.entries().remove(0).tensor;
    tch::no_grad(|| weight.copy_(&Tensor::from_slice(&[1.0_f32, 10.0, 100.0]).view([1, 1, 3])));
    let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).view([1, 3]);
    let (y, counted) = store.meter().measure(|| conv.forward(&x, Mode::Eval));
    assert_eq!(values(&y), [210.0, 321.0, 32.0]);
    assert_eq!(counted, 9);
    assert_eq!(conv.forward(&x.narrow(0, 0, 0), Mode::Eval).size(), [0, 3]);
    assert_eq!(
        ChannelConvConfig::new(4).build(&(&store.root() / "even")).unwrap_err().to_string(),
        "kernel of the convolution along channels `even`: expected an odd number of at least 1, found 4"
    );
}

#[test]
fn stochastic_depth_drops_whole_samples_and_keeps_the_mean() {
    tch::manual_seed(0);
    let x = Tensor::ones([4000, 2, 3, 3], CPU);
    let drop = StochasticDepth::new(0.25).unwrap();
    assert_eq!(drop.forward(&x, Mode::Eval), x);
    let y = drop.forward(&x, Mode::Train);
    let each = y.flatten(1, -1);
    assert_eq!(each.amax(1, false), each.amin(1, false), "a sample is dropped whole");
    assert_eq!(y.max(), Tensor::from(1.0_f32 / 0.75));
    assert!((y.mean(None).double_value(&[]) - 1.0).abs() < 0.05);
    assert!(StochasticDepth::new(1.0).is_err());
}

#[test]
fn a_block_is_dropped_whole() {
    tch::manual_seed(0);
    let x = Tensor::ones([64, 8, 9, 11], CPU);
    let y = DropBlock::new(0.1, 3).unwrap().forward(&x, Mode::Train);
    let gone = y.eq(0.0).to_kind(Kind::Float);
    let share = gone.mean(None).double_value(&[]);
    assert!((0.07..=0.1).contains(&share), "{share}: blocks that overlap make it less than asked for");
    // Every cell that is gone lies in a block of 3x3 that is gone: eroding and dilating changes nothing.
    let kept: Tensor = 1.0 - &gone;
    let eroded: Tensor = 1.0 - kept.max_pool2d([3, 3], [1, 1], [0, 0], [1, 1], false);
    let dilated = eroded.constant_pad_nd([2, 2, 2, 2]).max_pool2d([3, 3], [1, 1], [0, 0], [1, 1], false);
    assert_eq!(dilated, gone);
    assert!((y.mean(None).double_value(&[]) - 1.0).abs() < 1e-5, "the rest makes up for it");
}

#[test]
fn a_block_larger_than_the_map_is_cut_to_it() {
    tch::manual_seed(0);
    let y = DropBlock::new(0.5, 7).unwrap().forward(&Tensor::ones([100, 4, 2, 3], CPU), Mode::Train);
    let each = y.flatten(2, -1);
    assert_eq!(each.amax(2, false), each.amin(2, false));
}

/// Rows 0 and 1 of two, enlarged to three: row i is row 2i/3 rounded down, so 0, 0, 1.
#[test]
fn maps_are_enlarged_to_a_size() {
    let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0]).view([1, 1, 2, 2]);
    let y = upsample_nearest(&x, (3, 4));
    assert_eq!(values(&y), [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]);
}
