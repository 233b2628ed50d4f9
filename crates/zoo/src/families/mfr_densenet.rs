//! MFR-DenseNet for 32x32 images (B. Chen et al., "Multipath Feature Recalibration DenseNet", International Journal of Machine
//! Learning and Cybernetics, 2020, doi 10.1007/s13042-020-01194-4): a reconstruction from the abstract, with no public code.
//!
//! Known is that it is a DenseNet whose layers stack convolutions in place of the bottleneck, and whose dense blocks have
//! several paths, with squeeze-and-excitation over the maps of all. Ours are all sizes:
//!
//! | block | layer |
//! |---|---|
//! | `stem` | 3x3 convolution to `2k` |
//! | `stage1` to `stage3` | two dense paths side by side from the block's input, each of `(L - 4) / 6` layers of two 3x3 convolutions to `k` maps; squeeze-and-excitation (a 16th) over input and new maps of both |
//! | between them | 1x1 convolution to half the channels, 2x2 mean |
//! | end | norm, ReLU, global mean, dense layer |
//!
//! `mfr_densenet40` has two paths of 6 layers a stage. [`mp_blocks::MultipathDenseConfig`] has the switches for another number
//! of paths, bottlenecks in place of stacked convolutions, and no recalibration.

use mp_blocks::{DenseLayerConfig, DenseSteps, MultipathDenseConfig, Recalibration, SharedBlock, SqueezeExciteConfig};

use super::CIFAR;
use super::densenet::dense_stages;
use crate::{Error, Family, Interface, Knob, Make, Plan, Size};

const fn family(name: &'static str) -> Family {
    let summary = "dense paths recalibrated together, a reconstruction (doi 10.1007/s13042-020-01194-4)";
    Family { name, summary, native: CIFAR, knob: Knob::growth(12), make: Make::Chain(plan) }
}

pub(super) const FAMILIES: &[Family] = &[family("mfr_densenet40"), family("mfr_densenet100")];

fn plan(size: &Size, interface: &Interface) -> Result<Plan, Error> {
    let block = MultipathDenseConfig {
        paths: 2,
        layers: ((size.depth()? - 4) / 6) as usize,
        layer: DenseLayerConfig::new(size.value, DenseSteps::Stacked),
        recalibration: Some(Recalibration::SqueezeExcite(SqueezeExciteConfig::new(16))),
    };
    let blocks: Vec<SharedBlock> = vec![block.into()];
    dense_stages(interface, 2 * size.value, |channels| channels / 2, &blocks)
}
