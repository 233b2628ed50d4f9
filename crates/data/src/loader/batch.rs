//! What a loader serves, and what it had to leave out.

use std::fmt;

use ndarray::{Array1, Array2, Array4};

use crate::{Error, ImageShape};

/// Images that go through a network together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[B, H, W, C]` in standard layout: what torch calls channels-last.
    pub images: Array4<f32>,
    /// The class of each image; of a mixed one, its own.
    pub labels: Array1<i64>,
    /// How much of each class an image is, `[B, N]`, where the loader mixes the images of a batch.
    pub targets: Option<Array2<f32>>,
    /// The position of each image in the data set.
    pub indices: Vec<usize>,
    /// The images that could not be read, each with the place in the batch where another one stands for it; empty under
    /// [`OnDamage::Fail`].
    pub skipped: Vec<Skipped>,
}

/// What a loader does with an image that cannot be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDamage {
    /// The epoch ends with the error, which names the file and the reason.
    #[default]
    Fail,
    /// The next image of the epoch's order that can be read takes its place (after the last comes the first), and
    /// [`Batch::skipped`] says so. Batches keep their size and place, and what stands for an image does not depend on
    /// where an epoch begins or how it is shared out. The epoch still fails after 100 images in a row.
    Skip,
}

/// An image that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The place in the batch where another image stands instead.
    pub place: usize,
    /// The position in the data set of the image that is missing.
    pub index: usize,
    /// What was wrong with it, in one line.
    pub reason: String,
}

/// How many images were skipped, and what was wrong with the first.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SkipCount {
    /// Places of batches where another image stood for one that could not be read; an image counts again in every epoch.
    pub images: u64,
    /// The first different reasons, [`SkipCount::REASONS`] at most.
    pub reasons: Vec<String>,
}

impl SkipCount {
    /// Reasons that are kept.
    pub const REASONS: usize = 5;

    /// Counts what a batch had to leave out.
    pub fn add(&mut self, batch: &Batch) {
        self.images += batch.skipped.len() as u64;
        for Skipped { reason, .. } in &batch.skipped {
            if self.reasons.len() < Self::REASONS && !self.reasons.contains(reason) {
                self.reasons.push(reason.clone());
            }
        }
    }
}

impl SkipCount {
    /// Adds what others had to leave out.
    pub fn add_all(&mut self, other: &Self) {
        self.images += other.images;
        for reason in &other.reasons {
            if self.reasons.len() < Self::REASONS && !self.reasons.contains(reason) {
                self.reasons.push(reason.clone());
            }
        }
    }
}

impl fmt::Display for SkipCount {
    /// One line: how many, and the first reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} damaged images skipped", self.images)?;
        match self.reasons.first() {
            Some(reason) => write!(f, ", first: {reason}"),
            None => Ok(()),
        }
    }
}

impl Batch {
    /// A batch of `count` images of `shape` in the memory of an old one; its contents are to be written.
    pub(super) fn of(old: Option<Self>, count: usize, shape: ImageShape) -> Result<Self, Error> {
        let (mut images, mut labels, mut indices, mut skipped) = match old {
            Some(old) => (
                old.images.into_raw_vec_and_offset().0,
                old.labels.into_raw_vec_and_offset().0,
                old.indices,
                old.skipped,
            ),
            None => Default::default(),
        };
        images.resize(count * shape.len(), 0.0);
        labels.resize(count, 0);
        indices.resize(count, 0);
        skipped.clear();
        let images = Array4::from_shape_vec((count, shape.height, shape.width, shape.channels), images)
            .map_err(|error| Error::Worker(error.to_string()))?;
        Ok(Self { images, labels: Array1::from_vec(labels), targets: None, indices, skipped })
    }
}
