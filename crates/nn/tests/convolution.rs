//! Convolutions of every shape, and how their weights start.

use mp_nn::{
    BatchNorm2dConfig, BiasInit, Conv2dConfig, ConvNorm, Device, Kind, LinearConfig, Mode, Module, Pair,
    RectConv2dConfig, Store, Tensor, WeightInit,
};
use proptest::prelude::*;

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn values(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.detach().contiguous().view(-1)).unwrap()
}

fn fill(store: &Store, name: &str, values: &[f32]) {
    let mut tensor = store.entries().into_iter().find(|e| e.name == name).unwrap().tensor;
    tch::no_grad(|| tensor.copy_(&Tensor::from_slice(values).view(tensor.size().as_slice())));
}

/// The starting values of a convolution's weight and bias, with a fan of 2·3·3 = 18 in and 8·3·3 = 72 out.
fn started(init: WeightInit, bias_init: BiasInit) -> (Vec<f32>, Vec<f32>) {
    let store = Store::new(Device::Cpu, 0);
    Conv2dConfig { groups: 2, init, bias_init, ..Conv2dConfig::new(4, 8, 3) }.build(&store.root()).unwrap();
    let entries = store.entries();
    (values(&entries[0].tensor), values(&entries[1].tensor))
}

/// A row of two cells, weighted 1 and 10: on 1 2 3 / 4 5 6 it gives 1 + 20, 2 + 30, 4 + 50, 5 + 60. With one zero left
/// and right, and a stride of 2 along the width, the windows are (0 1), (2 3) and (0 4), (5 6).
#[test]
fn a_flat_kernel_runs_along_the_rows() {
    let store = Store::new(Device::Cpu, 0);
    let plain = RectConv2dConfig { bias: false, ..RectConv2dConfig::new(1, 1, (1, 2)) };
    let wide = RectConv2dConfig { stride: (1, 2).into(), padding: (0, 1).into(), ..plain.clone() };
    let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([1, 1, 2, 3]);
    for (name, config, expected) in
        [("plain", plain, vec![21.0, 32.0, 54.0, 65.0]), ("wide", wide, vec![10.0, 32.0, 40.0, 65.0])]
    {
        let conv = config.build(&(&store.root() / name)).unwrap();
        fill(&store, &format!("{name}.weight"), &[1.0, 10.0]);
        assert_eq!(values(&conv.forward(&x, Mode::Eval)), expected, "{name}");
    }
}

/// Two cells with one left out between them: 1 + 30 on 1 2 3.
#[test]
fn a_dilated_kernel_leaves_cells_out() {
    let store = Store::new(Device::Cpu, 0);
    let config = RectConv2dConfig { dilation: (1, 2).into(), bias: false, ..RectConv2dConfig::new(1, 1, (1, 2)) };
    let conv = config.build(&store.root()).unwrap();
    fill(&store, "weight", &[1.0, 10.0]);
    let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0]).view([1, 1, 1, 3]);
    assert_eq!(values(&conv.forward(&x, Mode::Eval)), [31.0]);
}

#[test]
fn a_depthwise_convolution_weighs_every_channel_by_itself() {
    let store = Store::new(Device::Cpu, 0);
    let config = Conv2dConfig { bias: false, ..Conv2dConfig::depthwise(3, 1) };
    let conv = config.build(&store.root()).unwrap();
    fill(&store, "weight", &[1.0, 10.0, 100.0]);
    let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0]).view([1, 3, 1, 2]);
    assert_eq!(values(&conv.forward(&x, Mode::Eval)), [1.0, 2.0, 30.0, 40.0, 500.0, 600.0]);
}

/// Results times inputs of each: 3·5·5 maps of 9 each for the depthwise one, 8·5·3 of 4·3 for the flat one.
#[test]
fn multiply_adds_are_those_of_the_kernel() {
    let store = Store::new(Device::Cpu, 0);
    let depthwise = Conv2dConfig { padding: 1, ..Conv2dConfig::depthwise(3, 3) }.build(&(&store.root() / "d")).unwrap();
    let flat = RectConv2dConfig::new(4, 8, (1, 3)).build(&(&store.root() / "f")).unwrap();
    let count = |conv: &dyn Module, channels| {
        store.meter().measure(|| conv.forward(&Tensor::zeros([2, channels, 5, 5], CPU), Mode::Eval)).1
    };
    assert_eq!(count(&depthwise, 3), 3 * 25 * 9);
    assert_eq!(count(&flat, 4), 8 * 15 * 12);
}

#[test]
fn any_convolution_can_be_taken_with_its_norm() {
    let x = Tensor::arange(2 * 4 * 9 * 9, CPU).view([2, 9, 9, 4]).permute([0, 3, 1, 2]).sin();
    for config in [
        RectConv2dConfig::new(4, 6, (1, 7)).same(),
        RectConv2dConfig::new(4, 6, (3, 1)),
        RectConv2dConfig { stride: (2, 1).into(), ..RectConv2dConfig::new(4, 6, 3) },
        Conv2dConfig { dilation: 2, padding: 1, ..Conv2dConfig::new(4, 6, 3) }.into(),
        Conv2dConfig { groups: 2, ..Conv2dConfig::new(4, 6, 3) }.into(),
        Conv2dConfig { padding: 1, stride: 2, ..Conv2dConfig::new(4, 6, 3) }.into(),
    ] {
        let store = Store::new(Device::Cpu, 1);
        let conv = config.build(&(&store.root() / "conv")).unwrap();
        let norm = BatchNorm2dConfig { eps: 1e-3, ..BatchNorm2dConfig::new(6) }.build(&(&store.root() / "bn")).unwrap();
        let (y, counted) =
            store.meter().measure(|| tch::no_grad(|| ConvNorm(&conv, &norm).forward_relu(&x, Mode::Eval)));
        let (expected, own) = store.meter().measure(|| norm.forward_relu(&conv.forward(&x, Mode::Eval), Mode::Eval));
        assert!(y.allclose(&expected, 1e-5, 1e-5, false), "{config:?}");
        assert_eq!(counted, own, "{config:?}");
    }
}

