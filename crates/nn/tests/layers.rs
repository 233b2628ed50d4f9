//! Layers against numbers worked by hand and against PyTorch's defaults.

use mp_nn::{
    BatchNorm2dConfig, Conv2dConfig, ConvNorm, Device, Dropout, Kind, LinearConfig, Mode, Module, Store, Tensor,
    WeightInit, global_avg_pool, max_pool2d,
};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn values(t: &Tensor) -> Vec<f64> {
    Vec::try_from(t.to_kind(Kind::Double).contiguous().view(-1)).unwrap()
}

fn fill(store: &Store, name: &str, numbers: &[f32]) {
    let entry = store.entries().into_iter().find(|e| e.name == name).unwrap();
    let _no_grad = tch::no_grad_guard();
    let size = entry.tensor.size();
    entry.tensor.shallow_clone().copy_(&Tensor::from_slice(numbers).reshape(size));
}

#[test]
fn convolution_by_hand() {
    // One 2x2 kernel [[1, 2], [3, 4]] and bias 10 on the image [[1, 0, 2], [0, 1, 0], [3, 0, 1]]:
    // 1·1 + 4·1 = 5, 2·2 + 3·1 = 7 / 2·1 + 3·3 = 11, 1·1 + 4·1 = 5, each + 10.
    let store = Store::new(Device::Cpu, 0);
    let conv = Conv2dConfig::new(1, 1, 2).build(&store.root()).unwrap();
    fill(&store, "weight", &[1.0, 2.0, 3.0, 4.0]);
    fill(&store, "bias", &[10.0]);
    let image = Tensor::from_slice(&[1.0f32, 0.0, 2.0, 0.0, 1.0, 0.0, 3.0, 0.0, 1.0]).view([1, 1, 3, 3]);
    assert_eq!(values(&conv.forward(&image, Mode::Eval)), [15.0, 17.0, 21.0, 15.0]);
}

#[test]
fn dense_by_hand() {
    // [[1, 2], [0, -1]] (3, 4) + (0.5, 1) = (11.5, -3).
    let store = Store::new(Device::Cpu, 0);
    let dense = LinearConfig::new(2, 2).build(&store.root()).unwrap();
    fill(&store, "weight", &[1.0, 2.0, 0.0, -1.0]);
    fill(&store, "bias", &[0.5, 1.0]);
    let x = Tensor::from_slice(&[3.0f32, 4.0]).view([1, 2]);
    assert_eq!(values(&dense.forward(&x, Mode::Eval)), [11.5, -3.0]);
}

#[test]
fn batch_norm_by_hand() {
    // Values 1, 3, 5, 7: mean 4, variance 5 (biased), 20/3 (unbiased). Training gives (x - 4) / sqrt(5); the running
    // statistics become 0.9·0 + 0.1·4 = 0.4 and 0.9·1 + 0.1·20/3 = 1.5667, which evaluation then uses.
    let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
    let norm = BatchNorm2dConfig { eps: 1e-12, ..BatchNorm2dConfig::new(1) }.build(&store.root()).unwrap();
    let x = Tensor::from_slice(&[1.0, 3.0, 5.0, 7.0]).view([2, 1, 1, 2]);
    let close = |found: &[f64], expected: &[f64]| {
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?} is not {expected:?}");
    };
    let root5 = 5f64.sqrt();
    close(&values(&norm.forward(&x, Mode::Train)), &[-3.0 / root5, -1.0 / root5, 1.0 / root5, 3.0 / root5]);
    let of = |name: &str| values(&store.entries().into_iter().find(|e| e.name == name).unwrap().tensor);
    close(&of("running_mean"), &[0.4]);
    close(&of("running_var"), &[0.9 + 2.0 / 3.0]);
    assert_eq!(of("num_batches_tracked"), [1.0]);
    let deviation = (0.9 + 2.0 / 3.0f64).sqrt();
    close(&values(&norm.forward(&x, Mode::Eval)), &[1.0, 3.0, 5.0, 7.0].map(|v| (v - 0.4) / deviation));
    assert_eq!(of("num_batches_tracked"), [1.0]);
}

#[test]
fn pools_by_hand() {
    let x = Tensor::from_slice(&[1.0f32, 2.0, 5.0, 3.0, 4.0, 0.0, -1.0, 7.0]).view([1, 1, 2, 4]);
    assert_eq!(values(&max_pool2d(&x, 2, 2, 0)), [4.0, 7.0]);
    assert_eq!(values(&global_avg_pool(&x)), [21.0 / 8.0]);
}

#[test]
fn dropout_keeps_the_mean_in_training_and_everything_in_evaluation() {
    let x = Tensor::ones([100_000], CPU);
    let dropout = Dropout::new(0.25).unwrap();
    let kept = values(&dropout.forward(&x, Mode::Train));
    assert!(kept.iter().all(|v| *v == 0.0 || (*v - 4.0 / 3.0).abs() < 1e-6));
    // The share of zeros deviates by sqrt(0.25·0.75 / 100,000) = 0.0014; seven deviations.
    let zeros = kept.iter().filter(|v| **v == 0.0).count() as f64 / kept.len() as f64;
    assert!((zeros - 0.25).abs() < 0.01, "{zeros}");
    assert_eq!(values(&dropout.forward(&x, Mode::Eval)).iter().sum::<f64>(), 100_000.0);
    assert_eq!(
        Dropout::new(1.0).unwrap_err().to_string(),
        "dropout probability: expected 0 up to, not including, 1, found 1"
    );
}

