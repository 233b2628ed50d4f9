//! Pooling: where the windows lie, what counts in a mean, and the sizes that come out.

use mp_nn::{AvgPool2d, Device, Kind, MaxPool2d, Mode, Module, Tensor, adaptive_avg_pool2d, global_avg_pool};
use proptest::prelude::*;

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

fn row(values: &[f32]) -> Tensor {
    Tensor::from_slice(values).view([1, 1, 1, -1]).expand([1, 1, values.len() as i64, -1], false)
}

fn first_row(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.select(2, 0).contiguous().view(-1)).unwrap()
}

/// ResNet's stem and Caffe's come out equally wide, one cell apart: on 1 to 6, windows (. 1 2), (2 3 4), (4 5 6) against
/// (1 2 3), (3 4 5), (5 6).
#[test]
fn padding_and_rounding_up_shift_the_windows() {
    let x = row(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    let padded = MaxPool2d { padding: 1, ..MaxPool2d::new(3, 2) };
    let up = MaxPool2d { ceil: true, ..MaxPool2d::new(3, 2) };
    assert_eq!(first_row(&padded.forward(&x, Mode::Eval)), [2.0, 4.0, 6.0]);
    assert_eq!(first_row(&up.forward(&x, Mode::Eval)), [3.0, 5.0, 6.0]);
    assert_eq!((padded.output_size(112).unwrap(), up.output_size(112).unwrap()), (56, 56));
    assert_eq!((padded.output_size(33).unwrap(), up.output_size(33).unwrap()), (17, 16));
}

/// On three cells, windows of 2 in steps of 2 with one cell of padding: (. 1), (2 3), and with `ceil` one more that would
/// start beyond the third cell, where no map is: it is dropped.
#[test]
fn a_window_that_starts_beyond_the_map_is_dropped() {
    let x = row(&[1.0, 2.0, 3.0]);
    let pool = MaxPool2d { padding: 1, ceil: true, ..MaxPool2d::new(2, 2) };
    assert_eq!(first_row(&pool.forward(&x, Mode::Eval)), [1.0, 3.0]);
    assert_eq!(pool.output_size(3).unwrap(), 2);
    assert_eq!(MaxPool2d { ceil: true, ..MaxPool2d::new(1, 3) }.output_size(5).unwrap(), 2);
}

/// The last of the windows of 2 on three cells holds one cell: its mean is that cell, whether padding counts or not, as
/// cells beyond the padding never count. A padded cell does: (0 + 1) / 2 against 1 / 1.
#[test]
fn a_mean_counts_padding_only_where_asked() {
    let x = row(&[1.0, 2.0, 3.0]);
    let first = |pool: AvgPool2d| first_row(&pool.forward(&x, Mode::Eval));
    let up = AvgPool2d { ceil: true, ..AvgPool2d::new(2, 2) };
    assert_eq!(first(up), [1.5, 3.0]);
    // The row above the first is padding too, so that a fourth of the window lies in the map.
    let padded = AvgPool2d { padding: 1, ..AvgPool2d::new(2, 2) };
    assert_eq!(first(padded), [0.25, 1.25]);
    assert_eq!(first(AvgPool2d { count_include_pad: false, ..padded }), [1.0, 2.5]);
}

#[test]
fn an_adaptive_mean_of_one_is_the_global_one() {
    let x = Tensor::arange(2 * 3 * 5 * 4, CPU).view([2, 3, 5, 4]).sin();
    assert!(adaptive_avg_pool2d(&x, 1).flatten(1, -1).allclose(&global_avg_pool(&x), 1e-6, 1e-6, false));
    assert_eq!(adaptive_avg_pool2d(&x, (6, 7)).size(), [2, 3, 6, 7], "a map may be smaller than what is asked for");
    assert_eq!(adaptive_avg_pool2d(&x, (5, 4)), x);
}

#[test]
fn settings_and_maps_out_of_range_are_refused() {
    let refusal = |pool: MaxPool2d, input| pool.output_size(input).unwrap_err().to_string();
    assert_eq!(refusal(MaxPool2d::new(0, 1), 8), "kernel of the max pooling: expected at least 1, found 0");
    assert_eq!(
        refusal(MaxPool2d { padding: 2, ..MaxPool2d::new(3, 1) }, 8),
        "padding of the max pooling: expected 0 to 1, half the kernel, found 2"
    );
    assert_eq!(refusal(MaxPool2d::new(3, 2), 2), "map before the max pooling: expected a side of at least 3, found 2");
    assert_eq!(
        AvgPool2d::new(8, 8).output_size(7).unwrap_err().to_string(),
        "map before the average pooling: expected a side of at least 8, found 7"
    );
}

proptest! {
    #[test]
    fn the_size_that_is_announced_is_the_size_that_comes(
        (height, width) in (1_i64..15, 1_i64..15),
        (kernel, stride) in (1_i64..6, 1_i64..5),
        padding in 0_i64..3,
        ceil: bool,
    ) {
        let max = MaxPool2d { padding, ceil, ..MaxPool2d::new(kernel, stride) };
        let avg = AvgPool2d { padding, ceil, ..AvgPool2d::new(kernel, stride) };
        let x = Tensor::zeros([1, 1, height, width], CPU);
        let announced = max.output_size(height).and_then(|h| Ok((h, max.output_size(width)?)));
        let refused = x
            .f_max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1; 2], ceil)
            .is_err();
        match announced {
            Ok((h, w)) => {
                prop_assert_eq!(max.forward(&x, Mode::Eval).size(), [1, 1, h, w]);
                prop_assert_eq!(avg.forward(&x, Mode::Eval).size(), [1, 1, h, w]);
                prop_assert_eq!(avg.output_size(height).unwrap(), h);
            }
            Err(error) => prop_assert!(refused, "{error}"),
        }
    }
}
