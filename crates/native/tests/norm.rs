//! The fused norm against libtorch's own batch-norm, addition and ReLU, forward and backward.

use mp_native::{NormState, batch_norm, can_norm};
use tch::{Device, Kind, Tensor};

/// A fixed pattern of the given shape, channels-last; libtorch's generator is shared between the tests of a process.
fn pattern(shape: &[i64], kind: Kind, phase: f64) -> Tensor {
    let count: i64 = shape.iter().product();
    let x = ((Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7 + phase).sin() * 2.0 + 0.3).to_kind(kind);
    match shape {
        [b, c, h, w] => x.view([*b, *h, *w, *c]).permute([0, 3, 1, 2]),
        _ => x.reshape(shape),
    }
}

/// The tensors of one case, leaves of their own.
struct Case {
    x: Tensor,
    residual: Option<Tensor>,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    relu: bool,
    training: bool,
}

impl Case {
    fn new(shape: [i64; 4], kind: Kind, residual: bool, relu: bool, training: bool) -> Self {
        let real = if kind == Kind::Double { Kind::Double } else { Kind::Float };
        let channels = [shape[1]];
        Case {
            x: pattern(&shape, kind, 0.0).set_requires_grad(true),
            residual: residual.then(|| pattern(&shape, kind, 1.0).set_requires_grad(true)),
            weight: pattern(&channels, real, 2.0).set_requires_grad(true),
            bias: pattern(&channels, real, 3.0).set_requires_grad(true),
            running_mean: pattern(&channels, real, 4.0),
            running_var: pattern(&channels, real, 5.0).square() + 0.1,
            relu,
            training,
        }
    }

    /// The same numbers in float64.
    fn in_float64(&self) -> Self {
        let leaf = |x: &Tensor| x.detach().to_kind(Kind::Double).copy().set_requires_grad(true);
        Case {
            x: leaf(&self.x),
            residual: self.residual.as_ref().map(leaf),
            weight: leaf(&self.weight),
            bias: leaf(&self.bias),
            running_mean: self.running_mean.to_kind(Kind::Double).copy(),
            running_var: self.running_var.to_kind(Kind::Double).copy(),
            ..*self
        }
    }

    fn fused(&self) -> Tensor {
        let state = NormState {
            weight: &self.weight,
            bias: &self.bias,
            running_mean: &self.running_mean,
            running_var: &self.running_var,
            momentum: 0.1,
            eps: 1e-5,
        };
        batch_norm(&self.x, state, self.residual.as_ref(), self.relu, self.training).unwrap()
    }

    fn composed(&self) -> Tensor {
        let (weight, bias) = (Some(&self.weight), Some(&self.bias));
        let (mean, var) = (Some(&self.running_mean), Some(&self.running_var));
        let y = self.x.batch_norm(weight, bias, mean, var, self.training, 0.1, 1e-5, false);
        let y = self.residual.as_ref().map_or(y.shallow_clone(), |residual| &y + residual);
        if self.relu { y.relu() } else { y }
    }

    fn inputs(&self) -> Vec<&Tensor> {
        [&self.x, &self.weight, &self.bias].into_iter().chain(&self.residual).collect()
    }

    /// The gradients of a sum that weighs every number differently.
    fn gradients(&self, y: &Tensor) -> Vec<Tensor> {
        let loss = (y.to_kind(Kind::Double) * pattern(&y.size(), Kind::Double, 6.0)).sum(Kind::Double);
        Tensor::run_backward(&[loss], &self.inputs(), false, false)
    }
}

fn assert_close(a: &Tensor, b: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(a.size(), b.size(), "{what}");
    let scale = b.abs().max().double_value(&[]).max(1.0);
    let difference = (a.to_kind(Kind::Double) - b.to_kind(Kind::Double)).abs().max().double_value(&[]);
    assert!(difference <= tolerance * scale, "{what}: largest difference {difference}, at most {scale}");
}

fn check(shape: [i64; 4], kind: Kind, tolerance: f64) {
    for (residual, relu, training) in
        [(false, false, true), (false, true, true), (true, true, true), (true, false, true), (true, true, false)]
    {
        let what = format!("{shape:?}, {kind:?}, residual {residual}, relu {relu}, training {training}");
        let case = Case::new(shape, kind, residual, relu, training);
        let reference = case.in_float64();
        let (y, expected) = (case.fused(), reference.composed());
        assert_eq!(y.kind(), kind);
        assert_close(&y, &expected, tolerance, &what);
        assert_close(&case.running_mean, &reference.running_mean, tolerance.min(1e-5), &what);
        assert_close(&case.running_var, &reference.running_var, tolerance.min(1e-5), &what);
        for (at, (a, b)) in case.gradients(&y).iter().zip(&reference.gradients(&expected)).enumerate() {
            assert_close(a, b, tolerance, &format!("gradient {at} of {what}"));
        }
    }
}

#[test]
fn agrees_with_libtorch_on_every_number_of_channels() {
    // 64, 32 and 16 channels run as one, the rest one by one: 117 = 64 + 32 + 16 + 5.
    for channels in [1, 3, 16, 32, 48, 64, 117] {
        check([2, channels, 5, 3], Kind::Double, 1e-12);
        check([2, channels, 5, 3], Kind::Float, 2e-5);
    }
}

#[test]
fn agrees_with_libtorch_over_many_chunks() {
    check([7, 40, 33, 9], Kind::Double, 1e-12);
    check([7, 40, 33, 9], Kind::Float, 2e-5);
}