#[test]
fn starting_values_have_pytorchs_ranges() {
    // tch starts these 2.45 times too wide, and the scale of a norm at random.
    let store = Store::new(Device::Cpu, 3);
    let root = store.root();
    Conv2dConfig::new(16, 64, 3).build(&(&root / "conv")).unwrap();
    let normal = Conv2dConfig { init: WeightInit::KaimingNormalFanOut, ..Conv2dConfig::new(16, 64, 3) };
    normal.build(&(&root / "normal")).unwrap();
    LinearConfig::new(400, 100).build(&(&root / "dense")).unwrap();
    BatchNorm2dConfig::new(8).build(&(&root / "norm")).unwrap();
    let of = |name: &str| values(&store.entries().into_iter().find(|e| e.name == name).unwrap().tensor);
    for (name, fan_in) in [("conv.weight", 144.0), ("conv.bias", 144.0), ("dense.weight", 400.0), ("dense.bias", 400.0)]
    {
        let bound = 1.0 / f64::sqrt(fan_in);
        let largest = of(name).iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(largest <= bound && largest > 0.9 * bound, "{name}: {largest} of {bound}");
    }
    // Deviation of a uniform variable: bound / sqrt(3); of the normal one: sqrt(2 / (64·9)). 9,216 draws: 0.7% each.
    let deviation = |v: Vec<f64>| (v.iter().map(|x| x * x).sum::<f64>() / v.len() as f64).sqrt();
    let near = |found: f64, expected: f64| assert!((found / expected - 1.0).abs() < 0.04, "{found}, not {expected}");
    near(deviation(of("conv.weight")), 1.0 / 12.0 / 3f64.sqrt());
    near(deviation(of("normal.weight")), (2.0 / 576f64).sqrt());
    assert!(of("norm.weight").iter().all(|v| *v == 1.0) && of("norm.bias").iter().all(|v| *v == 0.0));
}

#[test]
fn the_meter_counts_what_runs_and_only_while_it_runs() {
    // 3x3 from 4 to 8 channels on 5x5, groups of 2: 8·5·5·(4/2·9) = 3,600 for one image, of however many; dense 10 to 3: 30.
    let store = Store::new(Device::Cpu, 0);
    let conv =
        Conv2dConfig { padding: 1, groups: 2, ..Conv2dConfig::new(4, 8, 3) }.build(&(&store.root() / "a")).unwrap();
    let dense = LinearConfig::new(10, 3).build(&(&store.root() / "b")).unwrap();
    let meter = store.meter();
    let run = || {
        let _ = conv.forward(&Tensor::zeros([2, 4, 5, 5], CPU), Mode::Eval);
        let _ = dense.forward(&Tensor::zeros([0, 10], CPU), Mode::Eval);
    };
    assert_eq!(meter.measure(run).1, 3600 + 30);
    run();
    assert_eq!(meter.measure(|| ()).1, 0);
}

#[test]
fn sizes_out_of_range_are_refused() {
    let root = Store::new(Device::Cpu, 0).root();
    let refusal = |config: Conv2dConfig| config.build(&(&root / "stem")).unwrap_err().to_string();
    assert_eq!(
        refusal(Conv2dConfig::new(0, 8, 3)),
        "in_channels of the convolution `stem`: expected at least 1, found 0"
    );
    assert_eq!(
        refusal(Conv2dConfig { groups: 3, ..Conv2dConfig::new(6, 8, 3) }),
        "groups of the convolution `stem`: expected a divisor of 6 and 8, found 3"
    );
    let norm = BatchNorm2dConfig { momentum: 1.5, ..BatchNorm2dConfig::new(4) };
    assert_eq!(
        norm.build(&(&root / "bn")).unwrap_err().to_string(),
        "momentum of the batch-norm `bn`: expected 0 to 1, found 1.5"
    );
}

