//! An axis of a picture: round numbers around the data.

/// Values further out are drawn at this one, so that no sum or difference of two overflows.
const FURTHEST: f64 = 1e300;
/// The least distance, as a share of the values, at which two of them are told apart.
const FINEST: f64 = 1e-9;

/// From the lowest to the highest round number around the data.
#[derive(Debug)]
pub struct Axis {
    /// Its low end.
    pub low: f64,
    /// Its high end.
    pub high: f64,
    step: f64,
}

impl Axis {
    /// Any two finite numbers give an axis of a few steps.
    pub fn new(low: f64, high: f64) -> Self {
        let (low, high) = (low.clamp(-FURTHEST, FURTHEST), high.clamp(-FURTHEST, FURTHEST));
        let size = low.abs().max(high.abs());
        // What is equal, or as good as that, stands in the middle.
        let (low, high) = match high - low > size * FINEST && high - low > 1e-300 {
            true => (low, high),
            false => (low - f64::max(0.5, size / 20.0), high + f64::max(0.5, size / 20.0)),
        };
        let step = round_step((high - low) / 5.0);
        Self { low: (low / step + 1e-9).floor() * step, high: (high / step - 1e-9).ceil() * step, step }
    }

    /// Where a value stands: 0 at the low end, 1 at the high end.
    pub fn share(&self, value: f64) -> f64 {
        ((value.clamp(-FURTHEST, FURTHEST) - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// The round numbers from end to end.
    pub fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count).map(|index| self.low + index as f64 * self.step).collect()
    }

    /// Whether its labels are short without an exponent.
    pub fn is_plain(&self) -> bool {
        self.low.abs().max(self.high.abs()) < 1e6 && self.step > 1e-7
    }

    /// Decimal places that tell neighbouring ticks apart.
    pub fn digits(&self) -> usize {
        (-(self.step * 1.000_001).log10().floor()).max(0.0) as usize
    }

    /// A value with as many digits as neighbouring ticks need, and some more.
    pub fn label(&self, value: f64, more: usize) -> String {
        if self.is_plain() {
            return format!("{value:.*}", self.digits() + more);
        }
        let size = self.low.abs().max(self.high.abs());
        let digits = (size / self.step).log10().ceil().clamp(0.0, 12.0) as usize;
        format!("{value:.*e}", digits + more)
    }
}

/// The least of 1, 2, 5 times a power of ten that is not below `step`.
fn round_step(step: f64) -> f64 {
    let power = 10_f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * 0.999_999).unwrap_or(10.0);
    factor * power
}
