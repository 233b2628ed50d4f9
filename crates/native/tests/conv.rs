//! The convolution with its own gradient of the weights, against the definition in float64. On a CPU without products of
//! bfloat16 pairs there is nothing to test but that it says so.

use mp_native::{Autocast, Convolution, can_conv, conv};
use tch::{Device, Kind, Tensor, no_grad};

/// A fixed pattern of the given shape, of numbers that bfloat16 holds; libtorch's generator is shared between the tests of a
/// process.
fn pattern(shape: &[i64], phase: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let x = (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + phase).sin() + 0.1;
    x.to_kind(Kind::BFloat16).to_kind(Kind::Float).reshape(shape)
}

fn channels_last(x: &Tensor) -> Tensor {
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}

/// Whether this CPU takes the path that is tested here.
fn is_here() -> bool {
    let case = Case::new([2, 16, 16, 4, 4], 1, false);
    let here = can_conv(&case.x, case.convolution());
    // Where the system lists what its CPU has.
    if let Ok(processor) = std::fs::read_to_string("/proc/cpuinfo") {
        let has = |flag| processor.split_whitespace().any(|word| word == flag);
        assert_eq!(here, has("avx512_bf16") && !has("amx_bf16"));
    }
    here
}

/// The tensors of one case, leaves of their own.
struct Case {
    x: Tensor,
    weight: Tensor,
    bias: Option<Tensor>,
    stride: i64,
    /// What the result is multiplied with before it is summed up: its gradient.
    dy: Tensor,
}

impl Case {
    fn new([images, inputs, outputs, height, width]: [i64; 5], stride: i64, biased: bool) -> Self {
        let size = |side: i64| (side - 1) / stride + 1;
        Case {
            x: channels_last(&pattern(&[images, inputs, height, width], 0.0))
                .to_kind(Kind::BFloat16)
                .set_requires_grad(true),
            weight: pattern(&[outputs, inputs, 3, 3], 1.0).set_requires_grad(true),
            bias: biased.then(|| pattern(&[outputs], 2.0).set_requires_grad(true)),
            stride,
            dy: channels_last(&pattern(&[images, outputs, size(height), size(width)], 3.0)),
        }
    }

    /// The same numbers in float64.
    fn in_float64(&self) -> Self {
        let leaf = |x: &Tensor| x.detach().to_kind(Kind::Double).copy().set_requires_grad(true);
        Case {
            x: leaf(&self.x),
            weight: leaf(&self.weight),
            bias: self.bias.as_ref().map(leaf),
            dy: self.dy.to_kind(Kind::Double),
            ..*self
        }
    }

    fn convolution(&self) -> Convolution<'_> {
        Convolution { weight: &self.weight, bias: self.bias.as_ref(), stride: self.stride, padding: 1 }
    }

    fn ours(&self) -> Tensor {
        assert!(can_conv(&self.x, self.convolution()));
        conv(&self.x, self.convolution()).unwrap()
    }

    fn defined(&self) -> Tensor {
        self.x.conv2d(&self.weight, self.bias.as_ref(), [self.stride; 2], [1; 2], [1; 2], 1)
    }

    fn inputs(&self) -> Vec<&Tensor> {
        [&self.x, &self.weight].into_iter().chain(&self.bias).collect()
    }

    fn gradients(&self, y: &Tensor) -> Vec<Tensor> {
        let loss = (y.to_kind(self.dy.kind()) * &self.dy).sum(self.dy.kind());
        Tensor::run_backward(&[loss], &self.inputs(), false, false)
    }
}

#[track_caller]
fn assert_close(a: &Tensor, b: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(a.size(), b.size(), "{what}");
    let scale = b.abs().max().double_value(&[]).max(1.0);
    let difference = (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[]);
    assert!(difference <= tolerance * scale, "{what}: largest difference {difference}, at most {scale}");
}

/// bfloat16 has eight bits of mantissa.
const NARROW: f64 = 1.0 / 128.0;

#[test]
fn agrees_with_the_definition() {
    if !is_here() {
        return;
    }
    for (shape, stride) in [
        ([2, 16, 16, 4, 4], 1),
        // Odd widths leave a pair half empty; a map of one pixel has nothing but the kernel's middle.
        ([3, 16, 32, 7, 5], 1),
        ([1, 32, 16, 1, 1], 1),
        ([2, 16, 16, 1, 9], 1),
        ([2, 16, 16, 6, 2], 1),
        // Steps of 2 over even and odd sides.
        ([2, 16, 32, 8, 8], 2),
        ([3, 32, 16, 7, 9], 2),
        ([2, 16, 16, 1, 2], 2),
        ([1, 16, 16, 2, 1], 2),
        // Several blocks of channels, several groups of images, several parts of them with a smaller last one.
        ([2, 48, 80, 5, 6], 1),
        ([35, 16, 16, 32, 32], 1),
        ([130, 32, 16, 8, 8], 1),
    ] {
        for biased in [false, true] {
            let what = format!("{shape:?}, stride {stride}, bias {biased}");
            let case = Case::new(shape, stride, biased);
            let reference = case.in_float64();
            let (y, expected) = (case.ours(), reference.defined());
            assert_eq!(y.kind(), Kind::BFloat16, "{what}");
            assert_close(&y, &expected, NARROW, &what);
            let (found, expected) = (case.gradients(&y), reference.gradients(&expected));
            assert_close(&found[0], &expected[0], NARROW, &format!("dx of {what}"));
            // Exact products, summed in float32: bfloat16 appears nowhere in the weights' gradient.
            assert_eq!(found[1].kind(), Kind::Float, "{what}");
            assert_close(&found[1], &expected[1], 2e-5, &format!("dW of {what}"));
            if biased {
                assert_close(&found[2], &expected[2], NARROW, &format!("db of {what}"));
            }
        }
    }
}