#[test]
fn a_norm_is_folded_into_its_convolution_only_where_no_gradient_is_asked_for() {
    let store = Store::new(Device::Cpu, 3);
    let conv = Conv2dConfig { padding: 1, ..Conv2dConfig::new(2, 16, 3) }.build(&(&store.root() / "conv")).unwrap();
    let norm = BatchNorm2dConfig::new(16).build(&(&store.root() / "norm")).unwrap();
    let x = Tensor::arange(2 * 2 * 5 * 5, CPU).view([2, 5, 5, 2]).permute([0, 3, 1, 2]).sin();
    let residual = Tensor::arange(2 * 16 * 5 * 5, CPU).view([2, 5, 5, 16]).permute([0, 3, 1, 2]).cos();
    let both = ConvNorm(&conv, &norm);
    let composed = |mode| norm.forward_add_relu(&conv.forward(&x, mode), &residual, mode);

    // Training uses the batch's statistics, which moves the running ones; gradients reach the weights.
    let trained = both.forward_add_relu(&x, &residual, Mode::Train);
    assert_eq!(values(&trained), values(&composed(Mode::Train)));
    assert!(trained.requires_grad());
    // With gradients, evaluation is one after the other, to the last bit; without, the same up to rounding.
    let recorded = both.forward_add_relu(&x, &residual, Mode::Eval);
    assert_eq!(values(&recorded), values(&composed(Mode::Eval)));
    let folded = tch::no_grad(|| both.forward_add_relu(&x, &residual, Mode::Eval));
    assert!(folded.allclose(&recorded, 1e-5, 1e-6, false));

    // Weights that change are folded anew, and the multiply-adds are those of the convolution.
    fill(&store, "norm.weight", &[2.0; 16]);
    let ((), counted) = store.meter().measure(|| {
        let folded = tch::no_grad(|| both.forward_add_relu(&x, &residual, Mode::Eval));
        assert!(folded.allclose(&composed(Mode::Eval), 1e-5, 1e-6, false));
    });
    assert_eq!(counted, 2 * 16 * 25 * 2 * 9, "the folded one and the composed one");
}

/// In training too: `y = (x - mean) / sqrt(var + eps) · weight + bias` with the running statistics, which stay.
#[test]
fn a_frozen_norm_applies_its_running_statistics_and_keeps_them() {
    for channels_last in [false, true] {
        let store = Store::new(Device::Cpu, 0);
        let norm = BatchNorm2dConfig { scale: 3.0, ..BatchNorm2dConfig::new(8) }.build(&store.root()).unwrap();
        let entry = |name: &str| store.entries().into_iter().find(|entry| entry.name == name).unwrap().tensor;
        let _ = entry("running_mean").fill_(1.0);
        let _ = entry("running_var").fill_(4.0 - 1e-5);
        assert_eq!(store.freeze(|name| name == "weight"), 1);
        let x = Tensor::full([2, 8, 3, 3], 5.0, (Kind::Float, Device::Cpu));
        let x = match channels_last {
            true => x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
            false => x,
        };
        let x = x.set_requires_grad(true);
        let y = norm.forward(&x, Mode::Train);
        // (5 - 1) / 2 · 3 = 6, whose derivative is 3 / 2.
        assert!(y.allclose(&Tensor::full_like(&y, 6.0), 1e-5, 1e-5, false));
        y.sum(Kind::Float).backward();
        assert!(x.grad().allclose(&Tensor::full_like(&x, 1.5), 1e-5, 1e-5, false));
        assert!(!entry("weight").grad().defined() && entry("bias").grad().defined());
        assert_eq!(entry("running_mean").double_value(&[0]), 1.0);
        assert_eq!(entry("num_batches_tracked").int64_value(&[]), 0);
    }
}

/// Stands for `0` equal parts of a batch.
#[derive(Debug)]
struct EqualParts(f64);

impl mp_nn::AllSum for EqualParts {
    fn all_sum(&self, x: &Tensor) -> Tensor {
        // Each of the parts has the same gradient.
        x * self.0
    }
}

#[test]
fn a_norm_over_parts_is_that_of_the_whole_batch() {
    let x = (Tensor::arange(2 * 3 * 4, (Kind::Double, Device::Cpu)) * 0.7).sin().view([2, 3, 2, 2]);
    let weigh = (Tensor::arange(24, (Kind::Double, Device::Cpu)) * 0.3).cos().view([2, 3, 2, 2]);
    // Output, gradients of input, scale and shift, and the running statistics.
    let norm = |parts: Option<f64>, copies: i64| -> Vec<Tensor> {
        let store = Store::with_kind(Device::Cpu, Kind::Double, 0);
        if let Some(parts) = parts {
            store.normalise_over(std::sync::Arc::new(EqualParts(parts)));
        }
        let norm = BatchNorm2dConfig::new(3).build(&store.root()).unwrap();
        let x = x.repeat([copies, 1, 1, 1]).set_requires_grad(true);
        let y = norm.forward_add_relu(&x, &(&x * 0.5), Mode::Train);
        (&y * weigh.repeat([copies, 1, 1, 1])).sum(Kind::Double).backward();
        let mut found = vec![y.narrow(0, 0, 2), x.grad().narrow(0, 0, 2)];
        found.extend(store.parameters().iter().map(|entry| entry.tensor.grad() / copies as f64));
        found.extend(store.entries().into_iter().map(|entry| entry.tensor.to_kind(Kind::Double)));
        found
    };
    // One part is the batch itself; of two equal ones, each has a half of twice the batch.
    for (parts, copies) in [(1.0, 1), (2.0, 2)] {
        let (over_parts, whole) = (norm(Some(parts), 1), norm(None, copies));
        for (found, expected) in over_parts.iter().zip(&whole) {
            let apart = (found - expected).abs().max().double_value(&[]);
            assert!(apart < 1e-12, "{apart}: {found} {expected}");
        }
    }
}
