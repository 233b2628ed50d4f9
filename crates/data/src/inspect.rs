//! A look at a data set before training on it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::error::Line;
use crate::statistics::Histogram;
use crate::{Dataset, Format, Ignored, Image, Splits, Statistics};

/// How many damaged images are named.
const NAMED: usize = 10;

/// What a data set holds, counted and measured; `Display` prints it as a table.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The data set's name.
    pub name: String,
    /// How its files are written.
    pub format: Format,
    /// Channels C of every image.
    pub channels: usize,
    /// Rows H of the images that could be read; `None` if none could.
    pub height: Option<Spread>,
    /// Columns W of them.
    pub width: Option<Spread>,
    /// Class names, in label order.
    pub classes: Vec<String>,
    /// Training images of each class.
    pub train: Vec<usize>,
    /// Validation images of each class; all 0 where there is no such split.
    pub valid: Vec<usize>,
    /// Test images of each class; all 0 where there is no such split.
    pub test: Vec<usize>,
    /// Means and deviations measured on the training images that could be read.
    pub measured: Statistics,
    /// Means and deviations that normalisation uses.
    pub normalisation: Statistics,
    /// How many images could not be read.
    pub damaged: usize,
    /// The first of them, each with the reason in one line.
    pub first_damaged: Vec<String>,
    /// What lies with the images and is not used.
    pub ignored: Ignored,
}

/// The minimum, median and maximum of some sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Spread {
    /// The least.
    pub min: usize,
    /// As many are at most as great as are at least as great; of two in the middle, the lesser.
    pub median: usize,
    /// The greatest.
    pub max: usize,
}

/// Reads every image once: counts those of each class, measures sizes and channels, and finds what is damaged.
///
/// `progress` is told how many images have been read, from any thread.
pub fn inspect(splits: &Splits, progress: &(dyn Fn(usize) + Sync)) -> Report {
    let done = AtomicUsize::new(0);
    let tick = || progress(done.fetch_add(1, Ordering::Relaxed) + 1);
    let train = Findings::of(&*splits.train, &tick);
    let measured = train.values.statistics();
    let all = train.merged(Findings::of(&*splits.valid, &tick)).merged(Findings::of(&*splits.test, &tick));
    Report {
        name: splits.name.clone(),
        format: splits.format,
        channels: splits.train.channels(),
        height: Spread::of(&all.heights),
        width: Spread::of(&all.widths),
        classes: splits.train.classes().to_vec(),
        train: class_counts(&*splits.train),
        valid: class_counts(&*splits.valid),
        test: class_counts(&*splits.test),
        measured,
        normalisation: Statistics { mean: splits.mean.clone(), std: splits.std.clone() },
        damaged: all.damaged,
        first_damaged: all.first_damaged.into_iter().map(|(_, reason)| reason).collect(),
        ignored: splits.ignored.clone(),
    }
}

/// What looking at images brings to light.
struct Findings {
    values: Histogram,
    heights: BTreeMap<usize, usize>,
    widths: BTreeMap<usize, usize>,
    damaged: usize,
    /// With the position in the split, by which they are sorted.
    first_damaged: Vec<(usize, String)>,
}

impl Findings {
    fn new(channels: usize) -> Self {
        Self {
            values: Histogram::new(channels),
            heights: BTreeMap::new(),
            widths: BTreeMap::new(),
            damaged: 0,
            first_damaged: Vec::new(),
        }
    }

    fn of(dataset: &dyn Dataset, tick: &(dyn Fn() + Sync)) -> Self {
        let empty = || Self::new(dataset.channels());
        (0..dataset.len())
            .into_par_iter()
            .fold(
                || (empty(), Image::empty()),
                |(mut found, mut buffer), index| {
                    found.look(dataset, index, &mut buffer);
                    tick();
                    (found, buffer)
                },
            )
            .map(|(found, _)| found)
            .reduce(empty, Self::merged_within)
    }

    fn look(&mut self, dataset: &dyn Dataset, index: usize, buffer: &mut Image) {
        match dataset.image(index, buffer) {
            Ok(image) => {
                *self.heights.entry(image.shape().height).or_default() += 1;
                *self.widths.entry(image.shape().width).or_default() += 1;
                self.values.add(image);
            }
            Err(error) => {
                self.damaged += 1;
                self.first_damaged.push((index, error.on_one_line()));
                self.first_damaged.sort();
                self.first_damaged.truncate(NAMED);
            }
        }
    }

