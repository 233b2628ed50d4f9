//! Residual networks for 32x32 images (He et al., arXiv 1512.03385, section 4.2): a 3x3 stem, three stages of `n` basic
//! blocks, `6 n + 2` layers. Shortcuts that change shape are 1x1 convolutions, as in torchvision.

use mp_blocks::{BasicBlockConfig, BlockConfig, ConvBlockConfig};

use super::resnet::{Stage, depth, residual};
use crate::InputSize;
use crate::plan::Plan;

pub(super) fn plan(name: &str, input: InputSize, width: i64) -> Plan {
    let blocks = (depth(name) - 2) / 6;
    let stem = ConvBlockConfig::new(input.channels, width);
    let stages = [1, 2, 4].map(|factor| Stage { width: factor * width, blocks });
    residual(BlockConfig::Conv(stem), &stages, |in_channels, width, stride| {
        BlockConfig::Basic(BasicBlockConfig { in_channels, out_channels: width, stride })
    })
}
