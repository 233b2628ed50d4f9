//! What an evaluation found: what metrics are figures of.

use mp_data::SkipCount;
use mp_routing::LayerStatistics;

use super::{Confusion, Spending};

/// What an evaluation found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Evaluation {
    /// How many images were judged; those that were skipped are not among them.
    pub images: u64,
    /// How many of them were classified right.
    pub correct: u64,
    /// How many have their class among the [`TOP`] most probable ones; none where there are no more classes than that.
    pub top_5: Option<u64>,
    /// The mean cross-entropy in nats, without label smoothing.
    pub loss: f64,
    /// Which class was taken for which.
    pub confusion: Confusion,
    /// How each routing layer routed; empty for a model that routes nothing.
    pub layers: Vec<LayerStatistics>,
    /// What the images' choices cost; none for a model that runs the same for all of them.
    pub spending: Option<Spending>,
    /// The damaged images that were skipped.
    pub skipped: SkipCount,
}

/// How many classes an image may be given for [`Evaluation::top_5`].
pub const TOP: i64 = 5;

impl Evaluation {
    /// The share of images classified right.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images as f64
    }

    /// The share of images whose class is among the five most probable ones.
    pub fn top_5_accuracy(&self) -> Option<f64> {
        self.top_5.map(|correct| correct as f64 / self.images as f64)
    }
}
