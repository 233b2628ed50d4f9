//! What a trained network says of itself.

use mp_zoo::{InputSize, ModelOptions, RoutingConfig};
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;

/// What identifies a model and the images that it expects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The model's name in the zoo.
    pub model: String,
    /// Where and how its paths exchange features.
    pub routing: RoutingConfig,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// Channels of the images.
    pub channels: i64,
    /// Height and width of the images.
    pub size: i64,
    /// Mean of each channel, subtracted from pixels in `[0, 1]`.
    pub mean: Vec<f32>,
    /// Deviation of each channel, by which they are then divided.
    pub std: Vec<f32>,
    /// The share of an image's shorter side that evaluation shows; not in older files, for which their run's recipe says it.
    #[serde(default)]
    pub crop: Option<f64>,
}

impl Identity {
    /// The share of an image's shorter side that evaluation shows, which only older files leave to their run's recipe.
    pub fn crop(&self, recipe: &Recipe) -> f64 {
        self.crop.unwrap_or_else(|| recipe.data.crop_share())
    }

    /// What the zoo needs to build this model.
    pub fn options(&self) -> ModelOptions {
        let input = InputSize { channels: self.channels, size: self.size, classes: self.classes.len() as i64 };
        ModelOptions::routed(input, self.routing.clone())
    }
}
