//! A look at a data set before training on it.

use std::fmt;

use crate::{Dataset, Error, Format, ImageShape, Splits, Statistics};

/// What a data set holds, counted and measured; `Display` prints it as a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The data set's name.
    pub name: String,
    /// How its files are written.
    pub format: Format,
    /// The size of every image, where they share one.
    pub shape: Option<ImageShape>,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// Training images of each class.
    pub train: Vec<usize>,
    /// Test images of each class.
    pub test: Vec<usize>,
    /// Means and deviations measured on the training images.
    pub measured: Statistics,
    /// Means and deviations that normalisation uses.
    pub normalisation: Statistics,
}

/// Counts the images of each class and measures the channels.
///
/// # Errors
/// An image that cannot be read.
pub fn inspect(splits: &Splits) -> Result<Report, Error> {
    Ok(Report {
        name: splits.name.clone(),
        format: splits.format,
        shape: splits.train.shape(),
        classes: splits.train.classes().to_vec(),
        train: histogram(&*splits.train),
        test: histogram(&*splits.test),
        measured: Statistics::of(&*splits.train)?,
        normalisation: Statistics { mean: splits.mean.clone(), std: splits.std.clone() },
    })
}

fn histogram(dataset: &dyn Dataset) -> Vec<usize> {
    let mut counts = vec![0; dataset.classes().len()];
    for label in (0..dataset.len()).map(|index| dataset.label(index)) {
        // A label without a class is the loader's to refuse, by name and place.
        if let Some(count) = counts.get_mut(label) {
            *count += 1;
        }
    }
    counts
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = |counts: &[usize]| counts.iter().sum::<usize>();
        writeln!(f, "{:<14}{}", "data set", self.name)?;
        writeln!(f, "{:<14}{}", "format", self.format)?;
        match self.shape {
            Some(shape) => writeln!(f, "{:<14}{shape} (height x width x channels)", "images")?,
            None => writeln!(f, "{:<14}of several sizes", "images")?,
        }
        writeln!(f, "{:<14}{}", "classes", self.classes.len())?;
        writeln!(f, "{:<14}{}", "measured", Moments(&self.measured))?;
        writeln!(f, "{:<14}{}", "normalised by", Moments(&self.normalisation))?;

        let width = self.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max("class".len());
        let most = self.train.iter().copied().max().unwrap_or(0).max(1);
        writeln!(f, "\n{:>5}  {:<width$}  {:>8}  {:>8}", "label", "class", "train", "test")?;
        for (label, ((class, &train), &test)) in self.classes.iter().zip(&self.train).zip(&self.test).enumerate() {
            let bar = "#".repeat((train * 24).div_ceil(most));
            writeln!(f, "{label:>5}  {class:<width$}  {train:>8}  {test:>8}  {bar}")?;
        }
        write!(f, "{:>5}  {:<width$}  {:>8}  {:>8}", "", "all", total(&self.train), total(&self.test))
    }
}

/// `mean 0.4914 0.4822 0.4465, std 0.2470 0.2435 0.2616`.
struct Moments<'a>(&'a Statistics);

impl fmt::Display for Moments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |values: &[f32]| values.iter().map(|value| format!("{value:.4}")).collect::<Vec<_>>().join(" ");
        write!(f, "mean {}, std {}", list(&self.0.mean), list(&self.0.std))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Images;

    #[test]
    fn the_table_reads_like_this() {
        let shape = ImageShape { channels: 1, height: 1, width: 2 };
        let classes = vec!["cat".to_owned(), "lizard".to_owned()];
        let split = |name: &str, labels: Vec<u32>| -> Arc<dyn Dataset> {
            let pixels = labels.iter().flat_map(|_| [0, 255]).collect();
            Arc::new(Images::new(name, shape, classes.clone(), labels, pixels).unwrap())
        };
        let splits = Splits {
            name: "pets".to_owned(),
            format: Format::Idx,
            train: split("pets/train", vec![0, 1, 1]),
            test: split("pets/test", vec![0]),
            mean: vec![0.25],
            std: vec![1.0],
        };
        let expected = "\
data set      pets
format        IDX
images        1x2x1 (height x width x channels)
classes       2
measured      mean 0.5000, std 0.5000
normalised by mean 0.2500, std 1.0000

label  class      train      test
    0  cat            1         1  ############
    1  lizard         2         0  ########################
       all            3         1";
        assert_eq!(inspect(&splits).unwrap().to_string(), expected);
    }
}