#[test]
fn the_start_has_the_width_of_its_rule() {
    let bias = BiasInit::KaimingUniform;
    for (init, bound) in [
        (WeightInit::KaimingUniform, (1.0_f32 / 18.0).sqrt()),
        (WeightInit::Uniform { bound: 0.005 }, 0.005),
        (WeightInit::XavierUniform, (3.0_f32 / 18.0).sqrt()),
        (WeightInit::GlorotUniform, (6.0_f32 / 90.0).sqrt()),
    ] {
        let largest = started(init, bias).0.iter().fold(0.0_f32, |most, v| most.max(v.abs()));
        assert!(largest <= bound && largest > 0.9 * bound, "{init:?}: {largest} of {bound}");
    }
    for (init, deviation) in [
        (WeightInit::KaimingNormalFanOut, (2.0_f64 / 72.0).sqrt()),
        (WeightInit::KaimingNormalFanIn, (2.0_f64 / 18.0).sqrt()),
        (WeightInit::Normal { std: 0.01 }, 0.01),
    ] {
        let (weights, _) = started(init, bias);
        let square = weights.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / weights.len() as f64;
        assert!((square.sqrt() / deviation - 1.0).abs() < 0.2, "{init:?}: {} for {deviation}", square.sqrt());
    }
}

#[test]
fn a_bias_starts_as_asked() {
    assert_eq!(started(WeightInit::default(), BiasInit::Constant(-2.0)).1, [-2.0; 8]);
    let (_, bias) = started(WeightInit::default(), BiasInit::Uniform { bound: 0.05 });
    assert!(bias.iter().all(|v| v.abs() <= 0.05) && bias.iter().any(|v| v.abs() > 0.01), "{bias:?}");

    let store = Store::new(Device::Cpu, 0);
    let config = LinearConfig {
        init: WeightInit::Uniform { bound: 0.0 },
        bias_init: BiasInit::Constant(1.0),
        ..LinearConfig::new(3, 2)
    };
    let dense = config.build(&store.root()).unwrap();
    assert_eq!(values(&dense.forward(&Tensor::ones([1, 3], CPU), Mode::Eval)), [1.0, 1.0]);
}

#[test]
fn starts_and_sizes_out_of_range_are_refused() {
    let root = Store::new(Device::Cpu, 0).root() / "stem";
    let init = WeightInit::Normal { std: -1.0 };
    assert_eq!(
        Conv2dConfig { init, ..Conv2dConfig::new(3, 8, 3) }.build(&root).unwrap_err().to_string(),
        "init of the convolution `stem`: expected a finite width of at least 0, found -1"
    );
    let bias_init = BiasInit::Constant(f64::INFINITY);
    assert_eq!(
        LinearConfig { bias_init, ..LinearConfig::new(3, 8) }.build(&root).unwrap_err().to_string(),
        "bias_init of the dense layer `stem`: expected a finite number, found inf"
    );
    assert_eq!(
        RectConv2dConfig { stride: (1, 0).into(), ..RectConv2dConfig::new(3, 8, 3) }
            .build(&root)
            .unwrap_err()
            .to_string(),
        "stride of the convolution `stem`: expected at least 1, found 0"
    );
}

#[test]
fn a_config_is_read_with_what_it_leaves_out_at_its_default() {
    let text = r#"{"in_channels":3,"out_channels":8,"kernel":3,"stride":2,"padding":1,"groups":1,"bias":false,
        "init":{"normal":{"std":0.01}}}"#;
    let read: Conv2dConfig = serde_json::from_str(text).unwrap();
    let init = WeightInit::Normal { std: 0.01 };
    let expected = Conv2dConfig { stride: 2, padding: 1, bias: false, init, ..Conv2dConfig::new(3, 8, 3) };
    assert_eq!(read, expected);
    let dense: LinearConfig = serde_json::from_str(
        r#"{"in_features":4,"out_features":2,"bias":true,"init":"xavier-uniform","bias_init":{"constant":-2.0}}"#,
    )
    .unwrap();
    let bias_init = BiasInit::Constant(-2.0);
    assert_eq!(dense, LinearConfig { init: WeightInit::XavierUniform, bias_init, ..LinearConfig::new(4, 2) });
    let flat = RectConv2dConfig::new(4, 6, (1, 7)).same();
    assert_eq!(serde_json::from_str::<RectConv2dConfig>(&serde_json::to_string(&flat).unwrap()).unwrap(), flat);
}

proptest! {
    #[test]
    fn the_size_that_is_announced_is_the_size_that_comes(
        (height, width) in (1_i64..12, 1_i64..12),
        kernel in (1_i64..5, 1_i64..5),
        stride in (1_i64..4, 1_i64..4),
        padding in (0_i64..3, 0_i64..3),
        dilation in (1_i64..3, 1_i64..3),
    ) {
        let config = RectConv2dConfig {
            stride: stride.into(),
            padding: padding.into(),
            dilation: dilation.into(),
            ..RectConv2dConfig::new(1, 1, kernel)
        };
        let Pair { height: h, width: w } = config.output_size((height, width));
        let conv = config.build(&Store::new(Device::Cpu, 0).root()).unwrap();
        if h < 1 || w < 1 {
            return Ok(());
        }
        let y = conv.forward(&Tensor::zeros([1, 1, height, width], CPU), Mode::Eval);
        prop_assert_eq!(y.size(), [1, 1, h, w]);
    }
}
