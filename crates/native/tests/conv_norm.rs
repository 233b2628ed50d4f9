//! Convolution, norm, addition and ReLU as one, against the definition in float64.

use mp_native::{Autocast, Folded, NormState, NormedConvolution, can_conv_norm, conv_norm};
use tch::{Device, Kind, Tensor, no_grad};

/// A fixed pattern of the given shape; libtorch's generator is shared between the tests of a process.
fn pattern(shape: &[i64], phase: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let x = (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + phase).sin() + 0.1;
    x.to_kind(Kind::Float).reshape(shape)
}

fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

struct Case {
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    stride: [i64; 2],
    padding: [i64; 2],
    groups: i64,
    /// Scale, offset, mean and variance.
    norm: [Tensor; 4],
    residual: Option<Tensor>,
    relu: bool,
}

impl Case {
    fn new(shape: Shape, biased: bool, residual: bool, relu: bool) -> Self {
        let Shape { inputs, outputs, kernel: [height, width], stride, groups } = shape;
        let size = |kernel: i64| (7 + 2 * (kernel / 2) - kernel) / stride + 1;
        Case {
            x: channels_last(&pattern(&[3, inputs, 7, 7], 0.0)),
            weight: pattern(&[outputs, inputs / groups, height, width], 1.0),
            bias: biased.then(|| pattern(&[outputs], 2.0)),
            stride: [stride; 2],
            padding: [height / 2, width / 2],
            groups,
            norm: [
                pattern(&[outputs], 3.0),
                pattern(&[outputs], 4.0),
                pattern(&[outputs], 5.0),
                pattern(&[outputs], 6.0).square() + 0.1,
            ],
            residual: residual.then(|| pattern(&[3, outputs, size(height), size(width)], 7.0)),
            relu,
        }
    }

    fn folded(&self) -> Tensor {
        self.folded_with(&Folded::new())
    }

    fn folded_with(&self, kept: &Folded) -> Tensor {
        let Case { weight, stride, padding, .. } = self;
        let convolution = NormedConvolution { weight, bias: self.bias.as_ref(), stride: *stride, padding: *padding };
        let [weight, bias, running_mean, running_var] = &self.norm;
        let norm = NormState { weight, bias, running_mean, running_var, momentum: 0.1, eps: 1e-5 };
        no_grad(|| {
            assert!(can_conv_norm(&self.x));
            conv_norm(&self.x, convolution, norm, self.residual.as_ref(), self.relu, kept).unwrap()
        })
    }

    fn defined(&self) -> Tensor {
        let wide = |x: &Tensor| x.to_kind(Kind::Double);
        let [scale, offset, mean, variance] = self.norm.each_ref().map(|t| wide(t).view([1, -1, 1, 1]));
        let bias = self.bias.as_ref().map(wide);
        let y = wide(&self.x).conv2d(&wide(&self.weight), bias, self.stride, self.padding, [1; 2], self.groups);
        let y = (y - mean) / (variance + 1e-5).sqrt() * scale + offset;
        let y = self.residual.as_ref().map_or(y.shallow_clone(), |residual| y + wide(residual));
        if self.relu { y.relu() } else { y }
    }
}

#[derive(Clone, Copy)]
struct Shape {
    inputs: i64,
    outputs: i64,
    kernel: [i64; 2],
    stride: i64,
    groups: i64,
}

const PLAIN: Shape = Shape { inputs: 16, outputs: 16, kernel: [3, 3], stride: 1, groups: 1 };

/// The convolutions of the zoo's blocks, in small: 3x3, of an image, with a step, 1x1, in groups, depthwise, 1x7, and to
/// three, five and seven vectors of channels.
const SHAPES: [Shape; 10] = [
    PLAIN,
    Shape { inputs: 3, ..PLAIN },
    Shape { outputs: 32, stride: 2, ..PLAIN },
    Shape { outputs: 5, kernel: [1, 1], stride: 2, ..PLAIN },
    Shape { outputs: 32, groups: 4, ..PLAIN },
    Shape { groups: 16, stride: 2, ..PLAIN },
    Shape { outputs: 24, kernel: [1, 7], ..PLAIN },
    Shape { outputs: 48, ..PLAIN },
    Shape { inputs: 3, outputs: 80, kernel: [7, 7], stride: 2, ..PLAIN },
    Shape { inputs: 20, outputs: 100, ..PLAIN },
];

fn cases() -> impl Iterator<Item = Case> {
    let after = [(false, false, false), (true, false, true), (false, true, true), (true, true, false)];
    SHAPES
        .into_iter()
        .flat_map(move |shape| after.map(|(biased, residual, relu)| Case::new(shape, biased, residual, relu)))
}

