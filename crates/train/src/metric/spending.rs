//! What the choices of the images cost.

use mp_routing::{Trace, figure};
use mp_zoo::Model;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

/// Multiply-adds of an image, on average over those that were judged, of a model in which images choose what is run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spending {
    /// What runs for every image.
    pub always: u64,
    /// That and what the images chose: what papers report.
    #[serde(with = "figure")]
    pub routed: f64,
    /// That and what was computed, chosen or not: what takes the time.
    #[serde(with = "figure")]
    pub executed: f64,
    /// What an image would cost that runs everything.
    pub all: u64,
}

/// Sums over batches; on the device until they are asked for.
#[derive(Debug, Default)]
pub(crate) struct Spenders {
    routed: Option<Tensor>,
    executed: u64,
}

/// Sums over images, of what they chose and what was computed for it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Spent {
    routed: f64,
    executed: u64,
}

impl Spenders {
    /// Adds what a batch chose.
    pub(crate) fn add(&mut self, trace: &Trace) {
        let Some(routed) = trace.routed() else { return };
        let routed = routed.sum(Kind::Double);
        self.routed = Some(match self.routed.take() {
            Some(before) => before + routed,
            None => routed,
        });
        self.executed += trace.executed().unwrap_or(0);
    }

    /// The sums; none where nothing was chosen. Waits for the device.
    pub(crate) fn spent(&self) -> Option<Spent> {
        let routed = self.routed.as_ref()?.double_value(&[]);
        Some(Spent { routed, executed: self.executed })
    }
}

impl Spent {
    /// The sums over these images and others.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { routed: self.routed + other.routed, executed: self.executed + other.executed }
    }

    /// The means over so many images.
    pub(crate) fn of_an_image(self, model: &Model, images: u64) -> Spending {
        let work = model.work();
        let mean = |sum: f64| work.always as f64 + sum / images as f64;
        Spending {
            always: work.always,
            routed: mean(self.routed),
            executed: mean(self.executed as f64),
            all: work.multiply_adds,
        }
    }
}
