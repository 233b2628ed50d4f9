use tch::Tensor;

use super::{Slot, zeros_like};

/// What Adam and its kin remember about a parameter: running means of the gradient and of its square.
pub(super) struct Moments {
    pub(super) mean: Tensor,
    pub(super) square: Tensor,
}

impl Moments {
    /// Both at zero.
    pub(super) fn of(parameter: &Tensor) -> Self {
        Self { mean: zeros_like(parameter), square: zeros_like(parameter) }
    }

    /// Those of all parameters, with the number of steps, as `rule` keeps them in a checkpoint.
    pub(super) fn state(rule: &str, steps: &Tensor, slots: &[Slot<Self>]) -> Vec<(String, Tensor)> {
        let moments = slots.iter().flat_map(|slot| {
            [("mean", &slot.memory.mean), ("square", &slot.memory.square)]
                .map(|(kind, moment)| (format!("{kind}/{}", slot.name), moment.shallow_clone()))
        });
        std::iter::once((format!("{rule}/steps"), steps.shallow_clone())).chain(moments).collect()
    }
}
