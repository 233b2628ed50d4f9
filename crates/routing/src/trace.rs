//! What a forward pass decided, layer by layer.

use tch::{Kind, Tensor};

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

    /// Multiply-adds of what each image chose, `[B]` in float64, without what runs for every image; `None` where no choice saves
    /// anything.
    pub fn routed(&self) -> Option<Tensor> {
        self.costly().map(Decision::routed).reduce(|sum, part| sum + part)
    }

    /// Multiply-adds of what was run for all images together, chosen or not, without what runs for every image; `None` where no
    /// choice saves anything.
    pub fn executed(&self) -> Option<u64> {
        let of = |decision: &Decision| -> u64 {
            decision.cost.iter().zip(&decision.executed).map(|(cost, count)| cost * count.unsigned_abs()).sum()
        };
        self.costly().map(of).reduce(|sum, part| sum + part)
    }

    fn costly(&self) -> impl Iterator<Item = &Decision> {
        self.layers.iter().map(|layer| &layer.decision).filter(|decision| !decision.cost.is_empty())
    }
}

impl Decision {
    /// Multiply-adds of the targets that each image chose, `[B]`; a target that several sources chose runs once.
    fn routed(&self) -> Tensor {
        let (items, _, targets) = self.size();
        let device = self.weights.device();
        let cost: Vec<f64> = self.cost.iter().map(|cost| *cost as f64).collect();
        let cost = Tensor::from_slice(&cost).to_device(device);
        let chosen = match &self.chosen {
            Some(chosen) => chosen.any_dim(1, false).to_kind(Kind::Double),
            None => Tensor::ones([items, targets], (Kind::Double, device)),
        };
        chosen.matmul(&cost).view([-1, self.items_per_image]).sum_dim_intlist([1_i64].as_slice(), false, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Normalisation;

    #[test]
    fn what_images_chose_and_what_was_run_are_counted_apart() {
        // Three images: a block of 10 that the first runs, and two experts of 3 and 5, of which they choose 2, 1 and 2. Every
        // image was run through the block, and the experts for those that chose them.
        let decide = |choices: &[i64], cost: Vec<u64>, executed: Vec<i64>| {
            let chosen = Tensor::from_slice(choices).one_hot(2).unsqueeze(1).to_kind(Kind::Bool);
            let mut decision = Decision::soft(chosen.to_kind(Kind::Float), None, Normalisation::Targets);
            decision.chosen = Some(chosen);
            (decision.cost, decision.executed) = (cost, executed);
            decision
        };
        let mut trace = Trace::new();
        trace.push("block", decide(&[1, 0, 0], vec![0, 10], vec![3, 3]));
        trace.push("experts", decide(&[1, 0, 1], vec![3, 5], vec![1, 2]));
        assert_eq!(Vec::<f64>::try_from(trace.routed().unwrap()).unwrap(), [15.0, 3.0, 5.0]);
        assert_eq!(trace.executed(), Some(30 + 3 + 10));

        trace.layers[0].decision.chosen = None;
        assert_eq!(Vec::<f64>::try_from(trace.routed().unwrap()).unwrap(), [15.0, 13.0, 15.0]);
        let soft =
            Decision::soft(Tensor::ones([3, 2, 2], (Kind::Float, tch::Device::Cpu)), None, Normalisation::Targets);
        let mut free = Trace::new();
        free.push("stage2", soft);
        assert!(free.routed().is_none() && free.executed().is_none());
    }
}
