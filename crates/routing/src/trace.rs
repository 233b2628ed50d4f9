//! What a forward pass decided, layer by layer.

use crate::Decision;

/// The decision of one layer, with its name.
#[derive(Debug)]
pub struct TracedLayer {
    /// The layer's name, as in `route/stage2/mutual_information`.
    pub name: String,
    /// What it decided.
    pub decision: Decision,
}

/// The decisions of a forward pass, in the order in which the layers ran.
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
    pub fn push(&mut self, name: &str, decision: Decision) {
        self.layers.push(TracedLayer { name: name.to_owned(), decision });
    }

    /// Whether nothing was routed.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }
}
