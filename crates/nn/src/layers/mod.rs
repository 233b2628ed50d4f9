//! The layers, one a file.

mod activation;
mod avg_pool;
mod channel_conv;
mod conv;
mod conv_config;
mod conv_norm;
mod drop_block;
mod dropout;
mod linear;
mod local_response_norm;
mod max_pool;
mod maxout;
mod norm;
mod pair;
mod stochastic_depth;
mod upsample;
mod window;

pub use activation::Activation;
pub use avg_pool::{AvgPool2d, adaptive_avg_pool2d, global_avg_pool};
pub use channel_conv::{ChannelConv, ChannelConvConfig};
pub use conv::{Conv2d, conv2d_grouped, conv2d_stacked};
pub use conv_config::{Conv2dConfig, RectConv2dConfig};
pub use conv_norm::ConvNorm;
pub use drop_block::DropBlock;
pub use dropout::Dropout;
pub use linear::{Linear, LinearConfig};
pub use local_response_norm::{LocalResponseNorm, LocalResponseNormConfig};
pub use max_pool::{MaxPool2d, max_pool2d};
pub use maxout::Maxout;
pub use norm::{AllSum, BatchNorm2d, BatchNorm2dConfig};
pub use pair::Pair;
pub use stochastic_depth::StochasticDepth;
pub use upsample::upsample_nearest;
