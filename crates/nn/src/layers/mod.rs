//! The layers, one a file.

mod conv;
mod conv_norm;
mod dropout;
mod linear;
mod norm;
mod pool;

pub use conv::{Conv2d, Conv2dConfig, WeightInit, conv2d_grouped, conv2d_stacked};
pub use conv_norm::ConvNorm;
pub use dropout::Dropout;
pub use linear::{Linear, LinearConfig};
pub use norm::{BatchNorm2d, BatchNorm2dConfig};
pub use pool::{global_avg_pool, max_pool2d};
