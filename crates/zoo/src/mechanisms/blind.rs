//! `_blind`: cross-connections whose gates read running means in place of the image's features, the control of `_cc`.

use mp_blocks::CrossingConfig;
use mp_routing::{GateConfig, MixerConfig};

use super::Mechanism;

pub(super) const MECHANISM: Mechanism = Mechanism {
    suffix: "blind",
    summary: "cross-connections whose gates do not see the image",
    mixer: |configured| match configured {
        MixerConfig::Gate(gate) => MixerConfig::Gate(GateConfig { blind: true, ..gate.clone() }).into(),
        _ => MixerConfig::Gate(GateConfig { blind: true, ..GateConfig::default() }).into(),
    },
    crossing: |mixer, _form| CrossingConfig::Connection(mixer),
};
