//! Max pooling for inference against libtorch's, to the last bit.

use mp_native::{PoolWindows, can_max_pool, max_pool};
use tch::{Device, Kind, Tensor, no_grad};

fn map(shape: [i64; 4], kind: Kind) -> Tensor {
    let count: i64 = shape.iter().product();
    let x = (Tensor::arange(count, (Kind::Double, Device::Cpu)) * 0.7).sin().to_kind(kind);
    let [images, channels, height, width] = shape;
    x.reshape([images, height, width, channels]).permute([0, 3, 1, 2])
}

fn theirs(x: &Tensor, kernel: i64, stride: i64, padding: i64, ceil: bool) -> Tensor {
    x.max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1; 2], ceil)
}

#[test]
fn agrees_with_libtorch_for_every_number_of_channels_and_window() {
    for kind in [Kind::Float, Kind::BFloat16] {
        for channels in [1, 3, 16, 31, 32, 48, 64, 100] {
            let x = map([2, channels, 9, 6], kind);
            for (kernel, stride, padding, ceil) in
                [(3, 2, 1, false), (3, 2, 0, true), (2, 2, 0, false), (3, 1, 1, false)]
            {
                let expected = theirs(&x, kernel, stride, padding, ceil);
                let (_, _, height, width) = expected.size4().unwrap();
                let windows = PoolWindows { kernel, stride, padding, count: [height, width] };
                let found = no_grad(|| {
                    assert!(channels == 1 || can_max_pool(&x));
                    can_max_pool(&x).then(|| max_pool(&x, windows).unwrap())
                });
                if let Some(found) = found {
                    assert_eq!(found, expected, "{kind:?}, {channels} channels, kernel {kernel}");
                }
            }
        }
    }
}

#[test]
fn a_nan_is_the_largest_and_minus_infinity_the_smallest() {
    let x = map([1, 16, 4, 4], Kind::Float);
    let _ = x.select(2, 1).select(2, 1).fill_(f64::NAN);
    let _ = x.slice(2, 2, 4, 1).slice(3, 2, 4, 1).fill_(f64::NEG_INFINITY);
    let y = no_grad(|| max_pool(&x, PoolWindows { kernel: 2, stride: 2, padding: 0, count: [2, 2] })).unwrap();
    let expected = theirs(&x, 2, 2, 0, false);
    assert_eq!(y.isnan(), expected.isnan());
    assert_eq!(y.nan_to_num(7.0, None, None), expected.nan_to_num(7.0, None, None));
    assert_eq!(y.double_value(&[0, 0, 1, 1]), f64::NEG_INFINITY);
}

#[test]
fn what_does_not_fit_is_refused() {
    let x = map([1, 16, 4, 4], Kind::Float);
    assert!(!can_max_pool(&x), "while gradients are recorded");
    let beyond = PoolWindows { kernel: 2, stride: 2, padding: 0, count: [3, 2] };
    let error = no_grad(|| max_pool(&x, beyond)).unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot pool the map: windows of 2 with a stride of 2 and a padding of 0 do not give 3 x 2 of [1, 16, 4, 4]"
    );
}
