//! What one layer decided for a batch.

use tch::Tensor;

use crate::Normalisation;

/// What one layer decided for one batch: how much of each source goes to each target, item by item.
///
/// An item is an image for most layers; a token, a patch or a place of a map for others, [`Decision::items_per_image`] of
/// them to an image. A cross-connection of P paths has `S = T = P`; a layer that may be skipped has `S = 1`, `T = 2`;
/// a layer of E experts has `S = 1`, `T = E`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Decision {
    /// `g`, `[items, S, T]`, 0 where a target was not chosen; float32 (float64 in float64 models).
    pub weights: Tensor,
    /// What the normalisation was applied to, `[items, S, T]`: a gate's output over its temperature. `None` where the
    /// weights are fixed.
    pub logits: Option<Tensor>,
    /// The axis over which the weights compete.
    pub normalisation: Normalisation,
    /// Which targets were chosen, bool `[items, S, T]`. `None` where all of them ran.
    pub chosen: Option<Tensor>,
    /// Logarithm of the probability of what was drawn, `[items, S]`, for gradients by the score function. `None` where
    /// nothing was drawn.
    pub log_prob: Option<Tensor>,
    /// Items of one image.
    pub items_per_image: i64,
    /// Multiply-adds of running each target for one item, `[T]`; empty where a choice saves nothing.
    pub cost: Vec<u64>,
    /// For how many items each target was run, chosen or not, `[T]`; empty where `cost` is.
    pub executed: Vec<i64>,
}

impl Decision {
    /// A soft decision for whole images: every target runs, with the given weights `[B, S, T]`.
    pub fn soft(weights: Tensor, logits: Option<Tensor>, normalisation: Normalisation) -> Self {
        Decision {
            weights,
            logits,
            normalisation,
            chosen: None,
            log_prob: None,
            items_per_image: 1,
            cost: Vec::new(),
            executed: Vec::new(),
        }
    }

    /// The same tensors, with the gradient's history.
    pub fn shallow_clone(&self) -> Self {
        let clone = |tensor: &Option<Tensor>| tensor.as_ref().map(Tensor::shallow_clone);
        Decision {
            weights: self.weights.shallow_clone(),
            logits: clone(&self.logits),
            normalisation: self.normalisation,
            chosen: clone(&self.chosen),
            log_prob: clone(&self.log_prob),
            items_per_image: self.items_per_image,
            cost: self.cost.clone(),
            executed: self.executed.clone(),
        }
    }

    /// Whether it is about a layer that may be skipped: one source, and a first target, the way around, that costs nothing.
    pub fn is_skip(&self) -> bool {
        let (_, sources, targets) = self.size();
        (sources, targets) == (1, 2) && self.cost.len() == 2 && self.cost[0] == 0
    }

    /// Items, sources `S` and targets `T`.
    pub fn size(&self) -> (i64, i64, i64) {
        let size = self.weights.size();
        (size[0], size[1], size[2])
    }
}
