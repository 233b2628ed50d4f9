//! Max pooling and its gradient against libtorch's, to the last bit.

use mp_native::{PoolWindows, can_max_pool, max_pool};
use tch::{Device, Kind, Tensor};

fn map(shape: [i64; 4], kind: Kind) -> Tensor {
    let count: i64 = shape.iter().product();
    let x = (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7).sin().to_kind(kind);
    let [images, channels, height, width] = shape;
    x.reshape([images, height, width, channels]).permute([0, 3, 1, 2])
}

fn theirs(x: &Tensor, kernel: i64, stride: i64, padding: i64, ceil: bool) -> Tensor {
    x.max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1; 2], ceil)
}

/// Kernel, stride, padding and whether counts are rounded up.
const WINDOWS: [(i64, i64, i64, bool); 5] =
    [(3, 2, 1, false), (3, 2, 0, true), (2, 2, 0, false), (3, 1, 1, false), (2, 3, 1, false)];

fn ours(x: &Tensor, expected: &Tensor, (kernel, stride, padding, _): (i64, i64, i64, bool)) -> Tensor {
    let (_, _, height, width) = expected.size4().unwrap();
    assert!(can_max_pool(x));
    max_pool(x, PoolWindows { kernel, stride, padding, count: [height, width] }).unwrap()
}

#[test]
fn agrees_with_libtorch_for_every_number_of_channels_and_window() {
    for kind in [Kind::Float, Kind::BFloat16] {
        for channels in [3, 16, 31, 32, 48, 64, 100] {
            let x = map([2, channels, 9, 6], kind);
            for windows in WINDOWS {
                let expected = theirs(&x, windows.0, windows.1, windows.2, windows.3);
                assert_eq!(ours(&x, &expected, windows), expected, "{kind:?}, {channels} channels, {windows:?}");
            }
        }
    }
}

#[test]
fn its_gradient_goes_where_each_largest_number_stood() {
    for channels in [3, 16, 48, 96] {
        for windows in WINDOWS {
            // Numbers of few bits, so that many are equal and all sums exact.
            let x = (map([2, channels, 9, 6], Kind::Float) * 4.0).round();
            let gradient = |ours_too: bool| {
                let x = x.detach().set_requires_grad(true);
                let expected = theirs(&x, windows.0, windows.1, windows.2, windows.3);
                let y = if ours_too { ours(&x, &expected, windows) } else { expected };
                let dy = Tensor::arange(y.numel() as i64, (Kind::Float, Device::Cpu)).remainder(8.0).view_as(&y);
                (y * dy).sum(Kind::Float).backward();
                x.grad()
            };
            assert_eq!(gradient(true), gradient(false), "{channels} channels, {windows:?}");
        }
    }
}

#[test]
fn a_gradient_of_the_gradient_is_libtorchs() {
    let x = map([1, 16, 6, 6], Kind::Float).set_requires_grad(true);
    let expected = theirs(&x, 3, 2, 1, false);
    let second = |y: Tensor| {
        let dx = Tensor::run_backward(&[(&y * &y).sum(Kind::Float)], &[&x], true, true).remove(0);
        Tensor::run_backward(&[(&dx * &dx).sum(Kind::Float)], &[&x], false, false).remove(0)
    };
    let found = second(ours(&x, &expected, (3, 2, 1, false)));
    assert!(found.allclose(&second(expected), 1e-6, 1e-6, false));
}

#[test]
fn a_nan_is_the_largest_and_minus_infinity_the_smallest() {
    let x = map([1, 16, 4, 4], Kind::Float);
    let _ = x.select(2, 1).select(2, 1).fill_(f64::NAN);
    let _ = x.slice(2, 2, 4, 1).slice(3, 2, 4, 1).fill_(f64::NEG_INFINITY);
    let y = max_pool(&x, PoolWindows { kernel: 2, stride: 2, padding: 0, count: [2, 2] }).unwrap();
    let expected = theirs(&x, 2, 2, 0, false);
    assert_eq!(y.isnan(), expected.isnan());
    assert_eq!(y.nan_to_num(7.0, None, None), expected.nan_to_num(7.0, None, None));
    assert_eq!(y.double_value(&[0, 0, 1, 1]), f64::NEG_INFINITY);
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = map([1, 16, 4, 4], Kind::Float);
    assert!(!can_max_pool(&x.contiguous()), "another layout");
    let beyond = PoolWindows { kernel: 2, stride: 2, padding: 0, count: [3, 2] };
    let error = max_pool(&x, beyond).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot pool the map: windows of 2 with a stride of 2 and a padding of 0 do not give 3 x 2 of [1, 16, 4, 4]"
    );
}
