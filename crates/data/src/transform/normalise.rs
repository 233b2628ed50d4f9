//! Bytes to floats: `(byte / 255 - mean) / std`, looked up in a table.

use super::pad_crop::Writer;
use crate::Error;

/// One table of 256 values per channel: the same bits as the formula, at the cost of a load.
#[derive(Debug, Clone)]
pub(super) struct Normalise {
    tables: Vec<[f32; 256]>,
}

impl Normalise {
    pub(super) fn new(channels: usize, mean: &[f32], std: &[f32]) -> Result<Self, Error> {
        let unit = (vec![0.0; channels], vec![1.0; channels]);
        let (mean, std) = if mean.is_empty() && std.is_empty() { (&unit.0[..], &unit.1[..]) } else { (mean, std) };
        if mean.len() != channels || std.len() != channels {
            return Err(Error::Config(format!(
                "mean and std have {} and {} values: expected {channels} each, one per channel",
                mean.len(),
                std.len()
            )));
        }
        if let Some(bad) = mean.iter().find(|mean| !mean.is_finite()) {
            return Err(Error::Config(format!("mean holds {bad}: expected finite numbers")));
        }
        if let Some(bad) = std.iter().find(|&&std| !(std.is_finite() && std > 0.0)) {
            return Err(Error::Config(format!("std holds {bad}: expected finite numbers above 0")));
        }
        let table = |(mean, std): (&f32, &f32)| std::array::from_fn(|byte| (byte as f32 / 255.0 - mean) / std);
        Ok(Self { tables: mean.iter().zip(std).map(table).collect() })
    }

    fn pixel(&self, pixel: &[u8], out: &mut [f32]) {
        for ((out, &byte), table) in out.iter_mut().zip(pixel).zip(&self.tables) {
            *out = table[usize::from(byte)];
        }
    }
}

impl Writer<f32> for Normalise {
    fn run(&self, pixels: &[u8], out: &mut [f32]) {
        match &self.tables[..] {
            [grey] => pixels.iter().zip(out).for_each(|(&byte, out)| *out = grey[usize::from(byte)]),
            [red, green, blue] => {
                for (pixel, out) in pixels.as_chunks::<3>().0.iter().zip(out.as_chunks_mut::<3>().0) {
                    *out = [red[usize::from(pixel[0])], green[usize::from(pixel[1])], blue[usize::from(pixel[2])]];
                }
            }
            tables => {
                for (pixel, out) in pixels.chunks_exact(tables.len()).zip(out.chunks_exact_mut(tables.len())) {
                    self.pixel(pixel, out);
                }
            }
        }
    }

    fn run_mirrored(&self, pixels: &[u8], out: &mut [f32]) {
        match &self.tables[..] {
            [grey] => pixels.iter().rev().zip(out).for_each(|(&byte, out)| *out = grey[usize::from(byte)]),
            [red, green, blue] => {
                for (pixel, out) in pixels.as_chunks::<3>().0.iter().rev().zip(out.as_chunks_mut::<3>().0) {
                    *out = [red[usize::from(pixel[0])], green[usize::from(pixel[1])], blue[usize::from(pixel[2])]];
                }
            }
            tables => {
                for (pixel, out) in pixels.rchunks_exact(tables.len()).zip(out.chunks_exact_mut(tables.len())) {
                    self.pixel(pixel, out);
                }
            }
        }
    }

    fn fill_black(&self, out: &mut [f32]) {
        for pixel in out.chunks_exact_mut(self.tables.len()) {
            pixel.iter_mut().zip(&self.tables).for_each(|(out, table)| *out = table[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_hand() {
        // Mean 0.5, deviation 0.25: 0 becomes -2, 255 becomes 2, 51 = 0.2 becomes -1.2.
        let normalise = Normalise::new(1, &[0.5], &[0.25]).unwrap();
        let mut out = [0.0; 3];
        normalise.run(&[0, 255, 51], &mut out);
        assert_eq!(out, [-2.0, 2.0, -1.2]);
    }

    #[test]
    fn every_channel_count_follows_its_own_table() {
        for channels in 1..5 {
            let mean: Vec<f32> = (0..channels).map(|c| c as f32).collect();
            let normalise = Normalise::new(channels, &mean, &vec![1.0; channels]).unwrap();
            let pixels = [vec![0; channels], vec![255; channels]].concat();
            let (mut forward, mut mirrored) = (vec![0.0; 2 * channels], vec![0.0; 2 * channels]);
            normalise.run(&pixels, &mut forward);
            normalise.run_mirrored(&pixels, &mut mirrored);
            let (black, white): (Vec<_>, Vec<_>) = (0..channels).map(|c| (-(c as f32), 1.0 - c as f32)).unzip();
            assert_eq!(forward, [&black[..], &white].concat());
            assert_eq!(mirrored, [&white[..], &black].concat());
        }
    }

    #[test]
    fn without_statistics_pixels_are_scaled() {
        let mut out = [0.0; 3];
        Normalise::new(3, &[], &[]).unwrap().run(&[0, 51, 255], &mut out);
        assert_eq!(out, [0.0, 0.2, 1.0]);
    }

    #[test]
    fn statistics_that_cannot_work_are_refused() {
        for (mean, std, message) in [
            (&[0.5, 0.5][..], &[0.5][..], "mean and std have 2 and 1 values: expected 1 each, one per channel"),
            (&[f32::NAN], &[1.0], "mean holds NaN: expected finite numbers"),
            (&[0.5], &[0.0], "std holds 0: expected finite numbers above 0"),
        ] {
            assert_eq!(Normalise::new(1, mean, std).unwrap_err().to_string(), message);
        }
    }
}
