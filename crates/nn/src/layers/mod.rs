//! The layers, one a file.

mod conv;
mod conv_config;
mod conv_norm;
mod dropout;
mod linear;
mod norm;
mod pair;
mod pool;

pub use conv::{Conv2d, conv2d_grouped, conv2d_stacked};
pub use conv_config::{Conv2dConfig, RectConv2dConfig};
pub use conv_norm::ConvNorm;
pub use dropout::Dropout;
pub use linear::{Linear, LinearConfig};
pub use norm::{BatchNorm2d, BatchNorm2dConfig};
pub use pair::Pair;
pub use pool::{global_avg_pool, max_pool2d};