#[test]
fn threads_change_no_number() {
    if !is_here() {
        return;
    }
    let case = Case::new([33, 32, 32, 16, 16], 1, false);
    let threads = tch::get_num_threads();
    let with = |threads| {
        tch::set_num_threads(threads);
        case.gradients(&case.ours()).remove(1)
    };
    let (one, three) = (with(1), with(3));
    tch::set_num_threads(threads);
    assert_eq!(one, three);
}

#[test]
fn autocast_takes_wide_maps_and_weights() {
    if !is_here() {
        return;
    }
    let case = Case::new([4, 16, 32, 6, 6], 2, false);
    let wide = Case { x: case.x.detach().to_kind(Kind::Float).set_requires_grad(true), ..case };
    assert!(!can_conv(&wide.x, wide.convolution()));
    let reference = wide.in_float64();
    let bf16 = Autocast::bf16_cpu();
    let y = wide.ours();
    drop(bf16);
    assert_eq!(y.kind(), Kind::BFloat16);
    let (found, expected) = (wide.gradients(&y), reference.gradients(&reference.defined()));
    assert_eq!((found[0].kind(), found[1].kind()), (Kind::Float, Kind::Float));
    assert_close(&found[0], &expected[0], NARROW, "dx");
    assert_close(&found[1], &expected[1], 2e-5, "dW");
}

#[test]
fn a_gradient_in_another_layout_is_taken() {
    if !is_here() {
        return;
    }
    let case = Case::new([3, 16, 16, 5, 4], 1, false);
    let expected = case.gradients(&case.ours());
    let planes = Case { dy: case.dy.contiguous(), ..case };
    let found = planes.gradients(&planes.ours().contiguous());
    assert_eq!(found[1], expected[1]);
}

#[test]
fn gradients_of_gradients_agree_with_libtorch() {
    if !is_here() {
        return;
    }
    let second = |case: &Case, y: Tensor| {
        let loss = (y.to_kind(case.dy.kind()).square() * &case.dy).sum(case.dy.kind());
        let first = Tensor::run_backward(&[loss], &case.inputs(), true, true);
        let norm = first.iter().map(|g| g.to_kind(case.dy.kind()).square().sum(case.dy.kind())).reduce(|a, b| a + b);
        Tensor::run_backward(&[norm.unwrap()], &case.inputs(), false, false)
    };
    let case = Case::new([2, 16, 16, 4, 3], 1, true);
    let reference = case.in_float64();
    let found = second(&case, case.ours());
    // Everything is rounded to bfloat16 on the way, several times.
    for (a, b) in found.iter().zip(&second(&reference, reference.defined())) {
        assert_close(a, b, 8.0 * NARROW, "second gradient");
    }
}

#[test]
fn what_it_does_not_take_is_said() {
    if !is_here() {
        return;
    }
    let case = Case::new([2, 16, 16, 4, 4], 1, false);
    let takes = |case: &Case| can_conv(&case.x, case.convolution());
    assert!(!no_grad(|| takes(&case)));
    assert!(!takes(&Case { weight: case.weight.detach(), ..Case::new([2, 16, 16, 4, 4], 1, false) }));
    assert!(!takes(&Case { x: case.x.detach().contiguous(), ..Case::new([2, 16, 16, 4, 4], 1, false) }));
    assert!(!takes(&case.in_float64()));
    for shape in [[2, 8, 16, 4, 4], [2, 16, 24, 4, 4], [0, 16, 16, 4, 4]] {
        assert!(!takes(&Case::new(shape, 1, false)), "{shape:?}");
    }
    let narrow = |padding| Convolution { padding, ..case.convolution() };
    assert!(!can_conv(&case.x, narrow(0)));
    assert!(!can_conv(&case.x, Convolution { stride: 3, ..case.convolution() }));
    let pointwise = pattern(&[16, 16, 1, 1], 0.0).set_requires_grad(true);
    assert!(!can_conv(&case.x, Convolution { weight: &pointwise, ..case.convolution() }));
    let message = conv(&case.x, narrow(0)).unwrap_err().to_string();
    assert_eq!(message, "cannot convolve the map: a map and weights that `can_conv` takes expected");
}
