//! `_cc`: each path's block acts on a mix of all paths. Tissera et al., arXiv 2006.13904.

use mp_blocks::CrossingConfig;

use super::Mechanism;

pub(super) const MECHANISM: Mechanism = Mechanism {
    suffix: "cc",
    summary: "cross-connections",
    mixer: |configured| configured.clone().into(),
    crossing: |mixer, _form| CrossingConfig::Connection(mixer),
};
