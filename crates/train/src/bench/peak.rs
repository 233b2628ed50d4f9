//! What the machine can do at best, against which a step is measured.

use std::time::Instant;

use tch::{Device, Kind, Tensor};

use crate::recipe::Precision;

/// Rows and columns of the matrices: large enough that the product is bound by arithmetic.
const SIZE: i64 = 2048;

/// Products of two large square matrices in the number format that a model's convolutions run in.
pub(super) struct Peak {
    a: Tensor,
    b: Tensor,
}

impl Peak {
    /// Makes the matrices and multiplies them once, which is not timed.
    pub(super) fn new(precision: Precision, device: Device) -> Self {
        let kind = match precision {
            Precision::Fp32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        };
        let draw = || Tensor::randn([SIZE, SIZE], (Kind::Float, device)).to_kind(kind);
        let peak = Self { a: draw(), b: draw() };
        peak.gflops();
        peak
    }

    /// Floating-point operations of one product over its time, in 10^9 a second; a product and its sum are two.
    pub(super) fn gflops(&self) -> f64 {
        let _guard = tch::no_grad_guard();
        let start = Instant::now();
        let product = self.a.matmul(&self.b);
        let _ = product.double_value(&[0, 0]);
        2.0 * (SIZE as f64).powi(3) / start.elapsed().as_secs_f64() / 1e9
    }
}
