//! Scaling a branch's channels, or places, by what the whole map shows: one setting of the residual blocks, placed after the
//! last norm of the branch and before the addition.

mod channel_attention;
mod gather_excite;
mod squeeze_excite;

use mp_nn::{Module, Params};

use crate::{Error, Shape};

pub use channel_attention::ChannelAttentionConfig;
pub use gather_excite::{Gather, GatherExciteConfig};
pub use squeeze_excite::{SqueezeExciteConfig, SqueezeLayers};

/// How a branch's maps `[B, C, H, W]` are recalibrated: each number is multiplied by one between 0 and 1.
///
/// ```
/// use mp_blocks::{BlockConfig, Recalibration, ResidualConfig, Shape, SqueezeExciteConfig};
/// use mp_nn::{Device, Store};
///
/// let store = Store::new(Device::Cpu, 0);
/// let squeeze = Recalibration::SqueezeExcite(SqueezeExciteConfig::new(16));
/// let block = ResidualConfig { recalibration: Some(squeeze), ..ResidualConfig::basic(64, 1) };
/// block.build(Shape::square(64, 8), &store.root())?;
/// let names: Vec<String> = store.entries().into_iter().map(|entry| entry.name).collect();
/// assert!(names.contains(&"se.fc1.weight".to_owned()));
/// # Ok::<(), mp_blocks::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Recalibration {
    /// Squeeze-and-excitation; its parameters are at `se`.
    SqueezeExcite(SqueezeExciteConfig),
    /// Efficient channel attention; its parameter is at `eca`.
    ChannelAttention(ChannelAttentionConfig),
    /// Gather-Excite; its parameters are at `ge`.
    GatherExcite(GatherExciteConfig),
}

impl Recalibration {
    /// Builds it for maps of a shape, with its parameters below `params`.
    ///
    /// # Errors
    /// Features that are no map, a setting out of range, or a taken name.
    pub fn build(&self, maps: Shape, params: &Params) -> Result<Box<dyn Module>, Error> {
        let (channels, height, width) = maps.map("a recalibration")?;
        match self {
            Recalibration::SqueezeExcite(config) => config.build(channels, &(params / "se")),
            Recalibration::ChannelAttention(config) => config.build(channels, &(params / "eca")),
            Recalibration::GatherExcite(config) => config.build(channels, (height, width), &(params / "ge")),
        }
    }
}