#[track_caller]
fn assert_near(found: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(found.size(), expected.size());
    let error = (found.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
    assert!(error <= tolerance * (1.0 + expected.abs().max().double_value(&[])), "off by {error}");
}

#[test]
fn agrees_with_the_definition_in_every_shape_and_with_whatever_follows() {
    for case in cases() {
        assert_near(&case.folded(), &case.defined(), 1e-6);
    }
}

#[test]
fn so_do_many_images_which_are_computed_in_another_way() {
    for case in cases() {
        let three_times = |x: &Tensor| Tensor::cat(&[x, x, x], 0);
        let (x, residual) = (channels_last(&three_times(&case.x)), case.residual.as_ref().map(three_times));
        let many = Case { x, residual, ..case };
        assert_near(&many.folded(), &many.defined(), 1e-6);
    }
}

#[test]
fn kept_weights_are_made_anew_once_anything_that_they_come_from_has_changed() {
    let kept = Folded::new();
    let mut case = Case::new(PLAIN, true, true, true);
    assert_near(&case.folded_with(&kept), &case.defined(), 1e-6);
    let first = case.folded_with(&kept);
    assert!(first.equal(&case.folded_with(&kept)), "kept weights give the same numbers");
    let changes: [fn(&Case) -> Tensor; 5] = [
        |case| case.weight.shallow_clone(),
        |case| case.bias.as_ref().unwrap().shallow_clone(),
        |case| case.norm[0].shallow_clone(),
        |case| case.norm[2].shallow_clone(),
        |case| case.norm[3].shallow_clone(),
    ];
    for change in changes {
        let before = case.folded_with(&kept);
        let _ = no_grad(|| change(&case).g_mul_scalar_(1.5));
        assert!(!case.folded_with(&kept).equal(&before));
        assert_near(&case.folded_with(&kept), &case.defined(), 1e-6);
    }
    // Other tensors, and maps of another size.
    case.weight = pattern(&[16, 16, 3, 3], 9.0);
    assert_near(&case.folded_with(&kept), &case.defined(), 1e-6);
    case.x = channels_last(&pattern(&[1, 16, 7, 7], 2.0));
    case.residual = None;
    assert_near(&case.folded_with(&kept), &case.defined(), 1e-6);
    kept.clear();
    assert_near(&case.folded_with(&kept), &case.defined(), 1e-6);
}

#[test]
fn under_autocast_it_runs_in_bfloat16() {
    for case in cases() {
        let found = {
            let _bf16 = Autocast::bf16_cpu();
            if !no_grad(|| can_conv_norm(&case.x)) {
                return;
            }
            case.folded()
        };
        assert_eq!(found.kind(), Kind::BFloat16);
        // Three roundings to eight bits: of the map, of the weights, of the result.
        assert_near(&found, &case.defined(), 2e-2);
    }
}

#[test]
fn maps_that_it_does_not_take_are_named_before() {
    let x = channels_last(&pattern(&[2, 3, 4, 4], 0.0));
    no_grad(|| {
        assert!(can_conv_norm(&x));
        assert!(!can_conv_norm(&x.to_kind(Kind::Double)));
        assert!(!can_conv_norm(&x.contiguous()));
        assert!(!can_conv_norm(&x.reshape([2, 48])));
        assert!(!can_conv_norm(&x.narrow(0, 0, 0)));
    });
    assert!(!can_conv_norm(&x), "a gradient may be asked for");
}

#[test]
fn tensors_that_do_not_fit_are_an_error_of_one_line() {
    let case = Case::new(SHAPES[0], false, true, true);
    let x = channels_last(&pattern(&[3, 8, 7, 7], 0.0));
    let [weight, bias, running_mean, running_var] = &case.norm;
    let norm = NormState { weight, bias, running_mean, running_var, momentum: 0.1, eps: 1e-5 };
    let convolution = NormedConvolution { weight: &case.weight, bias: None, stride: [1; 2], padding: [1; 2] };
    let kept = Folded::new();
    let residual = pattern(&[3, 16, 5, 5], 0.0);
    no_grad(|| {
        for found in [
            conv_norm(&x, convolution, norm, None, true, &kept),
            conv_norm(&case.x, convolution, norm, Some(&residual), true, &kept),
        ] {
            let message = found.unwrap_err().to_string();
            assert!(
                message.starts_with("cannot convolve and normalise the map: ") && !message.contains('\n'),
                "{message}"
            );
        }
    });
}
