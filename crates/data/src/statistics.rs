//! Channel means and deviations, which normalisation needs.

use rayon::prelude::*;

use crate::{Dataset, Error, Image, ImageView};

/// The mean and the standard deviation of every channel over all pixels, with pixels scaled to 0..1.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Statistics {
    /// Per channel, between 0 and 1.
    pub mean: Vec<f32>,
    /// Per channel; 1 for a channel that is the same everywhere, so that dividing by it is harmless.
    pub std: Vec<f32>,
}

impl Statistics {
    /// Those of ImageNet's training pictures, as torchvision has them; public weights expect colour images to be normalised by
    /// them.
    pub fn imagenet() -> Self {
        Self { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
    }

    /// Counts every value of every channel, so the result is exact and does not depend on the number of threads.
    ///
    /// # Errors
    /// The first image that cannot be read.
    pub fn of(dataset: &dyn Dataset) -> Result<Self, Error> {
        let empty = || Histogram::new(dataset.channels());
        let counts = (0..dataset.len())
            .into_par_iter()
            .try_fold(
                || (empty(), Image::empty()),
                |(mut counts, mut buffer), index| {
                    counts.add(dataset.image(index, &mut buffer)?);
                    Ok((counts, buffer))
                },
            )
            .map(|folded| folded.map(|(counts, _)| counts))
            .try_reduce(empty, |left, right| Ok(left.merged(&right)))?;
        Ok(counts.statistics())
    }
}

/// How often each channel has each value.
pub(crate) struct Histogram(Vec<[u64; 256]>);

impl Histogram {
    pub(crate) fn new(channels: usize) -> Self {
        Self(vec![[0; 256]; channels])
    }

    pub(crate) fn add(&mut self, image: ImageView<'_>) {
        for pixel in image.pixels().chunks_exact(self.0.len()) {
            self.0.iter_mut().zip(pixel).for_each(|(counts, &value)| counts[usize::from(value)] += 1);
        }
    }

    pub(crate) fn merged(mut self, other: &Self) -> Self {
        self.0.iter_mut().flatten().zip(other.0.iter().flatten()).for_each(|(count, more)| *count += more);
        self
    }

    pub(crate) fn statistics(&self) -> Statistics {
        let (mean, std) = self.0.iter().map(moments).unzip();
        Statistics { mean, std }
    }
}

/// Mean and population deviation of a histogram of bytes.
fn moments(counts: &[u64; 256]) -> (f32, f32) {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    let weighted = |value: &dyn Fn(f64) -> f64| -> f64 {
        counts.iter().enumerate().map(|(byte, &count)| count as f64 * value(byte as f64 / 255.0)).sum::<f64>() / total
    };
    let mean = weighted(&|value| value);
    // Rounding would give a channel of one value a deviation just above 0.
    let varies = counts.iter().filter(|&&count| count > 0).count() > 1;
    let std = if varies { weighted(&|value| (value - mean).powi(2)).sqrt() } else { 1.0 };
    (mean as f32, std as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageShape, Images};

    #[test]
    fn moments_by_hand() {
        // First channel 0, 255, 255, 0: mean 0.5, deviation 0.5. Second channel 51 everywhere: mean 0.2, deviation taken as 1.
        let shape = ImageShape { channels: 2, height: 1, width: 2 };
        let images = Images::new("two", shape, vec!["only".into()], vec![0, 0], vec![0, 51, 255, 51, 255, 51, 0, 51]);
        let statistics = Statistics::of(&images.unwrap()).unwrap();
        assert_eq!(statistics, Statistics { mean: vec![0.5, 0.2], std: vec![0.5, 1.0] });
    }
}