#[test]
fn bfloat16_maps_are_normalised_in_float32() {
    // Eight bits of mantissa: a number near 4 is rounded by up to 2^-7. A gradient's sums are of rounded numbers; near a
    // ReLU's kink the rounded number decides, so the reference takes the kinks of the same numbers.
    let case = Case::new([4, 32, 8, 8], Kind::BFloat16, true, true, true);
    let reference = case.in_float64();
    assert_close(&case.fused(), &reference.composed(), 2.0_f64.powi(-7), "bfloat16");
}

#[test]
fn channels_far_from_zero_keep_their_variance() {
    // A deviation of 1 around 1000: sums of squares in float32 would lose it.
    let x = pattern(&[8, 16, 16, 16], Kind::Float, 0.0) + 1000.0;
    let case =
        Case { x: x.detach().set_requires_grad(true), ..Case::new([8, 16, 16, 16], Kind::Float, false, false, true) };
    let reference = case.in_float64();
    assert_close(&case.fused(), &reference.composed(), 1e-3, "far from 0");
    assert_close(&case.running_var, &reference.running_var, 1e-4, "variance");
}

#[test]
fn finite_differences_agree() {
    let case = Case::new([2, 3, 2, 2], Kind::Double, true, true, true);
    let weigh = |y: Tensor| (y * pattern(&[2, 3, 2, 2], Kind::Double, 6.0)).sum(Kind::Double).double_value(&[]);
    let gradients = case.gradients(&case.fused());
    let step = 1e-6;
    for (input, gradient) in case.inputs().iter().zip(&gradients) {
        let gradient = gradient.contiguous().view(-1);
        // Channels-last numbers in the order of their axes.
        let numbers = input.detach().contiguous().view(-1);
        for at in 0..numbers.numel() as i64 {
            let moved = |by: f64| {
                let _guard = tch::no_grad_guard();
                let changed = numbers.copy();
                let _ = changed.get(at).g_add_scalar_(by);
                let before = input.copy();
                input.shallow_clone().copy_(&changed.view_as(input));
                let value = weigh(case.fused());
                input.shallow_clone().copy_(&before);
                value
            };
            let slope = (moved(step) - moved(-step)) / (2.0 * step);
            assert!((slope - gradient.double_value(&[at])).abs() < 1e-6, "{slope}, {gradient}");
        }
    }
}

#[test]
fn gradients_of_gradients_agree_with_libtorch() {
    for (residual, relu, training) in [(true, true, true), (false, true, false)] {
        let second = |case: &Case, y: Tensor| {
            let loss = (&y * &y * pattern(&y.size(), Kind::Double, 6.0)).sum(Kind::Double);
            let first = Tensor::run_backward(&[loss], &case.inputs(), true, true);
            let norm = first.iter().map(|g| g.square().sum(Kind::Double)).reduce(|a, b| a + b).unwrap();
            Tensor::run_backward(&[norm], &case.inputs(), false, false)
        };
        let case = Case::new([3, 5, 2, 2], Kind::Double, residual, relu, training);
        let reference = case.in_float64();
        let found = second(&case, case.fused());
        for (a, b) in found.iter().zip(&second(&reference, reference.composed())) {
            assert_close(a, b, 1e-9, "second gradient");
        }
    }
}

#[test]
fn a_residual_that_needs_no_gradient_and_one_in_another_layout_are_taken() {
    let case = Case::new([2, 4, 3, 3], Kind::Double, true, true, true);
    let reference = case.in_float64();
    let planes = case.residual.as_ref().map(|residual| residual.detach().contiguous());
    let y = Case { residual: planes, ..case }.fused();
    assert_close(&y, &reference.composed(), 1e-12, "contiguous residual");
}

#[test]
fn the_gradient_given_from_outside_is_left_alone() {
    let case = Case::new([2, 4, 3, 3], Kind::Double, true, true, true);
    let y = case.fused();
    let dy = Tensor::ones_like(&y);
    let loss = (&y * &dy).sum(Kind::Double);
    loss.backward();
    assert_eq!(dy.min().double_value(&[]), 1.0);
}

#[test]
fn a_nan_shows_in_the_output() {
    let case = Case::new([2, 16, 2, 2], Kind::Float, false, true, false);
    let spoilt = case.x.detach().copy();
    let _ = spoilt.get(0).get(3).get(0).get(0).fill_(f64::NAN);
    let y = Case { x: spoilt, ..case }.fused();
    assert_eq!(y.isnan().sum(Kind::Int64).int64_value(&[]), 1);
}

#[test]
fn what_it_does_not_take_is_said() {
    let map = Tensor::zeros([2, 4, 3, 3], (Kind::Float, Device::Cpu));
    assert!(!can_norm(&map));
    assert!(!can_norm(&map.view([2, 36])));
    assert!(!can_norm(&Tensor::zeros([0, 4, 3, 3], (Kind::Float, Device::Cpu))));
    assert!(!can_norm(&pattern(&[2, 4, 3, 3], Kind::Half, 0.0)));
    let case = Case { x: map, ..Case::new([2, 4, 3, 3], Kind::Float, false, true, true) };
    let state = |bias| NormState {
        weight: &case.weight,
        bias,
        running_mean: &case.running_mean,
        running_var: &case.running_var,
        momentum: 0.1,
        eps: 1e-5,
    };
    let message = batch_norm(&case.x, state(&case.bias), None, true, true).unwrap_err().to_string();
    assert_eq!(
        message,
        "cannot normalise the map: expected a map [B, C, H, W] of a float type, channels-last, found Float of [2, 4, 3, 3]"
    );
    let x = pattern(&[2, 4, 3, 3], Kind::Float, 0.0);
    let short = Tensor::zeros([3], (Kind::Float, Device::Cpu));
    let message = batch_norm(&x, state(&short), None, true, true).unwrap_err().to_string();
    assert!(message.starts_with("cannot normalise the map: per-channel values [4] of Float expected"), "{message}");
}
