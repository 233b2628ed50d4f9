//! What a forward pass decided, layer by layer.

use tch::Tensor;

use crate::Normalisation;

/// The mixing weights that one routing layer used for one batch.
#[derive(Debug)]
pub struct Routes {
    /// `g`, `[B, S, T]`: how much of source `i` goes into target `j`, per sample; float32 (float64 in float64 models).
    pub weights: Tensor,
    /// What the normalisation was applied to, `[B, S, T]`: the gate's output over its temperature. `None` where the
    /// weights are fixed.
    pub logits: Option<Tensor>,
    /// The axis over which the weights compete.
    pub normalisation: Normalisation,
}

impl Routes {
    /// The same tensors, with the gradient's history.
    pub fn shallow_clone(&self) -> Routes {
        Routes {
            weights: self.weights.shallow_clone(),
            logits: self.logits.as_ref().map(Tensor::shallow_clone),
            normalisation: self.normalisation,
        }
    }

    /// Batch `B`, sources `S` and targets `T`.
    pub(crate) fn size(&self) -> (i64, i64, i64) {
        let size = self.weights.size();
        (size[0], size[1], size[2])
    }
}

/// The routes of one layer, with its name.
#[derive(Debug)]
pub struct TracedLayer {
    /// The layer's name, as in `route/stage2/mutual_information`.
    pub name: String,
    /// What it decided.
    pub routes: Routes,
}

/// The routes of a forward pass, in the order in which the layers ran.
///
/// It is the only way in which routing leaves a model: losses and statistics are functions of it. It holds the graph of
/// the gradients, so drop it when the step is done.
#[derive(Debug, Default)]
pub struct Trace {
    /// The routing layers, in order.
    pub layers: Vec<TracedLayer>,
}

impl Trace {
    /// An empty trace.
    pub fn new() -> Self {
        Trace::default()
    }

    /// Appends what a layer decided.
    pub fn push(&mut self, name: &str, routes: Routes) {
        self.layers.push(TracedLayer { name: name.to_owned(), routes });
    }

    /// Whether nothing was routed.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }
}
