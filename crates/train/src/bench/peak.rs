//! What the machine can do at best, against which a step is measured.

use std::time::Instant;

use tch::{Device, Kind, Tensor};

use crate::recipe::Precision;

/// Products of two large square matrices in the number format that a model's convolutions run in.
pub(super) struct Peak {
    a: Tensor,
    b: Tensor,
    products: usize,
}

impl Peak {
    /// Makes the matrices and multiplies them once, which is not timed.
    ///
    /// They are so large that the product is bound by arithmetic; a GPU, for which starting a product and waiting for it is much of
    /// its time, makes several in a row.
    pub(super) fn new(precision: Precision, device: Device) -> Self {
        let (size, products) = if device.is_cuda() { (8192, 8) } else { (2048, 1) };
        let draw = || Tensor::randn([size, size], (Kind::Float, device)).to_kind(precision.kind());
        let peak = Self { a: draw(), b: draw(), products };
        peak.gflops();
        peak
    }

    /// Floating-point operations of the products over their time, in 10^9 a second; a product and its sum are two.
    pub(super) fn gflops(&self) -> f64 {
        let _guard = tch::no_grad_guard();
        let size = self.a.size()[0] as f64;
        let start = Instant::now();
        let mut product = self.a.matmul(&self.b);
        for _ in 1..self.products {
            product = self.a.matmul(&self.b);
        }
        let _ = product.double_value(&[0, 0]);
        2.0 * size.powi(3) * self.products as f64 / start.elapsed().as_secs_f64() / 1e9
    }
}
