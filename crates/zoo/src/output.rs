//! What a forward pass gives.

use mp_nn::Tensor;
use mp_routing::Trace;

/// What a head's logits are for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HeadRole {
    /// The answer of the whole network.
    Final,
    /// The answer of one path, of which the final one is made.
    Path,
    /// The answer of one member of an ensemble, which learns from it alone.
    Member,
    /// An answer from half way, which only helps to train: its loss is added with this weight. In training only.
    Auxiliary(f64),
    /// An answer at which evaluation may end.
    Exit,
}

/// What one head tells.
#[derive(Debug)]
pub struct Head {
    /// Its name, as in the [`Interface`](crate::Interface).
    pub name: String,
    /// What it is for.
    pub role: HeadRole,
    /// Its logits, `[B, N]`.
    pub logits: Tensor,
}

impl Head {
    /// A head of the given role.
    pub fn new(name: impl Into<String>, role: HeadRole, logits: Tensor) -> Self {
        Head { name: name.into(), role, logits }
    }
}

/// What a forward pass gives.
#[derive(Debug)]
pub struct Output {
    /// The heads; at least one is [`HeadRole::Final`], and the first of those is the model's answer.
    pub heads: Vec<Head>,
    /// The features that were asked for: see [`Model::forward_tapping`](crate::Model::forward_tapping).
    pub taps: Vec<(String, Tensor)>,
    /// The decisions of every routing layer, in order; empty without routing.
    pub trace: Trace,
}

impl Output {
    /// The logits of the first final head, `[B, N]`.
    ///
    /// # Panics
    /// If a network of another crate gave no final head.
    pub fn logits(&self) -> &Tensor {
        let found = self.heads.iter().find(|head| head.role == HeadRole::Final);
        &found.expect("a network gives a final head").logits
    }

    /// The logits of all heads of a role, in order.
    pub fn of(&self, role: HeadRole) -> impl Iterator<Item = &Tensor> {
        self.heads.iter().filter(move |head| head.role == role).map(|head| &head.logits)
    }
}
