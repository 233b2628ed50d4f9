//! `_stitch`: cross-connections with learned weights that are the same for every input. Misra et al., arXiv 1604.03539.

use mp_blocks::CrossingConfig;
use mp_routing::{LearnedConfig, MixerConfig};

use super::Mechanism;

pub(super) const MECHANISM: Mechanism = Mechanism {
    suffix: "stitch",
    summary: "learned mixing that ignores the input",
    mixer: |configured| match configured {
        MixerConfig::Learned(learned) => MixerConfig::Learned(learned.clone()).into(),
        _ => MixerConfig::Learned(LearnedConfig::default()).into(),
    },
    crossing: |mixer, _form| CrossingConfig::Connection(mixer),
};
