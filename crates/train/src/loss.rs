//! What training minimises.

use mp_routing::RoutingLossConfig;
use mp_zoo::{Objective, Output};
use tch::{Kind, Reduction, Tensor};

use crate::Error;

/// The training loss: cross-entropy with label smoothing, and the losses on the gates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LossConfig {
    /// Share of the target probability that is spread evenly over all classes.
    pub label_smoothing: f64,
    /// Weights of the losses on the gates.
    pub routing: RoutingLossConfig,
}

/// The loss of one batch; float32 scalars with their graph.
#[derive(Debug)]
pub struct Loss {
    /// What the backward pass starts from.
    pub total: Tensor,
    /// The part of it that comes from the gates, already weighted.
    pub routing: Option<Tensor>,
}

impl LossConfig {
    /// The loss of a forward pass on images with `labels` (`[B]`, i64).
    ///
    /// The members of an ensemble learn each from its own loss: the mean of these, not the loss of their mean.
    ///
    /// # Errors
    /// A routing loss that the model's routes cannot give.
    pub fn of(&self, output: &Output, labels: &Tensor, objective: Objective) -> Result<Loss, Error> {
        let task = match objective {
            Objective::Joint => self.cross_entropy(&output.logits, labels),
            Objective::PerMember => {
                let losses: Vec<Tensor> = output.paths.iter().map(|path| self.cross_entropy(path, labels)).collect();
                Tensor::stack(&losses, 0).mean(Kind::Float)
            }
        };
        let routing = self.routing.total(&output.trace)?;
        let total = routing.as_ref().map_or_else(|| task.shallow_clone(), |routing| &task + routing);
        Ok(Loss { total, routing })
    }

    fn cross_entropy(&self, logits: &Tensor, labels: &Tensor) -> Tensor {
        // In float32 whatever the forward pass ran in: bfloat16 keeps eight bits, too few for small differences.
        logits.to_kind(Kind::Float).cross_entropy_loss::<Tensor>(
            labels,
            None,
            Reduction::Mean,
            -100,
            self.label_smoothing,
        )
    }
}
