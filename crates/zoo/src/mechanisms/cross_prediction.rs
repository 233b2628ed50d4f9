//! `_cp`: every path predicts the first layer of every path's block. Tissera et al., arXiv 2107.02450.

use mp_blocks::CrossingConfig;

use super::Mechanism;

pub(super) const MECHANISM: Mechanism = Mechanism {
    suffix: "cp",
    summary: "cross-predictions",
    mixer: |configured| configured.clone().into(),
    crossing: CrossingConfig::Prediction,
};