    /// Together with what was found in other images of the same split.
    fn merged_within(self, other: Self) -> Self {
        let mut merged = self.merged(other);
        merged.first_damaged.sort();
        merged.first_damaged.truncate(NAMED);
        merged
    }

    /// Together with what was found in another split, whose damaged images come after.
    fn merged(mut self, other: Self) -> Self {
        for (into, from) in [(&mut self.heights, other.heights), (&mut self.widths, other.widths)] {
            from.into_iter().for_each(|(size, count)| *into.entry(size).or_default() += count);
        }
        self.values = self.values.merged(&other.values);
        self.damaged += other.damaged;
        self.first_damaged.extend(other.first_damaged);
        self.first_damaged.truncate(3 * NAMED);
        self
    }
}

impl Spread {
    /// Of sizes and how often each occurs.
    fn of(counts: &BTreeMap<usize, usize>) -> Option<Self> {
        let total: usize = counts.values().sum();
        let mut seen = 0;
        let median = counts.iter().find(|(_, count)| {
            seen += **count;
            2 * seen >= total
        });
        let ((&min, _), (&median, _), (&max, _)) = (counts.first_key_value()?, median?, counts.last_key_value()?);
        Some(Self { min, median, max })
    }

    fn is_one(self) -> bool {
        self.min == self.max
    }
}

fn class_counts(dataset: &dyn Dataset) -> Vec<usize> {
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
        match (self.height, self.width) {
            (Some(height), Some(width)) if height.is_one() && width.is_one() => {
                writeln!(
                    f,
                    "{:<14}{}x{}x{} (height x width x channels)",
                    "images", height.min, width.min, self.channels
                )?;
            }
            (Some(height), Some(width)) => {
                writeln!(f, "{:<14}of several sizes", "images")?;
                writeln!(f, "{:<14}{height}", "height")?;
                writeln!(f, "{:<14}{width}", "width")?;
                writeln!(f, "{:<14}{}", "channels", self.channels)?;
            }
            _ => writeln!(f, "{:<14}none that can be read", "images")?,
        }
        writeln!(f, "{:<14}{}", "classes", self.classes.len())?;
        writeln!(f, "{:<14}{}", "measured", Moments(&self.measured))?;
        writeln!(f, "{:<14}{}", "normalised by", Moments(&self.normalisation))?;
        match self.damaged {
            0 => writeln!(f, "{:<14}none", "damaged")?,
            damaged => {
                let all = total(&self.train) + total(&self.valid) + total(&self.test);
                writeln!(f, "{:<14}{damaged} of {all}", "damaged")?;
            }
        }
        self.first_damaged.iter().try_for_each(|reason| writeln!(f, "{:<14}{reason}", ""))?;
        if self.damaged > self.first_damaged.len() {
            writeln!(f, "{:<14}and {} more", "", self.damaged - self.first_damaged.len())?;
        }

        writeln!(f, "{:<14}{}", "ignored", self.ignored)?;

        let width = self.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max("class".len());
        let most = self.train.iter().copied().max().unwrap_or(0).max(1);
        // Most sets have no validation images.
        let valid = total(&self.valid) > 0;
        let counts = |train: &dyn fmt::Display, held: &dyn fmt::Display, test: &dyn fmt::Display| match valid {
            true => format!("{train:>8}  {held:>8}  {test:>8}"),
            false => format!("{train:>8}  {test:>8}"),
        };
        writeln!(f, "\n{:>5}  {:<width$}  {}", "label", "class", counts(&"train", &"valid", &"test"))?;
        for (label, class) in self.classes.iter().enumerate() {
            let of = |counts: &[usize]| counts.get(label).copied().unwrap_or(0);
            let (train, bar) = (of(&self.train), "#".repeat((of(&self.train) * 24).div_ceil(most)));
            let counts = counts(&train, &of(&self.valid), &of(&self.test));
            writeln!(f, "{label:>5}  {:<width$}  {counts}  {bar}", Line(class).to_string())?;
        }
        let counts = counts(&total(&self.train), &total(&self.valid), &total(&self.test));
        write!(f, "{:>5}  {:<width$}  {counts}", "", "all")
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}, median {}", self.min, self.max, self.median)
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
mod tests;
