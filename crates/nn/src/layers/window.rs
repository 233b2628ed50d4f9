//! The windows of pooling.

use crate::Error;

/// Windows of one side length that step over a map, with cells beyond its edge on each side.
#[derive(Clone, Copy, Debug)]
pub(super) struct Windows {
    pub(super) kernel: i64,
    pub(super) stride: i64,
    pub(super) padding: i64,
    pub(super) ceil: bool,
}

impl Windows {
    /// # Errors
    /// What libtorch would refuse; `layer` says whose.
    pub(super) fn check(self, layer: &str) -> Result<(), Error> {
        for (what, value) in [("kernel", self.kernel), ("stride", self.stride)] {
            if value < 1 {
                return Err(Error::config(format!("{what} of the {layer}"), "at least 1", value));
            }
        }
        if !(0..=self.kernel / 2).contains(&self.padding) {
            let half = format!("0 to {}, half the kernel", self.kernel / 2);
            return Err(Error::config(format!("padding of the {layer}"), half, self.padding));
        }
        Ok(())
    }

    /// How many windows there are along an axis of `input` cells.
    ///
    /// # Errors
    /// As [`Windows::check`], and an axis on which no window fits.
    pub(super) fn count(self, input: i64, layer: &str) -> Result<i64, Error> {
        self.check(layer)?;
        // Rounding up takes a last window that lacks less than a step.
        let spare = if self.ceil { self.stride - 1 } else { 0 };
        let least = (self.kernel - 2 * self.padding - spare).max(1);
        if input < least {
            return Err(Error::config(format!("map before the {layer}"), format!("a side of at least {least}"), input));
        }
        let count = (input + 2 * self.padding - self.kernel + spare) / self.stride + 1;
        // PyTorch's rule: every window starts in the map or in the padding before it.
        let starts_beyond = self.ceil && (count - 1) * self.stride >= input + self.padding;
        Ok(if starts_beyond { count - 1 } else { count })
    }
}
