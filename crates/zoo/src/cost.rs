//! What a model costs.

use mp_nn::{Device, Mode, Store, Tensor};
use serde::{Deserialize, Serialize};

use crate::{InputSize, Model};

/// Numbers that do not depend on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Numbers that are trained.
    pub parameters: u64,
    /// Multiply-adds of one image: convolutions, dense layers, gates and mixing.
    pub multiply_adds: u64,
}

/// The cost of a model whose parameters are those of `store`: counted by the meter while one image of zeros passes.
pub fn cost(store: &Store, model: &Model, input: InputSize) -> Cost {
    let _no_grad = tch::no_grad_guard();
    let image = Tensor::zeros([1, input.channels, input.size, input.size], (mp_nn::Kind::Float, Device::Cpu))
        .to_device(store.device());
    let (_, multiply_adds) = store.meter().measure(|| model.forward(&image, Mode::Eval));
    Cost { parameters: store.parameter_count(), multiply_adds }
}
