//! What can go wrong when a routing layer is built and when a trace is read.

use std::fmt::Display;

/// An error of this crate. Every message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A config value outside its range, or a parameter that could not be made.
    #[error(transparent)]
    Layer(#[from] mp_nn::Error),
    /// A loss or statistic was asked of a model that routes nothing.
    #[error(
        "{quantity} needs routes, and the trace is empty: choose a model with routing (`_cc`, `_cp`) or leave it out"
    )]
    EmptyTrace {
        /// The loss or statistic.
        quantity: &'static str,
    },
    /// A loss on logits met a layer whose weights do not come from logits.
    #[error("{loss} needs gate logits, and the routing layer `{layer}` has none: use it with gated or learned mixing")]
    NoLogits {
        /// The loss.
        loss: &'static str,
        /// The layer.
        layer: String,
    },
    /// Routes that were to be forced are not those of this network or this batch.
    #[error("the forced routes do not fit: {problem}")]
    Forced {
        /// Where they part.
        problem: String,
    },
    /// A batch's trace is not that of the same model as the batches before it.
    #[error(
        "routing statistics began with the layers {expected}, and this trace has {found}: use one accumulator a model"
    )]
    OtherTrace {
        /// The layers so far, with sources and targets.
        expected: String,
        /// The layers of the new trace.
        found: String,
    },
    /// Labels and routes are not of the same samples.
    #[error("routing statistics of {samples} samples need labels [{samples}], found {found:?}")]
    LabelShape {
        /// Samples in the trace.
        samples: i64,
        /// The shape that came.
        found: Vec<i64>,
    },
    /// Labels outside the classes.
    #[error("{count} of {samples} labels lie outside 0..{classes}: expected the data set's own number of classes")]
    LabelRange {
        /// How many.
        count: u64,
        /// Samples seen.
        samples: u64,
        /// Classes of the accumulator.
        classes: usize,
    },
}

impl Error {
    pub(crate) fn config(what: impl Into<String>, expected: impl Into<String>, found: impl Display) -> Self {
        mp_nn::Error::config(what, expected, found).into()
    }
}
