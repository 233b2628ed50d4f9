//! What a trained network makes of images from outside.

mod array;
mod inputs;
mod logits;
mod picture;
mod stream;

use std::path::PathBuf;

use mp_nn::Mode;
use mp_routing::figure;
use tch::{Kind, Tensor};

use super::Trained;
use crate::Error;
use crate::images::Identity;
use crate::learn::forward;

pub use inputs::Inputs;
pub use logits::LogitsFile;
pub use stream::{Chunk, Stream};

/// One class with its probability.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Choice {
    /// The name of the class.
    pub class: String,
    /// Its probability, the softmax of the logits.
    #[serde(with = "figure")]
    pub probability: f64,
}

/// Reads images as a network of `identity` takes them, all at once: `[B, C, H, W]`, normalised. [`Stream`] reads as many as
/// there may be.
///
/// Files that end in `.npy` hold many images: float32 `[B, C, H, W]` are taken as they are, uint8 `[B, H, W, C]` are pixels.
/// All others hold one picture each (PNG, JPEG, BMP, WebP), which is brought to the network's size as evaluation does.
///
/// # Errors
/// [`Error::NoImages`]; the first file that cannot be read.
pub fn read(paths: &[PathBuf], identity: &Identity) -> Result<Tensor, Error> {
    let mut tensors = Vec::new();
    for chunk in Stream::new(Inputs::of_paths(paths.to_vec()), identity)? {
        let Chunk { images, bad, .. } = chunk;
        if let Some(error) = bad.into_iter().next() {
            return Err(error);
        }
        tensors.extend(images);
    }
    if tensors.is_empty() {
        return Err(Error::NoImages { what: paths.first().map_or("no files".to_owned(), |p| p.display().to_string()) });
    }
    Ok(Tensor::cat(&tensors, 0))
}

/// The logits `[B, N]` of images `[B, C, H, W]`, float32 on the CPU, in batches of at most 256 images.
pub fn logits(trained: &Trained, images: &Tensor) -> Tensor {
    const BATCH: i64 = 256;
    let _guard = tch::no_grad_guard();
    let batches: Vec<Tensor> = images
        .split(BATCH, 0)
        .iter()
        .map(|batch| batch.to_device(trained.device()))
        .map(|batch| forward(&trained.model, &batch, Mode::Eval, trained.precision).logits().shallow_clone())
        .map(|logits| logits.to_kind(Kind::Float).to_device(tch::Device::Cpu))
        .collect();
    Tensor::cat(&batches, 0)
}

/// The `k` most probable classes of each image, the most probable first.
pub fn top(logits: &Tensor, k: usize, identity: &Identity) -> Vec<Vec<Choice>> {
    let k = k.min(identity.classes.len());
    let (probabilities, classes) = logits.softmax(1, Kind::Double).topk(k as i64, 1, true, true);
    let choice = |image: i64, rank: i64| Choice {
        class: identity.classes[classes.int64_value(&[image, rank]) as usize].clone(),
        probability: probabilities.double_value(&[image, rank]),
    };
    (0..logits.size()[0]).map(|image| (0..k as i64).map(|rank| choice(image, rank)).collect()).collect()
}
