//! Pooling.

use tch::Tensor;

/// The largest number of each window: `[B, C, H, W]` to `[B, C, H', W']`, `H' = (H + 2 padding - kernel) / stride + 1`.
pub fn max_pool2d(x: &Tensor, kernel: i64, stride: i64, padding: i64) -> Tensor {
    x.max_pool2d([kernel; 2], [stride; 2], [padding; 2], [1; 2], false)
}

/// The mean over height and width: `[B, C, H, W]` to `[B, C]`.
pub fn global_avg_pool(x: &Tensor) -> Tensor {
    x.mean_dim([2_i64, 3].as_slice(), false, None)
}
